"""Model the cycles of layers in int8 on ARM cores, over those of the same zeros in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tvm_sparse import targets
from tvm_sparse.bench import layer_kernels, layers
from tvm_sparse.bench.layer_kernels import LayerKernel
from tvm_sparse.cycles.calls import Argument, Call
from tvm_sparse.cycles.cores import core
from tvm_sparse.cycles.model import Modelled, model
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.words import objection

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class IntegerCycleRow:
    """One modelled layer, on one thread.

    Parameters
    ----------
    case, set, scheme, target, core : str
        As in `tvm_sparse.bench.cycles.CycleRow`.
    int8, float32 : float
        Cycles of ours on the same zeros, bytes to bytes and floats to floats.
    macs : float
        Multiply-adds on non-zero weights that int8 does in a cycle.
    stored : str
        How the compiler stored the bytes; ``"dense"`` where it declined to use the zeros.
    number : int
        How often such a layer occurs in its network.
    """

    case: str
    set: str
    scheme: str
    target: str
    core: str
    int8: float
    float32: float
    macs: float
    stored: str
    number: int = 1

    @property
    def ratio(self) -> float:
        """How many times as long float32 takes."""
        return self.float32 / self.int8


def model_integers(
    set_name: str,
    schemes: Sequence[str],
    target_names: Sequence[str],
    limit: int | None = None,
    progress: Tell = lambda text: None,
) -> Iterator[IntegerCycleRow]:
    """Model every layer of a set in int8 and in float32; parameters as in `bench.cycles`."""
    for layer, number in list(layers.layer_set(set_name).items())[:limit]:
        for scheme in () if objection(layer) else schemes:
            weight = layers.pruned(layers.example(layer)[0], Scheme.parse(scheme))
            for name in target_names:
                progress(f"{layer.name} {scheme}, {name}")
                target = replace(targets.load(name), cores=1)
                bytes_ = layer_kernels.int8(layer, weight, target)
                floats = layer_kernels.float32(layer, weight, target)
                cycles = modelled(bytes_, target).cycles
                yield IntegerCycleRow(
                    case=layer.name or layer.key,
                    set=set_name,
                    scheme=scheme,
                    target=name,
                    core=core(target),
                    int8=cycles,
                    float32=modelled(floats, target).cycles,
                    macs=bytes_.macs / cycles,
                    stored=bytes_.stored,
                    number=number,
                )


def modelled(kernel: LayerKernel, target: Target) -> Modelled:
    """Return what one call of a kernel costs on a target's core."""
    arguments = [
        Argument(shape=array.shape, dtype=str(array.dtype), value=array) for array in kernel.arrays
    ]
    arguments[0], arguments[-1] = (replace(arguments[i], value=None) for i in (0, -1))
    call = Call(function=layer_kernels.NAME, arguments=tuple(arguments))
    (found,) = model(kernel.compiled(target), [call], core(target)).values()
    return found
