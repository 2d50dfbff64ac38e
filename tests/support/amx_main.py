"""Run kernels with tiles of AMX in a process that has no more than TVM: see `support.amx`.

Requests are pickled to standard input: (kind, path of a library, arrays). Answers are pickled to
standard output: the last array, or what the model returns, or the error's text. Other kinds ask
the emulator: how often it carried out an instruction, and to refuse tiles.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import sys
from typing import Any

import tvm
from tvm.runtime.vm import VirtualMachine


def answer(kind: str, path: str, arrays: list[Any]) -> Any:
    if kind == "count":
        return ctypes.CDLL(None).amx_count(path.encode())
    if kind == "refuse":
        return ctypes.CDLL(None).amx_refuse(len(path))
    library = tvm.runtime.load_module(path)
    tensors = [tvm.runtime.tensor(array) for array in arrays]
    if kind == "model":
        return VirtualMachine(library, tvm.cpu())["main"](*tensors).numpy()
    library["main"](*tensors)
    return tensors[-1].numpy()


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            found = answer(*request)
        except Exception as error:  # the parent raises it
            found = error.__class__.__name__ + ": " + str(error)
        pickle.dump(found, answers)
        answers.flush()


if __name__ == "__main__":
    main()
