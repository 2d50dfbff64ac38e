"""Run the command line: ``python -m tvm_sparse``."""

from tvm_sparse.cli import main

main()
