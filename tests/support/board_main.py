"""What an emulated board runs: `tvm_sparse.rpc.serve`, with the runtime of TVM alone."""

from __future__ import annotations

import logging
import sys

from tvm_sparse.rpc.address import Address
from tvm_sparse.rpc.serve import serve

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    serve(Address.parse(sys.argv[1]), sys.argv[2], host="127.0.0.1", port=int(sys.argv[3]))
