"""Run an exported model with the stock TVM runtime alone, and compare its predictions.

Example: python scripts/run_exported.py sparse.so answers.npz, which `tvm-sparse run` writes
"""

import sys

import numpy as np
import tvm
from tvm import relax


def main(library: str, case: str) -> None:
    """Classify every image of the case; end with status 1 if a prediction differs."""
    machine = relax.VirtualMachine(tvm.runtime.load_module(library), tvm.cpu())
    saved = np.load(case)
    logits = [machine["main"](tvm.runtime.tensor(x[None])).numpy()[0] for x in saved["images"]]
    same = int((np.argmax(logits, axis=1) == saved["predictions"]).sum())
    if "tvm_sparse" in sys.modules:
        sys.exit("tvm_sparse was imported: expected the stock TVM runtime alone")
    print(f"stock TVM {tvm.__version__} alone: {same} of {len(logits)} predictions are the same")
    sys.exit(same != len(logits))


if __name__ == "__main__":
    main(*sys.argv[1:])
