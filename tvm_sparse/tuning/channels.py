"""The space of depthwise convolutions, see `tvm_sparse.kernel.by_channels`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tvm_sparse.kernel import Kernel, by_channels, channel_kernel, channel_planes
from tvm_sparse.tile import Tile
from tvm_sparse.tuning.space import Listed, Point

_CHUNK = 16  # channels that are packed at a time, at most


@dataclass(frozen=True, kw_only=True)
class ChannelSpace(Listed):
    """Strips of a register tile, their number, channels packed at a time, taps unrolled."""

    @property
    def family(self) -> str:
        """How the family of kernels is called in records."""
        return "channels"

    @property
    def names(self) -> tuple[str, ...]:
        """What the decisions are called."""
        return "vectors", "parts", "chunk", "unroll"

    @property
    def best(self) -> Kernel:
        """The kernel that the cost formula likes best."""
        return by_channels(self.layer, self.target)

    def kernels(self) -> Iterable[Kernel]:
        """Return every kernel."""
        layer, target = self.layer, self.target
        chunks = [n for n in range(1, _CHUNK + 1) if layer.filters % n == 0]
        unrolled = {n for n in (1, layer.kernel[1], layer.taps) if n <= target.registers}
        for plane, vectors in channel_planes(layer, target, target.registers // 2):
            for chunk in chunks:
                for taps in sorted(unrolled):
                    yield channel_kernel(plane, vectors, chunk, taps, target)

    def point(self, kernel: Kernel) -> Point:
        """Return the decisions that make a kernel of the family."""
        tile = kernel.tile
        assert isinstance(tile, Tile)
        return {
            "vectors": tile.vectors,
            "parts": tile.rows // (tile.vectors * tile.fold),
            "chunk": tile.chunk,
            "unroll": tile.taps,
        }
