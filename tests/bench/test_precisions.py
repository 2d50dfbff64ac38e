from __future__ import annotations

import json

import pytest

from tvm_sparse.bench import precisions_table
from tvm_sparse.bench.precisions import layer_of, measure
from tvm_sparse.errors import FormatError


def test_layers_are_measured_in_every_precision() -> None:
    (row,) = measure(["48x64@2"], ["one_by_n-16@0.25"], ["bfloat16", "int4-32"], rounds=1)
    assert list(row.times) == ["float32", "bfloat16", "int4-32"]
    assert row.nbytes["float32"] > row.nbytes["bfloat16"] > 0
    assert 0 == row.errors["float32"] < row.errors["bfloat16"] < 0.01 < row.errors["int4-32"] < 0.2
    lines = precisions_table.markdown([row]).splitlines()
    assert lines[2].startswith("| 48x64@2 | one_by_n-16@0.25 | float32 | ")
    assert lines[2].endswith(" | 1.00 | 0.00% |")
    assert json.loads(json.dumps(precisions_table.to_json([row])))["rows"][0]["case"] == "48x64@2"


def test_layers_are_written_as_filters_channels_and_rows() -> None:
    assert layer_of("8x4@3").weight == (8, 4)
    with pytest.raises(FormatError, match=r"expected e\.g\. 4096x4096@1"):
        layer_of("8x4")
