"""Choose a scheme for every layer of a model, given how long layers take on the target."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tvm_sparse import targets
from tvm_sparse.errors import PlanError
from tvm_sparse.latency import DENSE, LatencyTable
from tvm_sparse.planning import curves, exchange, network, options, sensitivity, strategies, weights
from tvm_sparse.planning.budget import Budget
from tvm_sparse.planning.cache import Cache
from tvm_sparse.planning.frontier import of_problem
from tvm_sparse.planning.plan import Plan, Planned
from tvm_sparse.planning.problem import Problem, Selection
from tvm_sparse.planning.sensitivity import Errors
from tvm_sparse.planning.strategies import Task, Tell, silent
from tvm_sparse.profiling import short
from tvm_sparse.profiling.read import read
from tvm_sparse.profiling.sampling import usual
from tvm_sparse.pruning import fits

if TYPE_CHECKING:
    from tvm_sparse.planning.calibration import Stitched
    from tvm_sparse.planning.pruned import Pruned
    from tvm_sparse.pruning.hessians import Hessians

DENSITIES = tuple(curves.geometric(0.6, 0.02, 40))
Kind = Literal["outputs", "loss", "magnitude"]
_HALVINGS = 7  # of the range of speed-ups in which an accuracy is looked for


@dataclass(kw_only=True)
class Planner:
    """A model, a latency table, and what is known of the model's sensitivity.

    Parameters
    ----------
    model, table, target, example_inputs, schemes, densities, bits, calibration, errors, cache
        As `plan` takes them, and so `progress`.
    slower : float
        How many times as long everything takes now as the table says.
    method : str
        As `plan` takes it.
    """

    model: Any
    table: LatencyTable | str | Path
    target: Any = "x86"
    example_inputs: Any = None
    schemes: Sequence[str] | None = None
    densities: Sequence[float] | None = None
    bits: Sequence[int] = (32,)
    calibration: Any = None
    errors: Kind | None = None
    cache: str | Path | None = None
    progress: Tell = silent
    slower: float = 1.0
    method: str = "magnitude"

    @cached_property
    def latencies(self) -> Problem:
        """The options of each layer with their times; errors are 0."""
        known = targets.load(self.target)
        short.check(self.bits, known)
        table = self.table if isinstance(self.table, LatencyTable) else read(self.table, known)
        self.progress("latencies", 0, 1)
        found = network.describe(self.model, table, known, self.example_inputs, self.bits)
        forms = {bits: self.schemes or usual(bits) for bits in self.bits}
        densities = sorted(self.densities or DENSITIES, reverse=True)
        return options.problem(found, table, forms, densities).scaled(self.slower)

    @property
    def reach(self) -> float:
        """The largest speed-up that the options allow."""
        return self.latencies.reach

    @property
    def least(self) -> float:
        """The least seconds of the network that the options allow."""
        return self.latencies.least("seconds")

    @cached_property
    def problem(self) -> Problem:
        """The options of each layer, with times and errors."""
        names = self._prunable
        errors, of = self._data_free(names) if self._kind == "magnitude" else self._on_data(names)
        known = Cache(None if self.cache is None else Path(self.cache), of)
        return sensitivity.with_errors(self.latencies, errors, known, self.progress)

    def _data_free(self, names: Sequence[str]) -> tuple[Errors, str]:
        """Return errors of layers by their weights, and what these are called in a cache."""
        found = weights.weights(self.model, self.example_inputs)
        if missing := [name for name in names if name not in found]:
            raise PlanError(f"no weights of the layers {', '.join(missing)} were found")
        return sensitivity.removed_magnitude(found), weights.fingerprint(found)

    def _on_data(self, names: Sequence[str]) -> tuple[Errors, str]:
        """Return errors of layers by calibration data, and what these are called in a cache."""
        from tvm_sparse.planning.calibration import fingerprint, output_errors

        fitted = "fitted" if fits(self.method) else None
        of = fingerprint(self.model, self._inputs, self._kind, fitted)
        stitched = self.stitched if self._kind == "loss" else None
        if stitched is not None:
            return stitched.error, of
        pruned, known = self._pruned
        return output_errors(self.model, self._inputs, names, pruned, known), of

    @cached_property
    def _prunable(self) -> list[str]:
        """The layers that are offered anything but to stay dense."""
        slots = [slot for slot in self.latencies.slots if len(slot.options) > 1]
        return [name for slot in slots for name in slot.names if name not in slot.depthwise]

    @cached_property
    def _pruned(self) -> tuple[Pruned, Hessians]:
        """What is left of weights under schemes, and second moments of what layers read."""
        from tvm_sparse.planning.calibration import weights
        from tvm_sparse.planning.pruned import Pruned, regular
        from tvm_sparse.pruning.hessians import collect

        self.progress("what layers read", 0, 1)
        known = collect(self.model, self._prunable, [self._inputs])
        if not fits(self.method):
            return Pruned(weights(self.model)), known
        known = regular(known)
        return Pruned(weights(self.model), known), known

    @cached_property
    def stitched(self) -> Stitched | None:
        """The model on calibration data; None without data."""
        if self.calibration is None:
            return None
        from tvm_sparse.planning.calibration import Stitched

        pruned = self._pruned[0] if fits(self.method) else None
        return Stitched(self.model, self._inputs, self._labels, pruned)

    def plan(
        self,
        budget: str | Budget,
        strategy: str = "search",
        *,
        trials: int = 200,
        seed: int = 0,
        difficulty: Literal["easy", "hard"] = "easy",
        policy: str | Path | None = None,
    ) -> Plan:
        """Return a plan within a budget; parameters and errors as `plan` has them."""
        options = {"trials": trials, "seed": seed, "difficulty": difficulty, "policy": policy}
        wanted = Budget.parse(budget) if isinstance(budget, str) else budget
        choose = strategies.get(strategy)
        self._check(wanted)
        if wanted.kind == "accuracy":
            return self._floor(wanted, strategy, **options)
        limit = wanted.limit(self.latencies)
        problem, begin = self.problem, time.perf_counter()
        stitched = self.stitched
        task = Task(
            problem=problem,
            limit=limit,
            resource=wanted.resource,
            score=None if stitched is None else lambda c: stitched.loss(problem.schemes(c)),
            trials=trials,
            seed=seed,
            difficulty=difficulty,
            policy=None if policy is None else Path(policy),
            tell=self.progress,
        )
        return self._plan(choose(task), wanted, strategy, time.perf_counter() - begin)

    def exchanged(self, plan: Plan, seconds: float) -> Plan:
        """Return a plan like one of this planner's, predicted to take about so many seconds.

        Few layers get other densities, see `tvm_sparse.planning.exchange`.
        """
        problem, begin = self.problem, time.perf_counter()
        found = exchange.exchanged(problem, self._chosen(plan), seconds)
        took = plan.search_seconds + time.perf_counter() - begin
        return self._plan(found, Budget.parse(plan.budget), plan.strategy, took)

    def _chosen(self, plan: Plan) -> Selection:
        """Return the selection that a plan was made of; what a chain gets, its last layer gets."""
        return tuple(
            [option.scheme for option in slot.options].index(plan.layers[slot.names[-1]].scheme)
            for slot in self.problem.slots
        )

    def front(self, points: int = 60) -> list[tuple[float, float]]:
        """Return the least error for each time: (seconds of the network, error), fastest first."""
        problem = self.problem
        found = of_problem(problem, [slot.errors for slot in problem.slots])
        step = max(1, len(found.costs) // points)
        pairs = zip(found.costs[::step], found.errors[::step], strict=True)
        return [(float(cost) + problem.rest, float(error)) for cost, error in pairs]

    @property
    def _kind(self) -> Kind:
        return self.errors or ("magnitude" if self.calibration is None else "outputs")

    def _check(self, budget: Budget) -> None:
        """Raise PlanError where something is asked for that needs other data."""
        kind = self._kind
        if kind not in ("outputs", "loss", "magnitude"):
            raise PlanError(f"unknown errors {kind!r}; expected outputs, loss or magnitude")
        if kind != "magnitude" and self.calibration is None:
            raise PlanError(f"errors {kind!r} need calibration data: calibration=inputs")
        if budget.kind == "accuracy" and self._labels is None:
            raise PlanError("an accuracy that must stay needs labels: calibration=(inputs, labels)")

    @property
    def _inputs(self) -> Any:
        return self.calibration[0] if isinstance(self.calibration, tuple) else self.calibration

    @property
    def _labels(self) -> Any:
        return self.calibration[1] if isinstance(self.calibration, tuple) else None

    def _plan(self, chosen: Selection, budget: Budget, strategy: str, seconds: float) -> Plan:
        problem, layers = self.problem, {}
        for slot, option in zip(problem.slots, problem.options(chosen), strict=True):
            planned = Planned(
                scheme=option.scheme,
                seconds=option.seconds,
                dense_seconds=slot.options[0].seconds,
                error=option.error,
                nbytes=option.nbytes,
                measured=option.measured,
            )
            still = replace(planned, scheme=DENSE)
            pruned = slot.pruned(option.scheme)
            layers.update({name: planned if name in pruned else still for name in slot.names})
        return Plan(
            layers=layers,
            seconds=problem.total(chosen, "seconds"),
            dense_seconds=problem.total(problem.dense, "seconds"),
            nbytes=problem.total(chosen, "nbytes"),
            error=problem.error(chosen),
            reach=problem.reach,
            search_seconds=seconds,
            budget=str(budget),
            strategy=strategy,
            target=targets.load(self.target).name,
        )

    def _floor(self, floor: Budget, strategy: str, **options: Any) -> Plan:
        """Return the fastest plan found that keeps an accuracy on the calibration data."""
        stitched = self.stitched
        assert stitched is not None
        if stitched.accuracy({}) < floor.value:
            raise PlanError(
                f"the dense model has an accuracy of {stitched.accuracy({}):.1%} on the "
                f"calibration data, below the {floor} that must stay"
            )
        low, high, best = 1.0, self.reach, self._plan(self.latencies.dense, floor, strategy, 0.0)
        begin = time.perf_counter()
        for _ in range(_HALVINGS):
            middle = (low * high) ** 0.5
            found = self.plan(Budget(kind="speedup", value=middle), strategy, **options)
            if stitched.accuracy(found.decided) >= floor.value:
                low, best = middle, found
            else:
                high = middle
        seconds = time.perf_counter() - begin
        return replace(best, budget=str(floor), search_seconds=seconds)


def plan(
    model: Any,
    table: LatencyTable | str | Path,
    budget: str | Budget = "2x",
    *,
    target: Any = "x86",
    example_inputs: Any = None,
    strategy: str = "search",
    schemes: Sequence[str] | None = None,
    densities: Sequence[float] | None = None,
    bits: Sequence[int] = (32,),
    calibration: Any = None,
    errors: Kind | None = None,
    method: str = "magnitude",
    cache: str | Path | None = None,
    trials: int = 200,
    seed: int = 0,
    difficulty: Literal["easy", "hard"] = "easy",
    policy: str | Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Plan:
    """Choose a scheme for every layer of a model: the least error within a budget.

    The first and the last layer stay dense, and so do depthwise ones. The model is not changed.

    Parameters
    ----------
    model, target, example_inputs
        As `tvm_sparse.build` takes them.
    table : LatencyTable or path
        What `tvm_sparse.profile` measured, of this model or of others.
    budget : str or Budget
        A speed-up over dense (``"2.5x"``), the time of a run (``"3ms"``), the size of all weights
        (``"400KB"``), or an accuracy that must stay (``"97%"``).
    strategy : str
        ``"search"``: coefficients of errors are searched for (needs calibration data, else it is
        ``"dp"``: the least sum of errors); ``"rules"``; ``"uniform"``: one scheme for all;
        ``"reinforce"``, ``"ddpg"`` and ``"agmc"`` learn formats, times, and times by the graph.
    schemes : sequence of str, optional
        Formats with blocks that are offered; by default those that `tvm_sparse.profile` measures.
    densities : sequence of float, optional
        By default 40 of equal ratios, from 0.6 to 0.02.
    bits : sequence of int
        ``(32, 8)`` also offers each layer to be int8, dense or pruned, the first and the last one
        too; 16 offers weights of bfloat16, 4 weights of int4 by groups, to linear layers alone:
        there is no such kernel for convolutions. The plan's schemes end in their bits, and
        `tvm_sparse.quantize` takes the plan.
    calibration : Tensor or (Tensor, Tensor), optional
        A batch of inputs, with labels where an accuracy must stay; the model is a torch module
        then.
    errors : {"outputs", "loss", "magnitude"}, optional
        What a layer's error is: of its outputs, by default with calibration data; of the network's
        outputs; or of its weights, by default without data.
    method : str
        How the model will be pruned, as `tvm_sparse.prune` takes it. Errors on calibration data are
        those of magnitude pruning; of methods that then fit what is left by least squares
        (`tvm_sparse.pruning.fits`), those after the fit.
    cache : path, optional
        A file that keeps errors: what was stopped goes on from there.
    trials : int
        Networks that the search runs.
    seed : int
        Of the search.
    difficulty : {"easy", "hard"}
        Of the data, for the rules.
    policy : path, optional
        A file with what the strategy ``"agmc"`` learnt, also of other networks; it is made when
        missing, and learns more.
    progress : callable, optional
        Called with what runs, how much of it is done, and how much there is.

    Returns
    -------
    Plan
        `tvm_sparse.prune` takes it.

    Raises
    ------
    PlanError
        If the budget is out of reach; the message says what is possible. If the budget or the
        strategy is unknown.
    ModelError, TargetError, FormatError, DatabaseError
        If the model, the target, a scheme or the table is not usable.
    """
    planner = Planner(
        model=model,
        table=table,
        target=target,
        example_inputs=example_inputs,
        schemes=schemes,
        densities=densities,
        bits=bits,
        calibration=calibration,
        errors=errors,
        method=method,
        cache=cache,
        progress=progress or silent,
    )
    return planner.plan(
        budget, strategy, trials=trials, seed=seed, difficulty=difficulty, policy=policy
    )
