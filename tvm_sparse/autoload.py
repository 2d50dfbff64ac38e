"""Make this package known to TVM: run by `import tvm`, through the entry point ``tvm.backends``."""

from __future__ import annotations

from typing import Any


def register() -> None:
    """Add ``relax.get_pipeline("tvm_sparse")``; the passes themselves load when it is called."""
    from tvm import relax

    if "tvm_sparse" not in relax.pipeline.PIPELINE_MAP:
        relax.register_pipeline("tvm_sparse")(_pipeline)


def _pipeline(**options: Any) -> Any:
    from tvm_sparse.relay_passes.pipeline import pipeline

    return pipeline(**options)
