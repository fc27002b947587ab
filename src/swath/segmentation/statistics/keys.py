"""Values of a band as whole numbers in the same order, which can be counted and sorted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from swath.errors import DataError

KEPT_BITS = 17
"""Binary digits after the first that a floating-point number keeps when it is counted in a segment
of more than `EXACT_PIXELS`: it is off by at most one part in 2**18."""

EXACT_PIXELS = 65_536
"""Order statistics of floating-point bands are exact for segments of so many values."""

DTYPES = tuple(
    np.dtype(name)
    for name in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
)
_SIGN_32 = np.uint32(1 << 31)

Keys = npt.NDArray[Any]
"""Integers."""


def check_dtype(dtype: npt.DTypeLike, where: str | None = None) -> np.dtype[Any]:
    """Return the type of a band.

    Raises
    ------
    DataError
        If there are no statistics of such values.
    """
    found = np.dtype(dtype)
    if found not in DTYPES:
        raise DataError(
            f"A band holds {found.name}, of which statistics are not taken.",
            where=where,
            mend="Convert it to float64, or to integers of at most 32 bits.",
        )
    return found


def key_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that holds every key of a type of values, for lists of them."""
    return np.dtype(np.int64 if dtype == np.float64 else np.int32)


def dropped_bits(dtype: np.dtype[Any]) -> int:
    """Return how many binary digits of a key are rounded away in a large segment; 0: none."""
    return np.finfo(dtype).nmant - KEPT_BITS if dtype.kind == "f" else 0


def shift_of(dtype: np.dtype[Any]) -> int:
    """Return what to add to a key to get the value of an integer."""
    return 2**31 if dtype == np.uint32 else 0


def keys_of(values: npt.NDArray[Any]) -> Keys:
    """Return integers in the order of the values, of the same shape.

    Integers are their own keys, but for uint32, which are moved into the range of int32. The key of
    a floating-point number is its size, read as an integer, with its sign. NaN has no meaning.
    """
    values = np.ascontiguousarray(values)
    if values.dtype == np.uint32:
        return np.asarray((values ^ _SIGN_32).view(np.int32))
    if values.dtype.kind != "f":
        return values
    bits: npt.NDArray[Any]
    if values.dtype == np.float32:
        bits = values.view(np.int32)
        size = bits & np.int32(2**31 - 1)
    else:
        bits = values.view(np.int64)
        size = bits & np.int64(2**63 - 1)
    return np.where(bits < 0, -size, size)


def values_of(keys: npt.NDArray[np.int64], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return the values of keys: of the type `dtype`, or of int64 for integers."""
    if dtype.kind != "f":
        return keys + shift_of(dtype)
    bits = np.dtype(np.int32 if dtype == np.float32 else np.int64)
    size = np.abs(keys).astype(bits)
    found = size.view(dtype)
    return np.where(keys < 0, -found, found)
