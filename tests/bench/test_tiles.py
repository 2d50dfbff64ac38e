from __future__ import annotations

import json
from dataclasses import replace

import pytest

from support import amx
from support.layers import conv
from tvm_sparse.bench import tiles, tiles_table


def test_the_share_of_zeros_is_found_at_which_two_times_are_equal() -> None:
    assert tiles.even(lambda zeros: 8 * (1 - zeros), 1.0) == pytest.approx(7 / 8, abs=1e-3)
    assert tiles.even(lambda zeros: 2 - zeros / 2, 1.0) == 1


def test_small_blocks_must_be_rarer_than_tiles_to_beat_dense_tiles() -> None:
    layer = conv((128, 128, 3, 3), (1, 14, 14), padding=(1, 1, 1, 1))
    row = tiles.model(layer, replace(amx.target(), cores=1))
    assert row.tiles < row.words / 4
    assert row.of_tiles < 0.3 < 0.7 < row.of_words < 1
    assert "nothing was measured" in tiles_table.markdown([row])
    assert json.loads(json.dumps(tiles_table.to_json([row])))["modelled"] is True
