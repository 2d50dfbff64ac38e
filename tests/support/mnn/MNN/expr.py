from typing import Any

import numpy as np

NCHW = float = object()


class Var:
    def __init__(self, value: Any) -> None:
        self.value = value

    def write(self, value: Any) -> None:
        assert value.shape == self.value.shape
        self.value = value

    def read(self) -> Any:
        return self.value


def placeholder(shape: list[int], layout: object, kind: object) -> Var:
    assert layout is NCHW and kind is float
    return Var(np.zeros(shape, np.float32))


def convert(var: Var, layout: object) -> Var:
    assert layout is NCHW
    return var
