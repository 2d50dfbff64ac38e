# mypy: ignore-errors
"""Copy one tile's input into the layout of `tvm_sparse.plane`."""

from tvm.script import tirx as T

from tvm_sparse.layer import Layer
from tvm_sparse.plane import Plane

_NARROWEST = 4  # floats of the narrowest vector worth a shuffle
_CHUNK = 64  # floats copied by one vector statement; LLVM splits it into registers


def packing(layer: Layer, plane: Plane, fill: float | int = 0.0):
    """Return the macro ``pack(X, packed)`` for a layer's input.

    Parameters
    ----------
    layer : Layer
    plane : Plane
    fill : float or int
        What stands outside the image: 0 for sums, the smallest float for maxima. An input of words
        is filled with an integer.

    Notes
    -----
    The macro writes ``packed[batch, tile, group, channel * plane.channel + ...]`` in full: lanes
    that no output uses are filled too, so that no kernel ever computes with uninitialized memory.
    """
    if plane.flat:
        return _pack_flat(layer, plane, fill)
    if layer.stride == (1, 1):
        return _pack_rows(layer, plane, fill)
    return _pack_phases(layer, plane, fill)


def _fill_run(width, fill):
    """Return a macro that fills `width` floats."""
    full, rest, fill = width // _CHUNK, width % _CHUNK, _number(fill)

    @T.macro
    def run(dst, b, t, g, at):
        if full > 0:
            for i in range(T.int64(full)):
                for j in T.vectorized(T.int64(_CHUNK)):
                    dst[b, t, g, at + i * _CHUNK + j] = fill
        if rest > 0:
            for j in T.vectorized(T.int64(rest)):
                dst[b, t, g, at + full * _CHUNK + j] = fill

    return run


def _number(fill):
    """Return a constant of the input's type."""
    return T.int32(fill) if isinstance(fill, int) else T.float32(fill)


def copy_run(width, at_source):
    """Return a macro that copies `width` floats; `at_source` maps a float's number to indices."""
    full, rest = width // _CHUNK, _pieces(width)

    @T.macro
    def piece(dst, b, t, g, at, src, start, begin, number):
        for j in T.vectorized(T.int64(number)):
            dst[b, t, g, at + begin + j] = at_source(src, b, start, begin + j)

    @T.macro
    def run(dst, b, t, g, at, src, start):
        if full > 0:
            for i in range(T.int64(full)):
                piece(dst, b, t, g, at, src, start, i * _CHUNK, _CHUNK)
        if len(rest) > 0:
            piece(dst, b, t, g, at, src, start, rest[0][0], rest[0][1])
        if len(rest) > 1:
            piece(dst, b, t, g, at, src, start, rest[1][0], rest[1][1])

    return run


def _pieces(width):
    """Return (begin, floats) of at most two vectors that copy what whole chunks leave.

    The last one may overlap what stands before it: 14 floats are two vectors of eight.
    """
    rest, begin = width % _CHUNK, width // _CHUNK * _CHUNK
    most = rest // 16 * 16 or 1 << rest.bit_length() >> 1
    left = rest - most
    last = left if left & (left - 1) == 0 else min(most, 16)
    return [piece for piece in ((begin, most), (width - last, last)) if piece[1] > 0]


def _pack_flat(layer, plane, fill):
    groups, channels, tiles = (T.int64(v) for v in (layer.groups, layer.weight[1], plane.tiles))
    batch, positions = T.int64(1 if layer.op == "linear" else layer.input[0]), plane.positions
    run, size, width = plane.run, plane.size, layer.input[-1]
    last = positions - (plane.tiles - 1) * run

    def position(X, b, start, i):
        channel, p = start[0], start[1] + i
        return X[channel, p] if layer.op == "linear" else X[b, channel, p // width, p % width]

    copy, copy_last = copy_run(run, position), copy_run(last, position)
    fill_end, fill_last = _fill_run(size - run, fill), _fill_run(size - last, fill)

    @T.macro
    def pack(X, packed):
        for b, t, g, c in T.grid(batch, tiles, groups, channels):
            with T.sblock("pack"):
                vb, vt, vg, vc = T.axis.remap("SSSS", [b, t, g, c])
                T.writes(packed[vb, vt, vg, vc * size : vc * size + size])
                if vt < tiles - 1:
                    copy(packed, vb, vt, vg, vc * size, X, (vg * channels + vc, vt * run))
                    fill_end(packed, vb, vt, vg, vc * size + run)
                else:
                    copy_last(packed, vb, vt, vg, vc * size, X, (vg * channels + vc, vt * run))
                    fill_last(packed, vb, vt, vg, vc * size + last)

    return pack


def _pack_rows(layer, plane, fill):
    batch, height, width = (T.int64(v) for v in layer.input)
    groups, channels, tiles = (T.int64(v) for v in (layer.groups, layer.weight[1], plane.tiles))
    top, left = layer.padding[0], layer.padding[1]
    rows, pitch, size = plane.rows, plane.pitch, plane.size
    packed_rows = T.int64(plane.packed_rows)
    end = plane.packed_rows * pitch

    def pixel(src, b, start, i):
        return src[b, start[0], start[1], i]

    copy = copy_run(layer.input[2], pixel)
    fill_left, fill_right = _fill_run(left, fill), _fill_run(pitch - left - layer.input[2], fill)
    fill_row, fill_end = _fill_run(pitch, fill), _fill_run(size - end, fill)

    @T.macro
    def pack(X, packed):
        for b, t, g, c in T.grid(batch, tiles, groups, channels):
            with T.sblock("pack"):
                vb, vt, vg, vc = T.axis.remap("SSSS", [b, t, g, c])
                T.reads(X[vb, vg * channels + vc, 0:height, 0:width])
                T.writes(packed[vb, vt, vg, vc * size : vc * size + size])
                for r in range(packed_rows):
                    if top <= vt * rows + r and vt * rows + r < height + top:
                        fill_left(packed, vb, vt, vg, vc * size + r * pitch)
                        copy(
                            packed, vb, vt, vg, vc * size + r * pitch + left,
                            X, (vg * channels + vc, vt * rows + r - top),
                        )  # fmt: skip
                        fill_right(packed, vb, vt, vg, vc * size + r * pitch + left + width)
                    else:
                        fill_row(packed, vb, vt, vg, vc * size + r * pitch)
                fill_end(packed, vb, vt, vg, vc * size + end)

    return pack


def _pack_phases(layer, plane, fill):
    """Pack a strided layer: each phase keeps every stride-th row and column."""
    batch, height, width = (T.int64(v) for v in layer.input)
    groups, channels, tiles = (T.int64(v) for v in (layer.groups, layer.weight[1], plane.tiles))
    (sh, sw), top, left = layer.stride, layer.padding[0], layer.padding[1]
    (phases_y, phases_x), (step_y, step_x) = plane.phases, plane.phase_step
    rows, columns, pitch, size = plane.rows, plane.columns, plane.pitch, plane.size
    packed_rows, all_x = T.int64(plane.packed_rows), phases_x * size
    begin, stop = _inside(layer, plane)
    fill_row, fill_end = _fill_run(pitch, fill), _fill_run(size - plane.packed_rows * pitch, fill)
    outside = _number(fill)
    paired = sw == 2 and phases_x == 2 and stop - begin >= _NARROWEST
    inside = _copy_pairs(stop - begin) if paired else _copy_strided(stop - begin, sw)

    @T.macro
    def edge(packed, vb, vt, vg, at, X, channel, y, x, first, number):
        for j in range(T.int64(number)):
            packed[vb, vt, vg, at + first + j] = T.if_then_else(
                0 <= x + (first + j) * sw and x + (first + j) * sw < width,
                X[vb, channel, y, T.max(0, T.min(x + (first + j) * sw, width - 1))],
                outside,
            )

    @T.macro
    def row(packed, vb, vt, vg, at, X, channel, y):
        for p in T.unroll(T.int64(phases_x)):
            edge(packed, vb, vt, vg, at + p * size, X, channel, y, p * step_x - left, 0, begin)
            if not paired:
                inside(
                    packed, vb, vt, vg, at + p * size + begin,
                    X, channel, y, p * step_x - left + begin * sw,
                )  # fmt: skip
            edge(
                packed, vb, vt, vg, at + p * size,
                X, channel, y, p * step_x - left, stop, columns - stop,
            )  # fmt: skip
        if paired:
            inside(packed, vb, vt, vg, at + begin, size, X, channel, y, begin * sw - left)

    @T.macro
    def each(do, packed, vb, vt, vg, at):
        for p in T.unroll(T.int64(phases_x)):
            do(packed, vb, vt, vg, at + p * size)

    def y_of(t, r, p):
        return (t * rows + r) * sh + p % phases_y * step_y

    @T.macro
    def pack(X, packed):
        for b, t, g, p in T.grid(batch, tiles, groups, channels * phases_y):
            with T.sblock("pack"):
                vb, vt, vg, vp = T.axis.remap("SSSS", [b, t, g, p])
                T.reads(X[vb, vg * channels + vp // phases_y, 0:height, 0:width])
                T.writes(packed[vb, vt, vg, vp * all_x : vp * all_x + all_x])
                for r in range(packed_rows):
                    if top <= y_of(vt, r, vp) and y_of(vt, r, vp) < height + top:
                        row(
                            packed, vb, vt, vg, vp * all_x + r * pitch,
                            X, vg * channels + vp // phases_y, y_of(vt, r, vp) - top,
                        )  # fmt: skip
                    else:
                        each(fill_row, packed, vb, vt, vg, vp * all_x + r * pitch)
                each(fill_end, packed, vb, vt, vg, vp * all_x + plane.packed_rows * pitch)

    return pack


def _copy_pairs(number):
    """Return a macro that copies a row's even floats to one phase and its odd floats to the next.

    The last vector overlaps the one before it, so that all are whole.
    """
    width = max(w for w in (16, 8, _NARROWEST) if w <= number)

    def pick(X, b, channel, y, x, odd):
        pair = X[b, channel, y, T.Ramp(x, 1, 2 * width)]
        return T.Shuffle([pair], list(range(odd, 2 * width, 2)))

    @T.macro
    def part(packed, b, t, g, at, size, X, channel, y, x):
        packed[b, t, g, T.Ramp(at, 1, width)] = pick(X, b, channel, y, x, 0)
        packed[b, t, g, T.Ramp(at + size, 1, width)] = pick(X, b, channel, y, x, 1)

    @T.macro
    def copy(packed, b, t, g, at, size, X, channel, y, x):
        for i in range(T.int64(number // width)):
            part(packed, b, t, g, at + i * width, size, X, channel, y, x + i * width * 2)
        if number % width > 0:
            part(
                packed, b, t, g, at + number - width, size,
                X, channel, y, x + (number - width) * 2,
            )  # fmt: skip

    return copy


def _copy_strided(number, stride):
    """Return a macro that copies every `stride`-th of a row's floats.

    Every second float is picked out of two neighbouring vectors by one shuffle. The float after
    the last one wanted is never read: it may lie outside the buffer.
    """
    if stride == 1:
        return _copy_row(number)
    pairs = max(number - 1, 0) if stride == 2 else 0
    sixteens, eight, four = pairs // 16, pairs % 16 // 8, pairs % 8 // 4
    after, rest = sixteens * 16, sixteens * 16 + eight * 8 + four * 4

    def pick(X, b, channel, y, x, width):
        return T.Shuffle([X[b, channel, y, T.Ramp(x, 1, 2 * width)]], list(range(0, 2 * width, 2)))

    @T.macro
    def copy(packed, b, t, g, at, X, channel, y, x):
        if sixteens > 0:
            for i in range(T.int64(sixteens)):
                packed[b, t, g, T.Ramp(at + i * 16, 1, 16)] = pick(X, b, channel, y, x + i * 32, 16)
        if eight > 0:
            packed[b, t, g, T.Ramp(at + after, 1, 8)] = pick(X, b, channel, y, x + after * 2, 8)
        if four > 0:
            packed[b, t, g, T.Ramp(at + rest - 4, 1, 4)] = pick(
                X, b, channel, y, x + rest * 2 - 8, 4
            )
        for j in range(T.int64(number - rest)):
            packed[b, t, g, at + rest + j] = X[b, channel, y, x + (rest + j) * stride]

    return copy


def _copy_row(number):
    """Return a macro that copies neighbouring floats of a row."""
    run = copy_run(number, lambda src, b, start, i: src[b, start[0], start[1], start[2] + i])

    @T.macro
    def copy(packed, b, t, g, at, X, channel, y, x):
        run(packed, b, t, g, at, X, (channel, y, x))

    return copy


def _inside(layer, plane):
    """Return the packed columns [begin, stop) that lie inside the image in every phase."""
    shifts = [p * plane.phase_step[1] - layer.padding[1] for p in range(plane.phases[1])]
    stride, width = layer.stride[1], layer.input[2]
    begin = max(max(-(shift // stride) for shift in shifts), 0)
    stop = min(min((width - 1 - shift) // stride + 1 for shift in shifts), plane.columns)
    return min(begin, plane.columns), max(stop, min(begin, plane.columns))
