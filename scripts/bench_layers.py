"""Measure single layers against dense engines; options are those of `tvm-sparse bench layers`.

Example: python scripts/bench_layers.py --sets resnet50 --zeros 80 --filters 4,8 --threads 1
"""

import sys

from tvm_sparse.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["bench", "layers"]
    main()
