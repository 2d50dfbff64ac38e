"""Integer layers: random numbers for them, what they compute, and how to run one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import tvm

from support import kernels
from tvm_sparse import words
from tvm_sparse.bench.layers import input_shape
from tvm_sparse.dot import PLAIN, Dot
from tvm_sparse.implement import Implementation
from tvm_sparse.implement_integer import implement
from tvm_sparse.integer import Bytes, Integers
from tvm_sparse.integer_choice import IntegerChoice, choose
from tvm_sparse.layer import Layer
from tvm_sparse.relay_passes import code_generation
from tvm_sparse.targets import Target

Array = npt.NDArray[Any]


def numbers(layer: Layer, density: float = 0.3, block: int = 4, seed: int = 0) -> Integers:
    """Weights of every size of byte, in blocks of `block` filters × 4 channels, and a bias."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-128, 128, layer.weight).astype(np.int8)
    keep = rng.random(layer.weight) < density
    filters, channels = (np.arange(size) for size in layer.weight[:2])
    keep = keep[(filters // block * block)[:, None], channels // 4 * 4]
    fan_in = max(layer.taps * density, 1.0)
    return Integers(
        weight=np.where(keep, weight, 0).astype(np.int8),
        scale=rng.uniform(0.5, 1.5, layer.filters) / 128 / np.sqrt(fan_in),
        bias=rng.standard_normal(layer.filters),
        data=Bytes(scale=0.05, zero=7),
        output=Bytes(scale=0.04, zero=100),
    )


def inputs(layer: Layer, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(0, 256, input_shape(layer)).astype(np.uint8)


def reference(layer: Layer, x: Array, given: Integers, residual: Array | None = None) -> Array:
    """What an integer layer computes, written down plainly; channels are last in linear layers."""
    real = x.astype(np.float64) - given.data.zero  # float64 holds every sum exactly
    total: Array = kernels.reference(layer, real, given.weight).astype(np.int64)
    axis = total.ndim - 1 if layer.op == "linear" else 1

    def each(values: Array) -> Array:
        wide: Array = values.reshape([-1 if i == axis else 1 for i in range(total.ndim)])
        return wide

    total += each(np.rint(given.bias / given.unit).astype(np.int64))
    if residual is not None:
        assert given.residual is not None
        steps = residual.astype(np.float32) - np.float32(given.residual.zero)
        total += np.rint(steps * each(given.ratio)).astype(np.int64)
    assert np.abs(total).max(initial=0) < 2**31
    scaled: Array = total.astype(np.int32).astype(np.float32) * each(given.factor)
    if given.output is None:
        return scaled
    low, high = given.bounds
    rounded: Array = np.rint(np.clip(scaled, low, high)) + given.output.zero
    return rounded.astype(np.uint8)


def chosen(
    layer: Layer, given: Integers, target: Target, block: int | None = None
) -> IntegerChoice:
    """The kernel of a layer over blocks of so many filters; 0 for every word, by default any."""
    if block == 0:
        return choose(given, layer, target, sparse=False)
    return choose(given, layer, target, block=block)


def run(
    layer: Layer,
    given: Integers,
    x: Array,
    target: Target,
    residual: Array | None = None,
    block: int | None = None,
    lowering: str = code_generation.NAME,
) -> Array:
    """Compile and run the kernel that is chosen."""
    choice = chosen(layer, given, target, block)
    return computed(given, x, choice, target, residual, lowering)


def computed(
    given: Integers,
    x: Array,
    choice: IntegerChoice,
    target: Target,
    residual: Array | None = None,
    lowering: str = code_generation.NAME,
) -> Array:
    """Compile and run a choice's kernel."""
    layer, bound = choice.layer, implement(choice, given)
    function = kernels.compiled(bound.func, target, lowering)
    arrays = arguments(layer, given, bound, x, choice.dot, residual)
    tensors = [tvm.runtime.tensor(array) for array in arrays]
    function(*tensors)
    return from_words(layer, tensors[-1].numpy(), given, choice.dot)


def arguments(
    layer: Layer,
    given: Integers,
    bound: Implementation,
    x: Array,
    dot: Dot = PLAIN,
    residual: Array | None = None,
) -> list[Array]:
    """What a kernel is called with; its output, the last, starts as 0xAA, so none is left out."""
    found = [to_words(layer, x, dot), *bound.constants]
    if residual is not None:
        found.append(to_words(output(layer), residual, dot))
    shape, dtype = stored(layer, given)
    filled = np.frombuffer(b"\xaa" * int(np.prod(shape)) * 4, dtype).reshape(shape)
    return [*found, filled.copy()]


def to_words(layer: Layer, x: Array, dot: Dot = PLAIN) -> Array:
    """Bytes as a kernel reads them; words that lack channels are filled up with noise."""
    channels_first = x.reshape(-1, layer.channels).T[None] if layer.op == "linear" else x
    fill = [(0, 0)] * channels_first.ndim
    fill[1] = (0, -layer.channels % 4)
    padded = np.pad(channels_first, fill, constant_values=173).view(np.int8)
    packed: Array = words.pack(padded)[0] if layer.op == "linear" else words.pack(padded)
    return packed ^ np.int32(dot.flip)


def from_words(layer: Layer, y: Array, given: Integers, dot: Dot = PLAIN) -> Array:
    """A kernel's output as bytes or floats, channels last in linear layers."""
    if given.output is not None:
        axis = 0 if layer.op == "linear" else 1
        flipped = y ^ np.int32(dot.flip)
        octets = np.moveaxis(flipped[..., None].view(np.uint8), -1, axis + 1)
        shape = (*y.shape[:axis], -1, *y.shape[axis + 1 :])
        y = np.take(octets.reshape(shape), range(layer.filters), axis=axis)
    return y.T.reshape(*layer.output, layer.filters) if layer.op == "linear" else y


def output(layer: Layer) -> Layer:
    """A layer whose input is another one's output."""
    return replace(layer, weight=(1, layer.filters, *layer.weight[2:]), groups=1)


def stored(layer: Layer, given: Integers) -> tuple[tuple[int, ...], str]:
    filters = layer.filters if given.output is None else -(-layer.filters // 4)
    dtype = "float32" if given.output is None else "int32"
    if layer.op == "linear":
        return (filters, layer.positions), dtype
    return (layer.output[0], filters, *layer.output[1:]), dtype
