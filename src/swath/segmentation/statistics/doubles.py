"""Numbers of twice the digits of float64, as unevaluated sums of two; kernels.

References
----------
T. J. Dekker, "A floating-point technique for extending the available precision", 1971.
"""

from __future__ import annotations

from swath.segmentation.kernels.compiled import compiled

_SPLIT = 134_217_729.0  # 2**27 + 1

Double = tuple[float, float]


@compiled
def two_sum(one: float, other: float) -> Double:
    """Return the sum of two numbers, and exactly what rounding took from it."""
    total = one + other
    part = total - one
    return total, (one - (total - part)) + (other - part)


@compiled
def two_product(one: float, other: float) -> Double:
    """Return the product of two numbers, and exactly what rounding took from it."""
    product = one * other
    scaled = _SPLIT * one
    high = scaled - (scaled - one)
    low = one - high
    scaled = _SPLIT * other
    other_high = scaled - (scaled - other)
    other_low = other - other_high
    error = high * other_high - product
    error = error + high * other_low
    error = error + low * other_high
    return product, error + low * other_low


@compiled
def add(one: Double, other: Double) -> Double:
    """Return the sum of two."""
    total, error = two_sum(one[0], other[0])
    low, low_error = two_sum(one[1], other[1])
    total, error = two_sum(total, error + low)
    return two_sum(total, error + low_error)


@compiled
def divide(one: Double, other: float) -> float:
    """Return the quotient of two, in the digits of float64."""
    quotient = one[0] / other
    product, error = two_product(quotient, other)
    return quotient + ((one[0] - product) - error + one[1]) / other


@compiled
def multiply(one: Double, other: Double) -> Double:
    """Return the product of two."""
    product, error = two_product(one[0], other[0])
    return two_sum(product, error + (one[0] * other[1] + one[1] * other[0]))
