"""How pixel values become whole numbers, so that their sums are the same in every order.

For the clusters of an image, which hold the scale. One idea: a value is ``offset + step * q`` with
``q`` of int32. Integers keep every bit (``step`` is 1); floating point gets one step per band, a
power of two far below the noise of the band.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from swath.errors import DataError

LARGEST_Q = 2**30
"""Floating point is clipped to that many steps on either side of the offset."""

LARGEST_VALUE = 1e18
"""Values beyond have no squared distance in float32."""

_MIDDLE_BITS = 22  # steps in the middle 98 % of the sample
_RANGE_BITS = 29  # and at most in all of it
_EXACT_BITS = 24  # whole numbers that float32 holds

Scale = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def float_scale(sample: npt.NDArray[Any]) -> Scale:
    """Return the scale of a floating-point image from a sample of it.

    Parameters
    ----------
    sample
        Array `(pixel, band)` of finite values.

    Returns
    -------
    offsets, steps
        Arrays `(band,)` of float64: the middle of the sample's range, as a multiple of the step;
        and the step, a power of two.

    Raises
    ------
    DataError
        If a value is beyond `LARGEST_VALUE`.

    Notes
    -----
    The middle 98 % of the sample span 2**21 to 2**22 steps, unless few extreme values reach so far
    that all of it would span more than 2**29: then it spans 2**28 to 2**29. So values up to
    the range of the sample beyond both its ends are never clipped.
    """
    low, high = sample.min(axis=0).astype(np.float64), sample.max(axis=0).astype(np.float64)
    largest = np.maximum(np.abs(low), np.abs(high))
    if largest.max() >= LARGEST_VALUE:
        band = int(largest.argmax())
        raise DataError(
            f"Band {band} (counted from 0) has values as large as {largest[band]:.6g}: their "
            f"squared distances are beyond float32.",
            mend="If they mark missing pixels, give that value as nodata.",
        )
    ends = np.percentile(sample.astype(np.float64), (1, 99), axis=0)
    middle, whole = ends[1] - ends[0], high - low
    whole = np.where(whole > 0, whole, np.where(largest > 0, largest, 1.0))
    middle = np.where(middle > 0, middle, whole)
    bits = np.maximum(_exponent(middle) - _MIDDLE_BITS, _exponent(whole) - _RANGE_BITS)
    steps = np.ldexp(1.0, bits)
    return np.rint((low + high) / 2 / steps) * steps, steps


def integer_scale(dtype: np.dtype[Any], centres: npt.NDArray[np.float64]) -> Scale:
    """Return the scale of an image of integers: its step is 1.

    Parameters
    ----------
    dtype
        Type of the values.
    centres
        Array `(cluster, band)` of float64, in units of the image.

    Returns
    -------
    offsets, steps
        Arrays `(band,)` of float64. The offset is 0, except for integers of 32 bits with centres
        that float32 does not tell apart, beyond 2**24: then it is the median of the band's centres.

    Notes
    -----
    Exact, except for values of 32 bits that are more than 2**31 from the offset: they are clipped.
    """
    offsets, steps = np.zeros(centres.shape[1]), np.ones(centres.shape[1])
    if dtype.itemsize == 4:
        beyond = np.abs(centres).max(axis=0) > 2**_EXACT_BITS
        offsets[beyond] = np.rint(np.median(centres, axis=0))[beyond]
    return offsets, steps


def quantise(
    values: npt.NDArray[Any],
    valid: npt.NDArray[np.bool_],
    offsets: npt.NDArray[np.float64],
    steps: npt.NDArray[np.float64],
) -> npt.NDArray[np.int32]:
    """Return ``round((value - offset) / step)`` of each value, 0 where not valid.

    Parameters
    ----------
    values
        Array `(band, y, x)`.
    valid
        Array `(y, x)` of bool.
    offsets, steps
        Arrays `(band,)` of float64.

    Returns
    -------
    numpy.ndarray
        Array `(band, y, x)` of int32. Halves are rounded to the even number.
    """
    is_float = values.dtype.kind == "f"
    least, most = (-LARGEST_Q, LARGEST_Q) if is_float else (-(2**31), 2**31 - 1)
    quantised = np.empty(values.shape, np.int32)
    all_valid = bool(valid.all())
    for band, offset, step, out in zip(values, offsets, steps, quantised, strict=True):
        if offset == 0 and step == 1 and np.can_cast(band.dtype, np.int32, casting="safe"):
            out[:] = band
        else:
            exact = (band if all_valid else np.where(valid, band, 0)).astype(np.float64)
            exact -= offset
            exact /= step
            out[:] = np.clip(np.rint(exact, out=exact), least, most, out=exact)
    if not all_valid:
        quantised *= valid
    return quantised


def _exponent(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Return ``e`` of each value in ``[2**(e-1), 2**e)``."""
    return np.frexp(values)[1]
