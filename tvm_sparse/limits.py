"""What a GPU lets a workgroup have, and whether a workgroup keeps to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tvm_sparse.layer import Layer
from tvm_sparse.workgroup import Workgroup


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a device lets a workgroup have; by default what every device of Vulkan's does.

    Parameters
    ----------
    threads : int
    shared : int
        Bytes that threads share.
    """

    threads: int = 128
    shared: int = 16384

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Limits:
        """Return those among the attributes of a target of TVM's."""
        return cls(
            threads=int(attributes.get("max_threads_per_block", cls.threads)),
            shared=int(attributes.get("max_shared_memory_per_block", cls.shared)),
        )

    def excess(self, layer: Layer, tile: Workgroup) -> str:
        """Return what a workgroup of a layer takes too much of; empty if nothing.

        Examples
        --------
        >>> Limits().excess(layer, tile)                                    # doctest: +SKIP
        'takes 512 threads of at most 128'
        """
        across, blocks = tile.threads
        nbytes = tile.space(layer) * np.dtype(layer.dtype).itemsize
        return self.beyond(across * blocks, nbytes)

    def beyond(self, threads: int, nbytes: int) -> str:
        """Return which of threads and shared bytes are too many; empty if neither is."""
        taken = (
            (threads, self.threads, "threads"),
            (nbytes, self.shared, "shared bytes"),
        )
        found = [f"{own} {what} of at most {most}" for own, most, what in taken if own > most]
        return f"takes {' and '.join(found)}" if found else ""
