"""Measure how long a model's layers take under sparse schemes."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

import tvm

from tvm_sparse import short_weights
from tvm_sparse.errors import DatabaseError, ModelError
from tvm_sparse.frontend import import_model
from tvm_sparse.latency import DENSE, Cell, Epilogue, LatencyTable
from tvm_sparse.profiling import file, integers, pace, sampling, short
from tvm_sparse.profiling.alone import Alone
from tvm_sparse.profiling.cells import Network, unknown
from tvm_sparse.profiling.in_place import InPlace
from tvm_sparse.profiling.lowered import Lowered, lower
from tvm_sparse.profiling.predictor import Predictor, measured
from tvm_sparse.profiling.prune_constants import found_layers, prune_constants
from tvm_sparse.profiling.read import read
from tvm_sparse.profiling.sampling import Place
from tvm_sparse.relay_passes import pipeline
from tvm_sparse.scheme import Scheme
from tvm_sparse.targets import Target
from tvm_sparse.tuning import scratch
from tvm_sparse.tuning.places.find import Runner, find

_SPREAD = 0.03  # of a kernel's rounds, from which no more are needed
_ROUNDS = (8, 16)  # of a network, at least and at most
_FEWEST = 2  # rounds from which something is kept
_TOGETHER = 3  # networks that run in turns
_USUAL = 5  # schemes of a layer that are measured again and again
_ERROR = 0.1  # of the predictor, from which finer samples are wanted
_FINER = 2  # times that these are looked for
_UNSTEADY = 0.05  # spread of a cell, from which it is measured once more, later
_AGAIN = 2  # times that this is done


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far profiling has come.

    Parameters
    ----------
    stage : str
        What runs now.
    done, total : int
        Cells measured, and how many are wanted.
    """

    stage: str
    done: int
    total: int


Tell = Callable[[Progress], None]


def profile(
    model: Any,
    target: Any = "x86",
    *,
    example_inputs: Any = None,
    schemes: Sequence[str] | None = None,
    densities: Sequence[float] | None = None,
    bits: Sequence[int] = (32,),
    time: float | None = None,
    database: str | Path | None = None,
    tracker: str | None = None,
    key: str | None = None,
    runner: Runner | None = None,
    host: str | None = None,
    cpus: Sequence[int] = (),
    progress: Tell | None = None,
) -> LatencyTable:
    """Measure how long a model's layers take under sparse schemes.

    The model is built again and again with other zeros, and its kernels are measured inside of it:
    each finds in the caches what it will find in use. Layers of one kind share measurements. After
    a coarse grid of densities, more are measured where a predictor errs by more than 10 %; at the
    end, cells whose rounds differ are measured once more.

    On boards each kernel is measured alone, its constants out of the caches; the table's provenance
    says ``kernels``: ``alone`` or ``in place``.

    Parameters
    ----------
    model, target, example_inputs
        As `tvm_sparse.build` takes them. The target must be this machine, or that of the boards.
        Zeros in the model's weights make no difference.
    schemes : sequence of str, optional
        Formats with blocks, e.g. ``one_by_n-4``; by default `sampling.FORMATS`. Dense layers are
        always measured.
    densities : sequence of float, optional
        The coarse grid; by default `sampling.DENSITIES`.
    bits : sequence of int
        32 for float layers, 8 for the same layers as int8, in networks that are int8 throughout;
        16 and 4 for weights of bfloat16 and int4, activations being floats. Layers that cannot have
        so many bits stay floats meanwhile: 4 are for linear layers alone.
    time : float, optional
        Seconds after which no more networks are begun.
    database : path, optional
        A folder, made when missing; by default ``tuning_logs/<target>``. Cells that it holds are
        not measured again: profiling that was stopped goes on where it was.
    tracker, key, runner, host, cpus : optional
        Boards to measure on, as `tvm_sparse.tune` takes them.
    progress : callable, optional
        Called with a `Progress`.

    Returns
    -------
    LatencyTable
        All that the folder holds, also of other models, with a predictor once there is enough to
        learn from. After Ctrl-C, what was measured is in the folder.

    Raises
    ------
    ModelError
        If the model cannot be imported or has no layers.
    FormatError
        If a scheme, a density or a number of bits is unknown.
    TargetError
        If the target is unknown, or not this machine; if it is a GPU and bits are 16 or 4.
    DeviceError
        If there is no tracker or no such board, the board cannot run code for the target, or all
        boards were lost; what was measured before is kept.
    DatabaseError
        If the table cannot be written, is being written by another process, or holds cells of
        another machine or version; if a network cannot be run.
    """
    place = find(target, tracker, key, runner, host, cpus)
    known = place.target
    short.check(bits, known)
    mod = simplified(import_model(model, example_inputs, None), known)
    path = Path(database) if database is not None else Path("tuning_logs") / known.name
    ends = None if time is None else clock.monotonic() + time
    way = InPlace if place.within else Alone
    with file.writing(path, known, {**place.origin, file.KERNELS: way.name}) as writer:
        cells = file.cells(path)
        with scratch.folder() as folder:
            for number in bits:
                session = _Session(mod, known, cells, writer, way(place, folder), ends, number)
                session.tell = progress or (lambda state: None)
                session.run(schemes or sampling.usual(number), densities or sampling.DENSITIES)
    return read(path, known)


def simplified(mod: tvm.IRModule, target: Target) -> tvm.IRModule:
    """Return an imported model with nothing between layers and their weights but constants."""
    with target.to_tvm():
        return tvm.transform.Sequential(pipeline.simplify())(mod)


@dataclass
class _Session:
    """One call of `profile`, for layers of so many bits."""

    mod: tvm.IRModule
    target: Target
    cells: list[Cell]  # as they were measured
    writer: file.Writer
    kernels: InPlace | Alone
    ends: float | None
    bits: int = 32
    tell: Tell = field(default=lambda state: None)
    built: int = 0
    table: LatencyTable = field(init=False)

    def __post_init__(self) -> None:
        """Look up what was measured before."""
        self.table = LatencyTable(self.cells)

    def run(self, schemes: Sequence[str], densities: Sequence[float]) -> None:
        """Measure the coarse grid, then what the predictor needs."""
        self._say("looking at the layers", 0, 0)
        places = self._places()
        if not places and self.bits < 32:
            return
        if not places:
            raise ModelError(
                "the model has no convolution or linear layer with constant float32 weights: "
                "there is nothing to profile"
            )
        wanted = {name: self._grid(place, schemes, densities) for name, place in places.items()}
        for name, place in places.items():
            place.pending = sampling.missing(place, self.table, wanted[name])
            place.usual = wanted[name][:_USUAL]
        self._measure(list(places.values()), "coarse grid")
        if self.bits == integers.BITS:
            self._measure_borders()
        elif self.bits == 32:
            self._measure_finer(places, wanted)
        self._measure_again(places)

    def _measure_finer(
        self,
        places: Mapping[tuple[str, Epilogue], Place],
        wanted: Mapping[tuple[str, Epilogue], list[Scheme]],
    ) -> None:
        """Measure finer samples where the predictor errs."""
        for turn in range(_FINER):
            if self._over or not self._refine(places, wanted):
                break
            self._measure(list(places.values()), f"finer grid {turn + 1}")

    def _measure_again(self, places: Mapping[tuple[str, Epilogue], Place]) -> None:
        """Measure cells once more whose rounds differ.

        What disturbed them lasted longer than all of their rounds, and may be over.
        """
        for turn in range(_AGAIN):
            for name, place in places.items():
                cells = [cell for cell in self.table.cells if (cell.key, cell.epilogue) == name]
                place.pending = sampling.unsteady(cells, _UNSTEADY, self.bits)
            if self._over or not any(place.pending for place in places.values()):
                break
            self._measure(list(places.values()), f"unsteady cells again {turn + 1}", _UNSTEADY)

    @property
    def _over(self) -> bool:
        return self.ends is not None and clock.monotonic() >= self.ends

    def _grid(
        self, place: Place, schemes: Sequence[str], densities: Sequence[float]
    ) -> list[Scheme]:
        found = sampling.grid(place.layer, schemes if place.prunable else (), densities)
        return [replace(scheme, bits=self.bits) for scheme in found]

    def _lowered(self, schemes: Mapping[str, Scheme]) -> Lowered:
        """Return the network whose layers have schemes, by name; others are dense floats."""
        each = {part: one for name, one in schemes.items() for part in name.split(" + ")}
        mod = prune_constants(self.mod, lambda layer: each.get(layer.name, DENSE))
        mod = integers.quantized(mod) if self.bits == integers.BITS else short.noted(mod, each)
        return lower(mod, self.target, sparse=False)

    def _dense(self) -> dict[str, Scheme]:
        """Return the dense scheme of each layer that can have the bits."""
        can = [layer for layer in found_layers(self.mod) if short_weights.fits(layer, self.bits)]
        return {layer.name: replace(DENSE, bits=self.bits) for layer in can}

    def _places(self) -> dict[tuple[str, Epilogue], Place]:
        """Return the model's layers that have the bits, by what the table calls them."""
        places: dict[tuple[str, Epilogue], Place] = {}
        calls = self._lowered(self._dense()).calls
        layers = [call.layer for call in calls if call.layer is not None]
        for one in (layer for layer in layers if layer.choice.used.bits == self.bits):
            layer = one.choice.layer
            place = Place(layer=layer, epilogue=one.epilogue)
            place = places.setdefault((layer.key, one.epilogue), place)
            place.names += [layer.name] if layer.name not in place.names else []
            place.prunable |= len(layers) == 1 or one not in (layers[0], layers[-1])
        return places

    def _refine(
        self,
        places: Mapping[tuple[str, Epilogue], Place],
        wanted: Mapping[tuple[str, Epilogue], list[Scheme]],
    ) -> bool:
        """Ask for finer samples where the predictor errs; tell whether there are any."""
        self._say("looking for what is predicted badly", 0, 0)
        try:
            predictor = Predictor(LatencyTable(pace.levelled(self.cells)).cells)
        except DatabaseError:  # too few cells, or no XGBoost: the coarse grid has to do
            return False
        off = abs(predictor.held_out / measured(predictor.cells) - 1)
        errors: dict[tuple[str, Epilogue], dict[Scheme, float]] = {}
        for cell, error in zip(predictor.cells, off, strict=True):
            errors.setdefault((cell.key, cell.epilogue), {})[cell.scheme] = float(error)
        for name, place in places.items():
            forms = {(scheme.format, scheme.block) for scheme in wanted[name]}
            mine = {s: e for s, e in errors.get(name, {}).items() if (s.format, s.block) in forms}
            place.pending = sampling.finer(mine, _ERROR)
        return any(place.pending for place in places.values())

    def _measure(self, places: Sequence[Place], stage: str, spread: float = inf) -> None:
        """Build and run networks until nothing is pending; see `unknown` for the spread."""
        total = sum(len(place.pending) for place in places)
        while any(place.pending for place in places) and not self._over:
            done = total - sum(len(place.pending) for place in places)
            batch: list[Network] = []
            while len(batch) < _TOGETHER and any(place.pending for place in places):
                self._say(f"{stage}: building network {self.built + 1}", done, total)
                batch.append(self._build(sampling.assign(places, self.built), spread))
            self._say(f"{stage}: running {len(batch)} networks", done, total)
            self._run(batch)
        self._say(stage, total - sum(len(place.pending) for place in places), total)

    def _measure_borders(self) -> None:
        """Measure what makes bytes of floats and floats of bytes: every second layer is int8."""
        mod = prune_constants(self.mod, lambda layer: DENSE)
        names = [layer.name for layer in found_layers(mod)]
        for turn in (0, 1):
            lowered = lower(integers.quantized(mod, names[turn::2]), self.target, sparse=False)
            others = [call for call in lowered.calls if call.layer is None]
            wanted = unknown(others, {}, self.table)
            if wanted and not self._over:
                self._say(f"borders of int8 layers, network {turn + 1}", turn, 2)
                self._run([Network(schemes={}, rounds=self.kernels.build(lowered, wanted))])

    def _build(self, schemes: Mapping[str, Scheme], spread: float) -> Network:
        schemes = {name: replace(one, bits=self.bits) for name, one in schemes.items()}
        lowered = self._lowered(schemes)
        self.built += 1
        wanted = unknown(lowered.calls, schemes, self.table, spread)
        return Network(schemes=schemes, rounds=self.kernels.build(lowered, wanted))

    def _run(self, batch: Sequence[Network]) -> None:
        """Run networks in turns, and record what the rounds tell, also if Ctrl-C ends them."""
        try:
            self._take_turns(batch)
        finally:
            for one in batch:
                self._record(one)
                one.rounds.remove()

    def _take_turns(self, batch: Sequence[Network]) -> None:
        """Run networks in turns until their times are steady."""
        least, most = _ROUNDS
        for _ in range(most):
            for one in batch:
                if not one.rounds.steady(least, _SPREAD):
                    one.rounds.run()

    def _record(self, network: Network) -> None:
        """Keep the times of a network, unless it hardly ran."""
        if len(network.rounds.rounds) < min(_FEWEST, _ROUNDS[0]):
            return
        found = [cell for cell in network.cells() if network.schemes or not cell.terms]
        self.writer.add(found)
        self.cells += found
        for cell in found:
            self.table.add(cell)

    def _say(self, stage: str, done: int, total: int) -> None:
        self.tell(Progress(stage=stage, done=done, total=total))
