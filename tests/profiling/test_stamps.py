from __future__ import annotations

import numpy as np

from tvm_sparse.profiling.stamps import unwatched


def test_what_noting_times_adds_is_taken_from_all_kernels_alike() -> None:
    true = np.array([2e-6, 10e-6, 40e-6, 150e-6])
    np.testing.assert_allclose(unwatched(true + 1.5e-6, true.sum()), true)


def test_no_kernel_is_left_without_time() -> None:
    kernels = np.array([1e-6, 100e-6])
    found = unwatched(kernels, 90e-6)
    assert (found > 0).all() and found[0] < kernels[0]
    np.testing.assert_allclose(found.sum(), 90e-6)
