from __future__ import annotations

import numpy as np
import pytest

from tvm_sparse.errors import FormatError
from tvm_sparse.quantization.ranges import METHODS, Rule, Seen, weights


def seen(*tensors: np.ndarray) -> Seen:
    found = Seen(axis=1)
    for note in (Seen.extremes, Seen.count):
        for tensor in tensors:
            note(found, tensor)
    return found


def test_everything_that_was_seen_has_a_byte() -> None:
    given = Rule().bytes_of(seen(np.array([[-1.0, 0.5]]), np.array([[0.0, 4.1]])))
    assert given.scale == pytest.approx(5.1 / 255)
    assert given.zero == 50


def test_tensors_without_negative_values_use_every_byte() -> None:
    assert Rule().bytes_of(seen(np.array([[0.5, 3.0]]))).zero == 0


def test_signed_bytes_lie_around_zero() -> None:
    given = Rule(symmetric=True).bytes_of(seen(np.array([[-1.0, 0.5]])))
    assert given.zero == 128
    assert given.scale == pytest.approx(1 / 127)


def test_a_percentile_leaves_rare_values_out() -> None:
    values = np.random.default_rng(0).standard_normal((1000, 100))
    values[0, 0] = 60.0
    assert Rule(method="percentile").bytes_of(seen(values)).scale < 0.5 * 60 / 255


def test_the_smallest_error_weighs_rounding_against_clipping() -> None:
    values = np.random.default_rng(0).standard_t(3, (1000, 100))

    def error(method: str) -> float:
        given = Rule(method=method).bytes_of(seen(values))
        steps = np.clip(np.rint(values / given.scale), -given.zero, 255 - given.zero)
        return float(((steps * given.scale - values) ** 2).mean())

    assert error("mse") < 0.9 * error("minmax")


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_of_zeros_has_bytes_too(method: str) -> None:
    given = Rule(method=method).bytes_of(seen(np.zeros((2, 3))))
    assert given.scale > 0
    assert 0 <= given.zero <= 255


def test_means_are_those_of_channels() -> None:
    found = seen(np.array([[[1.0, 3.0], [5.0, 5.0]]]), np.array([[[2.0, 2.0], [1.0, 1.0]]]))
    np.testing.assert_allclose(found.means, [2.0, 3.0])


def test_zeros_of_weights_stay_zeros_and_filters_without_weights_get_a_scale() -> None:
    weight = np.random.default_rng(0).standard_normal((6, 4, 3, 3)).astype(np.float32)
    weight[2], weight[3, 1] = 0, 0
    steps, scale = weights(weight)
    assert not steps[weight == 0].any()
    assert (np.abs(steps[[0, 1, 3]]).reshape(3, -1).max(axis=1) == 127).all()
    assert scale[2] > 0
    error = np.abs(steps * scale.reshape(-1, 1, 1, 1) - weight)
    assert (error <= scale.reshape(-1, 1, 1, 1) / 2 + 1e-6).all()


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(FormatError, match="expected one of minmax, percentile, mse"):
        Rule(method="best")
