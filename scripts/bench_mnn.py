"""Measure whole networks with MNN among the rivals, in the patterns that its kernels know.

Options are those of `tvm-sparse bench networks`. `bash scripts/bench_mnn.sh` makes MNN's
environment first.

Example: bash scripts/bench_mnn.sh --names resnet50 --zeros 90 --threads 1
"""

import sys

from tvm_sparse import formats
from tvm_sparse.bench import mnn, networks
from tvm_sparse.cli import main

NETWORKS = ("resnet50", "mobilenet_v2", "bert")
SCHEMES = ("unstructured", "one_by_n-4", "block-4x4", "nm-2x4@0.5")


def defaults() -> list[str]:
    """Return the options that hold unless given: every network and format that there is."""
    names = [name for name in NETWORKS if name in networks.names()]
    schemes = [text for text in SCHEMES if text.split("-")[0] in formats.names()]
    return ["--names", ",".join(names), "--schemes", ",".join(schemes), "--zeros", "80,90"]


if __name__ == "__main__":
    if mnn.installed() is None:
        sys.exit(
            f"error: no MNN in {mnn.environment()}: bash scripts/bench_mnn.sh installs it there; "
            f"{mnn.VARIABLE} may name another folder"
        )
    sys.argv[1:1] = ["bench", "networks", *defaults()]
    main()
