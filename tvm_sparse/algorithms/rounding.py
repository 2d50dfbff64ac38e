# mypy: ignore-errors
"""Integers to floats and back, by additions where they are small.

A float below 2²² to which 1.5 · 2²³ is added is rounded to the nearest integer, the even one of
two, and its lowest bits are that integer's. Integers that are counted from the bits of 1.5 · 2²³
are floats already, from which that number is subtracted. An addition takes the place of one or two
conversions, of which ARM cores start few; any CPU gets the same bits, GPUs may round otherwise::

    x = 12.5    →    x + 12582912 = 12582924, whose bits are 0x4B40000C    →    12
"""

from tvm.script import tirx as T

from tvm_sparse.integer import MAGIC, MAGIC_BITS, SMALL
from tvm_sparse.octets import multiply_add, rounded


def real(total, counted):
    """Return the float of an int32; `counted` says that it is counted from `MAGIC_BITS`."""
    if counted:
        return T.reinterpret("float32", total) - T.float32(MAGIC)
    return T.Cast("float32", total)


def fused(total, factor, shift):
    """Return the float whose lowest bits are the byte of a sum, see `tvm_sparse.one_rounding`."""
    return multiply_add(T.reinterpret("float32", total), factor, shift)


def nearest(value, most, by_addition):
    """Return the integer that is nearest to a float that is at most `most` away from 0."""
    if most >= SMALL or not by_addition:
        return T.Cast("int32", T.nearbyint(value))
    return T.reinterpret("int32", rounded(value) + T.float32(MAGIC)) - T.int32(MAGIC_BITS)


def byte(value, zero, by_addition):
    """Return the nearest integer of a small float, plus `zero`.

    By an addition, only its lowest byte is. An odd number must not be added before rounding: it
    would make even numbers odd.
    """
    if not by_addition:
        return T.Cast("int32", T.nearbyint(value)) + zero
    even = zero - zero % 2
    bits = T.reinterpret("int32", rounded(value) + T.float32(MAGIC + even))
    return bits + T.int32(1) if zero % 2 else bits


def joined(*numbers):
    """Return the word of four bytes, given as numbers 0 to 255."""
    word = numbers[0]
    for j, one in enumerate(numbers[1:], start=1):
        word = T.bitwise_or(word, T.shift_left(one, T.int32(8 * j)))
    return word
