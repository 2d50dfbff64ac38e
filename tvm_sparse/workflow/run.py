"""Do all of a run, stage by stage; those that ended before are not repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tvm_sparse import targets
from tvm_sparse.workflow.checks import check
from tvm_sparse.workflow.config import Config, read
from tvm_sparse.workflow.folder import Folder, Result, named
from tvm_sparse.workflow.report import write
from tvm_sparse.workflow.shared import Shared, Tell
from tvm_sparse.workflow.variant import Variant

Told = Callable[[str, Result], None]

STAGES = ("planned", "pruned", "fine_tuned", "quantized", "tuned", "built", "verified")
"""Those of each plan, in order; before them come train, profile and dense, after them report."""


def run(path: str | Path, progress: Tell | None = None, done: Told | None = None) -> list[Variant]:
    """Train, profile, plan, prune, fine-tune, quantize, tune, build, verify and report.

    Parameters
    ----------
    path : path
        A TOML file, see `tvm_sparse.workflow.config`.
    progress : callable, optional
        Called with what runs, how much of it is done, and how much there is.
    done : callable, optional
        Called with each stage's name and what it found, when it ended.

    Returns
    -------
    list of Variant
        The plans; the run's own first. The report is in the run's folder.

    Raises
    ------
    ConfigError
        If the configuration is wrong, or data are not there.
    TvmSparseError
        What the verbs raise.
    """
    file = Path(path)
    config = read(file)
    check(config, str(file))
    folder = Path(config.folder) if config.folder else file.with_suffix("")
    return stages(config, folder, progress or (lambda *_: None), done or (lambda *_: None))


def stages(config: Config, folder: Path, tell: Tell, done: Told) -> list[Variant]:
    """Do all stages of a configuration in a folder; as `run`."""
    targets.load(config.build.target)
    shared = Shared(config=config, folder=Folder(folder), tell=tell)
    names = [f"{strategy} {budget}" for strategy, budget in config.variants]
    about = {"config": asdict(config), "variants": names}
    shared.folder.stage("run", named(about), lambda: about)
    done("train", shared.trained)
    done("profile", shared.profiled)
    for name, found in shared.profiled_short.items():
        done(f"profile {name}", found)
    done("dense", shared.measured)
    variants = [Variant(shared=shared, strategy=s, budget=b) for s, b in config.variants]
    for variant in variants:
        for stage in STAGES:
            done(f"{variant.name}: {stage}", getattr(variant, stage))
    tell("report", 0, 1)
    done("report", {"page": str(write(shared.folder.path))})
    return variants
