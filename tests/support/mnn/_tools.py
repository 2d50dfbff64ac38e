"""Stands in for MNN's converter: keeps the ONNX file, and notes what it was asked for."""

import os
import shutil
from pathlib import Path


def mnnconvert(args: list[str]) -> None:
    os.write(1, b"Start to Convert Other Model Format To MNN Model...\n")
    given = dict(zip(args[1::2], args[2::2], strict=True))
    if "STANDIN_LOG" in os.environ:
        options = given.get("--compressionParamsFile")
        text = Path(options).read_text() if options else "{}"
        with open(os.environ["STANDIN_LOG"], "a") as log:
            log.write(f"{given.get('--detectSparseSpeedUp', '0')} {text}\n")
    if os.environ.get("STANDIN_FAULT") != "converter":
        shutil.copyfile(given["--modelFile"], given["--MNNModel"])
