"""Make this package known to TVM: run by `import tvm`, through the entry point ``tvm.backends``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def register() -> None:
    """Add ``relax.get_pipeline("tvm_sparse")``, and Vulkan where TVM lacks it.

    The passes, and the device, load when they are first used.
    """
    from tvm import relax

    from tvm_sparse.targets.vulkan.register import register as register_vulkan

    register_vulkan()

    if "tvm_sparse" not in relax.pipeline.PIPELINE_MAP:
        relax.register_pipeline("tvm_sparse")(_pipeline)


def _pipeline(database: str | Path | None = None, **options: Any) -> Any:
    """Return `tvm_sparse.relay_passes.pipeline.pipeline`, with kernels from a database."""
    from tvm_sparse.relay_passes import scope
    from tvm_sparse.relay_passes.pipeline import pipeline
    from tvm_sparse.tuning.decide import tuned

    if database is not None:
        options["target"] = scope.current(options.get("target"))
        known = tuned(database, options["target"], options.get("sparse", True))
        options.update(
            decide=known.layers,
            decide_integers=known.integers,
            decide_nibbles=known.nibbles,
        )
    return pipeline(**options)
