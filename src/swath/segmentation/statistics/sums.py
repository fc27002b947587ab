"""Kernels of exact sums: count, range, sum and sum of squares of each segment and band.

One idea: what is added up is whole numbers, whose sums do not depend on the order. Integers are
that already; their squares are kept in two parts. Of a floating-point number its digits are taken
apart in base 2**32, at places that are the same for all numbers, and summed place by place; a
segment keeps the `N_DIGITS` places from that of its largest number down.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from swath.segmentation.kernels.compiled import compiled
from swath.segmentation.statistics.doubles import add, divide, multiply, two_product, two_sum

COUNT, LOW, HIGH, SUM, SQUARES, SQUARES_LOW = range(6)
"""Columns of moments of integers: values, least and largest key, sum of values, sum of squares as
``SQUARES * 2**32 + SQUARES_LOW``."""

N_DIGITS = 4
SUM_PLACE, SUM_DIGITS, SQUARES_PLACE, SQUARES_DIGITS = 3, 4, 8, 9
"""Columns of moments of floats after `HIGH`: place of the first digit, and the digits, of both."""

N_MOMENTS = 13

_BASE = 4_294_967_296.0
_MASK = 0xFFFFFFFF
_SMALL = 0xFFFF  # sums of squares of that many pixels as a tile has fit into 64 bits
_LEAST_PLACE = -28  # of the last digit, three below, the weight and its inverse are not 0
_INFINITE_PLACE = 32

Moments = npt.NDArray[np.int64]
Sizes = npt.NDArray[np.int64]


@compiled
def add_integers(keys: npt.NDArray[Any], n: int, shift: int, into: Moments) -> None:
    """Write the moments of the first `n` of some keys of integers.

    Parameters
    ----------
    keys
        Array of int32, see `swath.segmentation.statistics.keys`.
    n
        At least 1.
    shift
        What to add to a key to get the value.
    into
        Moments of one segment and band.
    """
    least, largest = keys[0], keys[0]
    for i in range(n):
        least, largest = min(least, keys[i]), max(largest, keys[i])
    total, high, low = 0, 0, 0
    if shift == 0 and least >= -_SMALL and largest <= _SMALL:
        squares = 0
        for i in range(n):
            key = int(keys[i])
            total += key
            squares += key * key
        high, low = squares >> 32, squares & _MASK
    else:
        for i in range(n):
            value = int(keys[i]) + shift
            total += value
            size = abs(value)
            upper, lower = size >> 16, size & 0xFFFF
            cross = 2 * upper * lower
            high += upper * upper + (cross >> 16)
            low += ((cross & 0xFFFF) << 16) + lower * lower
        high, low = high + (low >> 32), low & _MASK
    into[COUNT], into[LOW], into[HIGH], into[SUM] = n, least, largest, total
    into[SQUARES], into[SQUARES_LOW] = high, low


@compiled
def add_floats(
    values: npt.NDArray[Any],
    keys: npt.NDArray[Any],
    valid: npt.NDArray[np.bool_],
    order: npt.NDArray[np.int32],
    offsets: Sizes,
    moments: Moments,
) -> None:
    """Write the moments of floating-point bands.

    Parameters
    ----------
    values
        Array `(band, pixel)` of float32 or float64; finite where valid.
    keys
        Their keys, see `keys.keys_of`.
    valid
        Array `(1 or band, pixel)` of bool; `(1, 0)` if all are valid.
    order, offsets
        Pixels of each segment, see `order_pixels`.
    moments
        Array `(segment, band, 13)`, zeros.
    """
    for segment in range(offsets.size - 1):
        for band in range(values.shape[0]):
            one, known = values[band], valid[min(band, valid.shape[0] - 1)]
            into = moments[segment, band]
            n, largest_size = 0, 0.0
            for i in range(offsets[segment], offsets[segment + 1]):
                pixel = order[i]
                if known.size > 0 and not known[pixel]:
                    continue
                key = np.int64(keys[band, pixel])
                into[LOW] = key if n == 0 else min(into[LOW], key)
                into[HIGH] = key if n == 0 else max(into[HIGH], key)
                largest_size = max(largest_size, abs(np.float64(one[pixel])))
                n += 1
            into[COUNT] = n
            into[SUM_PLACE] = _place_of(largest_size)
            into[SQUARES_PLACE] = _place_of(largest_size * largest_size)
            if into[SUM_PLACE] == _INFINITE_PLACE:
                continue
            for i in range(offsets[segment], offsets[segment + 1]):
                pixel = order[i]
                if known.size > 0 and not known[pixel]:
                    continue
                value = np.float64(one[pixel])
                _add_digits(value, into[SUM_PLACE], into[SUM_DIGITS : SUM_DIGITS + N_DIGITS])
                if into[SQUARES_PLACE] != _INFINITE_PLACE:
                    digits = into[SQUARES_DIGITS : SQUARES_DIGITS + N_DIGITS]
                    square, rest = two_product(value, value)
                    _add_digits(square, into[SQUARES_PLACE], digits)
                    if rest != 0.0:
                        _add_digits(rest, into[SQUARES_PLACE], digits)


@compiled
def _place_of(size: float) -> int:
    """Return the place of the first digit of a number that is not negative."""
    if size == 0.0:
        return _LEAST_PLACE
    if np.isinf(size):
        return _INFINITE_PLACE
    exponent = math.frexp(size)[1]
    return max((exponent - 1) >> 5, _LEAST_PLACE)


@compiled
def _add_digits(value: float, place: int, digits: Moments) -> None:
    """Add the digits of a number to sums of digits whose first has a place."""
    weight = math.ldexp(1.0, int(32 * place))
    for i in range(N_DIGITS):
        digit = np.int64(value / weight)  # towards 0, and exact: it divides by a power of two
        digits[i] += digit
        value -= np.float64(digit) * weight
        weight = weight / _BASE


@compiled
def merge_moments(moments: Moments, groups: Sizes, n: int, is_float: bool) -> Moments:
    """Merge moments of one band that belong to one segment.

    Parameters
    ----------
    moments
        Array `(part, 13)`.
    groups
        Number of the segment that each part belongs to.
    n
        Number of segments.
    is_float
        True if they are from `add_floats`.
    """
    merged = np.zeros((n, N_MOMENTS), np.int64)
    for i in range(groups.size):
        one, other = merged[groups[i]], moments[i]
        if other[COUNT] == 0:
            continue
        if one[COUNT] == 0:
            one[:] = other
            continue
        one[COUNT] += other[COUNT]
        one[LOW] = min(one[LOW], other[LOW])
        one[HIGH] = max(one[HIGH], other[HIGH])
        if is_float:
            _merge_digits(one[SUM_PLACE:SQUARES_PLACE], other[SUM_PLACE:SQUARES_PLACE])
            _merge_digits(one[SQUARES_PLACE:], other[SQUARES_PLACE:])
        else:
            one[SUM] += other[SUM]
            low = one[SQUARES_LOW] + other[SQUARES_LOW]
            one[SQUARES] += other[SQUARES] + (low >> 32)
            one[SQUARES_LOW] = low & _MASK
    return merged


@compiled
def _merge_digits(one: Moments, other: Moments) -> None:
    """Add one sum of digits to another, both with their place in front."""
    place = max(one[0], other[0])
    down_one, down_other = place - one[0], place - other[0]
    one[0] = place
    for i in range(N_DIGITS, 0, -1):
        total = 0
        if i - down_one >= 1:
            total += one[i - down_one]
        if i - down_other >= 1:
            total += other[i - down_other]
        one[i] = total


@compiled
def conclude_moments(moments: Moments, is_float: bool) -> npt.NDArray[np.float64]:
    """Return sum, mean and standard deviation of one band.

    Parameters
    ----------
    moments
        Array `(segment, 13)`.
    is_float
        True if they are from `add_floats`.

    Returns
    -------
    numpy.ndarray
        Array `(segment, 3)` of float64; 0 where no value was counted. The standard deviation is
        that of the population: the square root of ``(n * squares - sum**2) / n**2`` with a
        numerator of 106 binary digits, which is exact for bands of at most 16 bits.
    """
    concluded = np.zeros((moments.shape[0], 3), np.float64)
    for i in range(moments.shape[0]):
        one = moments[i]
        n = np.float64(one[COUNT])
        if n == 0:
            continue
        if is_float and one[SUM_PLACE] == _INFINITE_PLACE:
            concluded[i, :] = np.nan
            continue
        unit = 1.0
        if is_float:
            total = _of_digits(one[SUM_DIGITS : SUM_DIGITS + N_DIGITS])
            squares = _of_digits(one[SQUARES_DIGITS : SQUARES_DIGITS + N_DIGITS])
            unit = math.ldexp(1.0, int(32 * one[SUM_PLACE]))
            relative = math.ldexp(1.0, int(32 * (one[SQUARES_PLACE] - 2 * one[SUM_PLACE])))
            squares = squares[0] * relative, squares[1] * relative
        else:
            total = _of_integer(one[SUM])
            squares = add(
                multiply(_of_integer(one[SQUARES]), (_BASE, 0.0)), _of_integer(one[SQUARES_LOW])
            )
        product = multiply(total, total)
        numerator = add(multiply(squares, (n, 0.0)), (-product[0], -product[1]))
        concluded[i, 0] = total[0] * unit
        concluded[i, 1] = divide(total, n) * unit
        if one[LOW] < one[HIGH]:
            concluded[i, 2] = math.sqrt(max(numerator[0], 0.0) / (n * n)) * unit
        if is_float and one[SQUARES_PLACE] == _INFINITE_PLACE:
            concluded[i, 2] = np.inf
    return concluded


@compiled
def _of_integer(value: int) -> tuple[float, float]:
    high = np.float64(value)
    return high, np.float64(value - np.int64(high))


@compiled
def _of_digits(digits: Moments) -> tuple[float, float]:
    """Return the number that sums of digits stand for, in units of the first place."""
    total = _of_integer(digits[0])
    weight = 1.0 / _BASE
    for i in range(1, N_DIGITS):
        digit = _of_integer(digits[i])
        total = add(total, (digit[0] * weight, digit[1] * weight))
        weight = weight / _BASE
    return two_sum(total[0], total[1])
