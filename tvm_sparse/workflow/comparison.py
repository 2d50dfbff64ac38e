"""Compare plans: each strategy, at each speed-up, of networks that were trained from several seeds.

Every plan goes all the way: pruned, fine-tuned for several numbers of epochs, built, verified and
measured in turns with the dense network. What ended is kept in the folder and not repeated::

    runs/plans/
        resnet8/
            latencies/              one table for all seeds
            seed-0/                 a run, see `tvm_sparse.workflow.folder`
                search-2.5x/        a plan
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from tvm_sparse.errors import ConfigError, PlanError
from tvm_sparse.planning.budget import Budget
from tvm_sparse.workflow import config, training
from tvm_sparse.workflow.folder import Folder, Result, named
from tvm_sparse.workflow.lessons import Lesson
from tvm_sparse.workflow.shared import Shared, Tell
from tvm_sparse.workflow.variant import Variant

NETWORKS = {"resnet8": (32, 32), "resnet20": (16, 32), "mobilenet_small": (48, 16)}
"""Width of the first stage, and the size of the digits: kernels take most of the time then."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared, and how.

    Parameters
    ----------
    folder : Path
    strategies, budgets : sequence of str
        E.g. ``search`` and ``2.5x``; each with each.
    epochs : sequence of int
        Of fine-tuning; 0 is none.
    training : int
        Epochs of the dense network.
    method : str
        Of pruning.
    formats : sequence of str
        What plans choose from; by default what is profiled by default.
    densities : sequence of float
        The coarse grid of the latency table; by default as `tvm_sparse.profile` has it.
    trials : int
        Networks that a search runs.
    seconds : float
        For the latency table of a network.
    """

    folder: Path
    strategies: Sequence[str] = ("uniform", "rules", "search")
    budgets: Sequence[str] = ("2.5x", "5x")
    epochs: Sequence[int] = (0, 1, 3)
    training: int = 8
    method: str = "least_squares"
    formats: Sequence[str] = ()
    densities: Sequence[float] = ()
    trials: int = 100
    seconds: float = 300.0

    def config(self, network: str, seed: int) -> config.Config:
        """Return the run of a network.

        Raises
        ------
        ConfigError
            If it is none of `NETWORKS`.
        """
        if network not in NETWORKS:
            raise ConfigError(f"unknown network {network!r}; expected one of {', '.join(NETWORKS)}")
        width, size = NETWORKS[network]
        table = str(self.folder / network / "latencies")
        return config.parse(
            {
                "seed": seed,
                "data": {"size": size},
                "model": {"name": network, "width": width},
                "train": {"epochs": self.training},
                "profile": {
                    "table": table,
                    "time": self.seconds,
                    "formats": list(self.formats),
                    "densities": list(self.densities),
                },
                "plan": {"trials": self.trials, "images": 128},
                "prune": {"method": self.method},
                "fine_tune": {"epochs": max(self.epochs)},
            }
        )


@dataclass(frozen=True, kw_only=True)
class PlanRow:
    """A plan, all the way.

    Parameters
    ----------
    network, strategy, budget : str
    seed : int
    reason : str
        Why there is no plan; then there are no numbers.
    accuracy : float
        Of the dense network.
    accuracies : mapping of int to float
        Of the pruned one, after each number of epochs.
    speedup : float
        Measured.
    dense, sparse : float
        Measured seconds.
    spread : float
        Half of the interquartile range of `sparse`, as a share.
    predicted : float
        Seconds, as the latency table says them of the network that was built, times what plans
        taught that were measured before it: of this network, and of others of its kind.
    by_table : float
        The same without what they taught.
    uncorrected : float
        Measured over wanted speed of the first plan, before it was corrected; 0 where another
        seed's correction came first.
    tries : int
        Plans that were measured on the way.
    error : float
        The sum of the layers' errors.
    """

    network: str
    strategy: str
    budget: str
    seed: int
    reason: str = ""
    accuracy: float = 0.0
    accuracies: Mapping[int, float] = field(default_factory=dict)
    speedup: float = 0.0
    dense: float = 0.0
    sparse: float = 0.0
    spread: float = 0.0
    predicted: float = 0.0
    by_table: float = 0.0
    uncorrected: float = 0.0
    tries: int = 0
    error: float = 0.0

    @property
    def off(self) -> float:
        """By which share the prediction is too long; negative if it is too short."""
        return self.predicted / self.sparse - 1

    @property
    def off_by_table(self) -> float:
        """The same of `by_table`."""
        return self.by_table / self.sparse - 1

    @property
    def met(self) -> float:
        """Measured over wanted speed."""
        wanted = Budget.parse(self.budget)
        return (self.speedup if wanted.kind == "speedup" else 1 / self.sparse) / (
            wanted.value if wanted.kind == "speedup" else 1 / wanted.value
        )


def compare(
    wanted: Comparison, networks: Sequence[str], seeds: Sequence[int], tell: Tell
) -> Iterator[PlanRow]:
    """Yield a row for each plan: all plans of a seed, then the next one.

    Raises
    ------
    ConfigError, ModelError, DatabaseError, PruningError
        What the stages of a run raise. Budgets out of reach do not end the comparison.
    """
    asked: dict[tuple[str, str, str], Budget] = {}
    lessons: dict[str, list[Lesson]] = {network: [] for network in networks}
    for seed in seeds:
        for network in networks:
            shared = _shared(wanted, network, seed, tell)
            for budget, strategy in product(wanted.budgets, wanted.strategies):
                name = network, budget, strategy
                variant = Variant(
                    shared=shared,
                    strategy=strategy,
                    budget=budget,
                    start=asked.get(name),
                    lessons=tuple(lessons[network]),
                )
                row = _row(variant, network, sorted(wanted.epochs))
                if not row.reason:  # the next seed's kernels are as far from their predictions
                    kind, value = Budget.parse(budget).kind, variant.planned["asked"]
                    asked[name] = Budget(kind=kind, value=value)
                    lessons[network] += map(Lesson.of, variant.planned["tried"])
                yield row


def _shared(wanted: Comparison, network: str, seed: int, tell: Tell) -> Shared:
    """Return a run whose latency table is that of the network's other seeds."""

    def told(stage: str, done: int, total: int) -> None:
        tell(f"{network}, seed {seed}: {stage}", done, total)

    path, wished = wanted.folder / network, wanted.config(network, seed)
    shared = Shared(config=wished, folder=Folder(path / f"seed-{seed}"), tell=told)
    common = Shared(config=wished, folder=Folder(path), tell=told)
    common.__dict__["dense"] = shared.dense  # its shapes are all that profiling reads
    found = common.profiled
    shared.folder.stage("profile", found["of"], lambda: found)
    return shared


def _row(variant: Variant, network: str, epochs: Sequence[int]) -> PlanRow:
    shared = variant.shared
    about: dict[str, Any] = {
        "network": network,
        "strategy": variant.strategy,
        "budget": variant.budget,
        "seed": shared.config.seed,
        "accuracy": shared.trained["accuracy"],
    }
    try:
        planned = variant.planned
    except PlanError as error:
        return PlanRow(**about, reason=str(error))
    accuracies = {number: _accuracy(variant, number) for number in epochs}
    found, tried = variant.verified, planned["tried"]
    return PlanRow(
        **about,
        accuracies=accuracies,
        uncorrected=tried[0]["share"] if tried and variant.start is None else 0.0,
        tries=len(tried),
        error=variant.plan.error,
        **{
            name: found[name]
            for name in ("speedup", "dense", "sparse", "spread", "predicted", "by_table")
        },
    )


def _accuracy(variant: Variant, epochs: int) -> float:
    """Return the accuracy after some epochs of fine-tuning; the run itself has the most of them."""
    shared = variant.shared
    if not epochs:
        return float(variant.pruned["accuracy"])
    if epochs == shared.config.fine_tune.epochs:
        return float(variant.fine_tuned["accuracy"])
    how = replace(shared.config.fine_tune, epochs=epochs)
    of = named("fine_tune", variant.pruned["of"], str(how))
    found = variant.folder.stage(f"epochs-{epochs}", of, lambda: _shorter(variant, how))
    return float(found["accuracy"])


def _shorter(variant: Variant, how: config.FineTune) -> Result:
    """Fine-tune a pruned network in another way than its run does."""
    shared = variant.shared
    model = shared.network(variant.folder.path / "pruned.pt")
    seed = shared.config.seed
    torch.manual_seed(seed)
    training.train(
        model, shared.images, training.training(shared.images, how, seed, shared.tell, shared.dense)
    )
    return {"accuracy": training.accuracy(model, shared.images)}
