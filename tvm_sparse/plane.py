"""How a layer's input is laid out for one tile of output positions.

Kernels keep output positions in vector lanes. For a tile of positions they first *pack* the input:
each channel's part of the image becomes one contiguous, zero-padded run of floats, in which the
neighbour that a kernel tap needs always lies the same number of floats away. A tap is then a single
offset, a convolution is a matrix product over shifted views, and nothing like an im2col buffer is
ever written.

Two layouts::

    flat    a tap reads the output position itself (1×1 convolution, linear layer):
            a tile is any run of positions. If whole vectors of a channel are aligned, nothing
            needs to be packed: taps read the input in place.
    rows    a tile is whole output rows, `pitch` floats apart. The gap between two rows holds the
            zero padding; the lanes over the gap compute values that nobody stores. A strided
            layer is split in stride² phases, each of which is then read with stride one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tvm_sparse.layer import Layer

_LINE = 16  # floats of a 64-byte cache line


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The packed input of one tile.

    Parameters
    ----------
    layer : Layer
    step : int
        Lanes are computed in multiples of this: the lanes of one vector, or of a register tile.
    rows : int
        Output rows of a tile; 0 for the flat layout.
    run : int
        Positions of a tile in the flat layout; a multiple of `step`.
    in_place : bool
        Whether taps of the flat layout read the input where it stands; nothing is packed.
    fold : int
        Output rows of a strip, which begins at a lane that is a multiple of `step`; `rows` is a
        multiple of it. 0 when a tile is a single strip.
    """

    layer: Layer
    step: int
    rows: int = 0
    run: int = 0
    in_place: bool = False
    fold: int = 0

    @property
    def flat(self) -> bool:
        """Whether a tile is a plain run of positions."""
        return self.rows == 0

    @cached_property
    def positions(self) -> int:
        """Output positions of one image; of all rows of a linear layer."""
        output = self.layer.output
        return math.prod(output if self.layer.op == "linear" else output[1:])

    @cached_property
    def tiles(self) -> int:
        """Tiles of one image."""
        if self.flat:
            return -(-self.positions // self.run)
        return -(-self.layer.output[1] // self.rows)

    @property
    def all_tiles(self) -> int:
        """Tiles of all images; the rows of a linear layer count as one image."""
        return self.tiles * (1 if self.layer.op == "linear" else self.layer.input[0])

    @cached_property
    def length(self) -> int:
        """Lanes computed for a tile."""
        if self.flat:
            return self.run
        return self.strip * (self.rows // self.fold if self.fold else 1)

    @cached_property
    def used(self) -> int:
        """Lanes of a tile up to the last that is stored; rows in a single strip."""
        if self.flat:
            return self.positions if self.tiles == 1 else self.run
        return (self.rows - 1) * self.pitch + self.layer.output[2]

    @cached_property
    def strip(self) -> int:
        """Lanes of a strip of rows."""
        used = ((self.fold or self.rows) - 1) * self.pitch + self.layer.output[2]
        return -(-used // self.step) * self.step

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Furthest (rows, columns) that a tap reads from its output position, after striding."""
        layer = self.layer
        down, right = (
            (kernel - 1) * dilation // stride
            for kernel, dilation, stride in zip(
                layer.kernel, layer.dilation, layer.stride, strict=True
            )
        )
        return down, right

    @cached_property
    def phases(self) -> tuple[int, int]:
        """How many (row, column) phases taps fall into."""
        return _phases(self.layer, 0)[0], _phases(self.layer, 1)[0]

    @cached_property
    def phase_step(self) -> tuple[int, int]:
        """Distance of neighbouring phases in input (rows, columns)."""
        return _phases(self.layer, 0)[1], _phases(self.layer, 1)[1]

    @cached_property
    def shared(self) -> int:
        """Zero columns at a row's end that serve as the next row's beginning."""
        return min(self.layer.padding[1], self.layer.padding[3]) if self.layer.stride[1] == 1 else 0

    @cached_property
    def columns(self) -> int:
        """Packed columns that one output row reads."""
        return self.layer.output[2] + self.reach[1]

    @cached_property
    def pitch(self) -> int:
        """Floats from one packed row to the next."""
        return self.columns - self.shared

    @cached_property
    def packed_rows(self) -> int:
        """Packed rows of a tile."""
        return self.rows + self.reach[0]

    @cached_property
    def size(self) -> int:
        """Floats of one channel's phase.

        An odd number of cache lines, so that channels spread over all sets of the cache.
        """
        if self.flat:
            floats = self.run
        else:
            furthest = self.reach[0] * self.pitch + self.reach[1]
            last = self.start_of(self.length - self.strip) + self.strip
            floats = max(last + furthest, self.packed_rows * self.pitch + self.shared)
        return (-(-floats // _LINE) | 1) * _LINE

    @cached_property
    def channel(self) -> int:
        """Floats of a tile from one packed channel to the next."""
        return math.prod(self.phases) * self.size

    def touched(self, lanes: int) -> int:
        """Return the floats of a channel that the taps of so many neighbouring lanes read."""
        if self.flat:
            return lanes
        around = self.reach[0] * self.pitch + self.reach[1]
        return min(self.channel, (lanes + around) * math.prod(self.phases))

    def offsets(self) -> npt.NDArray[np.int32]:
        """Return each tap's offset in the packed input of its group, shape (taps,).

        In place, it is the tap's channel.
        """
        if self.in_place:
            return np.arange(self.layer.weight[1], dtype=np.int32)
        channels = np.arange(self.layer.weight[1], dtype=np.int64) * self.channel
        if self.flat:
            return channels.astype(np.int32)
        taps = np.arange(math.prod(self.layer.kernel), dtype=np.int64)
        flat: npt.NDArray[np.int32] = (channels[:, None] + self.offset_of(taps)).reshape(-1)
        return flat.astype(np.int32)

    def offset_of(self, tap: Any) -> Any:
        """Return a tap's offset in the packed input of its channel; integers or TIR expressions."""
        (dh, dw), (sh, sw) = self.layer.dilation, self.layer.stride
        y, x = tap // self.layer.kernel[1] * dh, tap % self.layer.kernel[1] * dw
        phase_y, phase_x = y % sh // self.phase_step[0], x % sw // self.phase_step[1]
        phase = phase_y * self.phases[1] + phase_x
        return phase * self.size + y // sh * self.pitch + x // sw

    def start_of(self, lane: Any) -> Any:
        """Return where a lane's first row and column stand in a packed phase."""
        if not self.fold:
            return lane
        return lane // self.strip * (self.fold * self.pitch) + lane % self.strip

    def tile_of(self, y: Any, x: Any) -> Any:
        """Return the tile that computes output position (y, x); integers or TIR expressions."""
        return (y * self.layer.output[-1] + x) // self.run if self.flat else y // self.rows

    def lane_of(self, y: Any, x: Any) -> Any:
        """Return the lane of its tile that holds output position (y, x)."""
        if self.flat:
            return (y * self.layer.output[-1] + x) % self.run
        if not self.fold:
            return y % self.rows * self.pitch + x
        row = y % self.rows
        return row // self.fold * self.strip + row % self.fold * self.pitch + x


def _phases(layer: Layer, axis: int) -> tuple[int, int]:
    """Return how many phases the taps of an axis fall into, and their distance."""
    kernel, dilation, stride = layer.kernel[axis], layer.dilation[axis], layer.stride[axis]
    step = math.gcd(dilation, stride)
    if kernel * step <= stride and dilation == step:
        return kernel, step
    return stride // step, step
