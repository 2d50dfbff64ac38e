"""Measure whole networks against dense engines; options are those of `tvm-sparse bench networks`.

Example: python scripts/bench_networks.py --names resnet50 --threads 1
"""

import sys

from tvm_sparse.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["bench", "networks"]
    main()
