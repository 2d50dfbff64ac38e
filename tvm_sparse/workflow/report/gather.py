"""What a run's folder tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.errors import ConfigError, PlanError
from tvm_sparse.planning.plan import Plan
from tvm_sparse.workflow.folder import Folder, Result, folder_of

Mask = npt.NDArray[np.bool_]
_STAGES = {
    "planned": "planned",
    "pruned": "prune",
    "fine_tuned": "fine_tune",
    "quantized": "quantize",
    "tuned": "tune",
    "built": "build",
    "verified": "verify",
}
"""Files of the stages, by what `Made` calls their results."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A plan that was made, trained and measured.

    Parameters
    ----------
    name : str
        E.g. ``search 2.5x``.
    plan : Plan
    planned, pruned, fine_tuned, quantized, tuned, built, verified : dict
        What the stages found.
    masks : dict of str to array of shape (filters, weights of a filter)
        By layer: which weights are left.
    """

    name: str
    plan: Plan
    planned: Result
    pruned: Result
    fine_tuned: Result
    quantized: Result
    tuned: Result
    built: Result
    verified: Result
    masks: dict[str, Mask] = field(repr=False)

    @property
    def strategy(self) -> str:
        """How the plan was made."""
        return self.name.split()[0]

    @property
    def layers(self) -> list[Result]:
        """The kernels that compute layers of the plan, with ``scheme`` and ``dense`` seconds."""
        found = []
        for kernel in self.verified["kernels"]:
            planned = self.plan.layers.get(kernel["name"].split(" + ")[0])
            if kernel["stored"] and planned is not None:
                about: Result = {"scheme": str(planned.scheme).partition("/")[0]}
                about["bits"] = int(kernel["stored"].rpartition("/")[2])
                about["dense"] = planned.dense_seconds
                found.append({**kernel, **about})
        return found


@dataclass(frozen=True, kw_only=True)
class Found:
    """A run.

    Parameters
    ----------
    name : str
        Of its folder.
    config : dict
    train, profile, dense : dict
        What the stages found.
    made : list of Made
        The run's own plan first.
    """

    name: str
    config: dict[str, Any]
    train: Result
    profile: Result
    dense: Result
    made: list[Made]


def read(path: Path) -> Found:
    """Read a run's folder.

    Raises
    ------
    ConfigError
        If it is none, or nothing was measured yet.
    """
    folder = Folder(path) if path.is_dir() else None
    about = folder.known("run") if folder else None
    if folder is None or about is None:
        raise ConfigError(f"{path} is no folder of a run: `tvm-sparse run config.toml` makes one")
    train, profile, dense = (folder.known(stage) for stage in ("train", "profile", "dense"))
    made = [one for name in about["variants"] if (one := _made(path, name)) is not None]
    if train is None or profile is None or dense is None or not made:
        raise ConfigError(f"nothing was measured in {path} yet: finish the run first")
    return Found(
        name=path.resolve().name,
        config=about["config"],
        train=train,
        profile=profile,
        dense=dense,
        made=made,
    )


def _made(path: Path, name: str) -> Made | None:
    """Return a plan's results; None unless it was measured."""
    place = path / folder_of(name)
    if not place.is_dir():
        return None
    folder = Folder(place)
    found = {stage: folder.known(file) for stage, file in _STAGES.items()}
    stages = {stage: result for stage, result in found.items() if result is not None}
    if len(stages) < len(_STAGES):
        return None
    try:
        plan = Plan.read(place / "plan.json")
        with np.load(place / "masks.npz") as masks:
            arrays = {layer: masks[layer] for layer in masks.files}
    except (PlanError, OSError, ValueError):
        return None
    return Made(name=name, plan=plan, masks=arrays, **stages)
