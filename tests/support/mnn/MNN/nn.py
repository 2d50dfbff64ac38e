import os
from typing import Any

import onnxruntime

import MNN.expr


class Module:
    def __init__(self, path: str, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def forward(self, x: Any) -> Any:
        feed = {self.session.get_inputs()[0].name: x.read()}
        outputs = self.session.run(None, feed)
        wrong = 1.01 if os.environ.get("STANDIN_FAULT") == "results" else 1
        return [MNN.expr.Var(output * wrong) for output in outputs]


def create_runtime_manager(settings: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    assert settings[0]["precision"] == "high"
    return settings[0]


def load_module_from_file(
    path: str, inputs: list[str], outputs: list[str], runtime_manager: dict[str, Any]
) -> Module:
    return Module(path, runtime_manager["numThread"])
