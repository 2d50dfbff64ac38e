"""Which share of the samples of a network's design spaces are valid kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tvm_sparse import targets
from tvm_sparse.bench import networks
from tvm_sparse.frontend import import_model
from tvm_sparse.quantization import quantize
from tvm_sparse.tuning.extract import extract
from tvm_sparse.tuning.survey import Survey, survey


def survey_network(
    name: str,
    scheme: str,
    samples: int,
    size: int = 224,
    target: str = "x86",
    int8: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Survey]:
    """Build, run and verify samples of every space of every task of a pruned network.

    Parameters
    ----------
    name : str
        See `tvm_sparse.bench.networks.names`.
    scheme : str
        E.g. ``one_by_n-4@0.2``.
    samples : int
        Of each space.
    size : int
        See `tvm_sparse.bench.networks.network`.
    target : str
        Of this machine: a packaged one's name, or the path of a profile.
    int8 : bool
        Whether the network is quantized.
    progress : callable, optional
        Called with what is being done.
    """
    tell = progress or (lambda text: None)
    tell(f"looking for the tasks of {name} {scheme}")
    model, image = networks.pruned(name, scheme, size)
    given = quantize(model, [image], target=target) if int8 else model
    tasks = extract(import_model(given, image, None), targets.load_here(target))
    for number, row in enumerate(survey(tasks, samples), 1):
        spaces = sum(len(task.spaces) for task in tasks)
        tell(f"{number} of {spaces} spaces of {name} {scheme}")
        yield row
