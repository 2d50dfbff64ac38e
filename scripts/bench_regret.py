"""Measure what the cost formula's choices cost; options are those of `tvm-sparse bench regret`.

Example: python scripts/bench_regret.py --sets bert --zeros 80 --schemes block-4x1
"""

import sys

from tvm_sparse.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["bench", "regret"]
    main()
