"""What a workgroup of a GPU computes: a tile of positions for a few blocks of filters.

A workgroup walks through the input channels in chunks. It copies a chunk of its tile's input into
the memory that its threads share, each thread adds up the taps of its block that lie in the chunk,
and the next chunk follows. Threads along x compute neighbouring positions, along y other blocks.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from tvm_sparse.layer import Layer

_THREADS = 128  # every device of Vulkan's allows so many in a workgroup
_SHARED = 4096  # floats: every device lets a workgroup share so many
_FILTERS = 32  # of a workgroup: they share what it copies
_POSITIONS = 64  # of a workgroup, if the output has so many
_LANES = 4
_ACROSS = 16  # threads along x below which each computes fewer positions
_CHANNELS = 32


@dataclass(frozen=True, kw_only=True)
class Workgroup:
    """The sizes of a workgroup's work.

    Parameters
    ----------
    filters : int
        P, the filters of a block, whose sums a thread keeps.
    blocks : int
        Blocks side by side: threads along y.
    height, width : int
        Output positions of the tile; a linear layer's rows are one line of positions.
    lanes : int
        Neighbouring positions of a thread.
    channels : int
        Input channels of a chunk.
    """

    filters: int
    blocks: int
    height: int
    width: int
    lanes: int
    channels: int

    def __str__(self) -> str:
        """Return e.g. ``4×8 filters × 8×8``: blocks, their filters, positions."""
        return f"{self.blocks}×{self.filters} filters × {self.height}×{self.width}"

    @property
    def positions(self) -> int:
        """Output positions of the tile."""
        return self.height * self.width

    @property
    def threads(self) -> tuple[int, int]:
        """Threads along x and y."""
        return self.positions // self.lanes, self.blocks

    @property
    def annotation(self) -> dict[str, int]:
        """The sizes as a TIR block's annotation."""
        return asdict(self)

    def tiles(self, layer: Layer) -> tuple[int, int]:
        """Tiles along height and width of one image."""
        if layer.op == "linear":
            return 1, -(-layer.positions // self.width)
        return -(-layer.output[1] // self.height), -(-layer.output[2] // self.width)

    def chunks(self, layer: Layer) -> int:
        """Chunks of a group's input channels."""
        return -(-layer.weight[1] // self.channels)

    def region(self, layer: Layer) -> tuple[int, int]:
        """Height and width of the input that a tile's taps reach in one channel."""
        reach = zip(
            (self.height, self.width), layer.stride, layer.kernel, layer.dilation, strict=True
        )
        high, wide = ((size - 1) * s + (k - 1) * d + 1 for size, s, k, d in reach)
        return high, wide

    def space(self, layer: Layer) -> int:
        """Elements of a chunk of a tile's input.

        Rows of a linear layer end with an element that nobody reads, so that threads which read the
        same channel of neighbouring rows use different banks of the shared memory.
        """
        if layer.op == "linear":
            return self.width * (self.channels + 1)
        return self.channels * math.prod(self.region(layer))

    def offsets(self, layer: Layer) -> npt.NDArray[np.int32]:
        """Return where each tap's input lies in its chunk, for the tile's first position."""
        channel = np.arange(layer.weight[1]) % self.channels
        if layer.op == "linear":
            return channel.astype(np.int32)
        high, wide = self.region(layer)
        (kernel_high, kernel_wide), (down, across) = layer.kernel, layer.dilation
        window = (np.arange(kernel_high)[:, None] * down * wide) + np.arange(kernel_wide) * across
        offsets = channel[:, None, None] * (high * wide) + window
        return offsets.reshape(-1).astype(np.int32)


def fitting(layer: Layer, filters: int) -> Workgroup | None:
    """Return a workgroup for a layer and blocks of some filters.

    None if its input is too large, or a block would hold filters of two groups.

    Parameters
    ----------
    layer : Layer
    filters : int
        P, the filters of a block.
    """
    group = layer.filters // layer.groups
    if layer.groups > 1 and group % filters:
        return None
    height, width = _tile(layer)
    lanes = min(_LANES, width, max(height * width // _ACROSS, 1))
    across = height * width // lanes
    blocks = min(_FILTERS // filters, _THREADS // across, _power(-(-layer.filters // filters)))
    if layer.groups > 1:  # those of a workgroup read the same input
        blocks = math.gcd(blocks, group // filters)
    channels = min(_CHANNELS, _power(layer.weight[1]))
    while channels:
        found = Workgroup(
            filters=filters,
            blocks=max(blocks, 1),
            height=height,
            width=width,
            lanes=lanes,
            channels=channels,
        )
        if found.space(layer) <= _SHARED:
            return found
        channels //= 2
    return None


def _tile(layer: Layer) -> tuple[int, int]:
    """Return height and width: as square as the output is, because taps reach around the tile."""
    if layer.op == "linear":
        return 1, min(_POSITIONS, _power(layer.positions))
    high, wide = (_power(size) for size in layer.output[1:])
    height = min(8, high)
    width = min(_POSITIONS // height, wide)
    return min(_POSITIONS // width, high), width


def _power(size: int) -> int:
    """Return the smallest power of two that is at least a size."""
    return 1 << max(size - 1, 0).bit_length()
