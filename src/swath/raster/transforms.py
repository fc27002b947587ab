"""Changes to pixel values, as `swath.raster.spec` declares them.

For the reader. Not for statistics-based scaling, which belongs to a model (`swath.learn`).

One idea: values and validity travel together; a transform that cannot represent a valid value is an
error, never a wrapped-around number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from swath.errors import DataError
from swath.raster.spec import Cast, MinMax, NaNToValue, Reclass

Values = npt.NDArray[Any]
Valid = npt.NDArray[np.bool_]
AnyTransform = NaNToValue | MinMax | Cast | Reclass


def transformed_dtype(dtype: np.dtype[Any], transforms: Sequence[AnyTransform]) -> np.dtype[Any]:
    """Return the type of values after transforms, without any value at hand."""
    for transform in transforms:
        if isinstance(transform, MinMax):
            dtype = np.dtype(np.float32)
        elif isinstance(transform, Cast):
            dtype = np.dtype(transform.dtype)
        elif isinstance(transform, Reclass):
            dtype = _reclass_dtype(dtype, transform)
    return dtype


def transform_values(
    values: Values, valid: Valid, transforms: Sequence[AnyTransform], where: str
) -> tuple[Values, Valid]:
    """Apply transforms in order; NaN that no `NaNToValue` has replaced becomes invalid.

    Parameters
    ----------
    values
        `(band, y, x)`; may be changed in place.
    valid
        `(y, x)`; may be changed in place.
    transforms
        The specs.
    where
        What to name in an error.

    Returns
    -------
    values : array, shape (band, y, x)
        Of the type that `transformed_dtype` says.
    valid : array of bool, shape (y, x)

    Raises
    ------
    DataError
        If a valid value does not fit a `Cast` or is not in a `Reclass` that allows no other.
    """
    rest = list(transforms)
    while rest and isinstance(rest[0], NaNToValue):
        _replace_nan(values, rest.pop(0).value)  # type: ignore[union-attr]
    if values.dtype.kind == "f":
        valid &= ~np.isnan(values).any(axis=0)
    for transform in rest:
        if isinstance(transform, MinMax):
            values = _scale(values, transform, where)
        elif isinstance(transform, Cast):
            values = _cast(values, valid, transform, where)
        elif isinstance(transform, Reclass):
            values, valid = _reclass(values, valid, transform, where)
        else:
            _replace_nan(values, transform.value)
    return values, valid


def _replace_nan(values: Values, value: float) -> None:
    if values.dtype.kind == "f":
        values[np.isnan(values)] = value


def _scale(values: Values, transform: MinMax, where: str) -> Values:
    low, high = (
        np.atleast_1d(np.asarray(side, np.float64)) for side in (transform.low, transform.high)
    )
    for side in (low, high):
        if len(side) not in (1, len(values)):
            raise DataError(
                f"min_max has {len(side)} limits, but {len(values)} bands are read.",
                where=where,
                mend="Give one limit for all bands, or one per band.",
            )
    scale = (1 / (high - low)).reshape(-1, 1, 1)
    # float64 in between would double the memory; float32 holds every uint16 exactly.
    scaled = values.astype(np.float32)
    scaled -= low.reshape(-1, 1, 1).astype(np.float32)
    scaled *= scale.astype(np.float32)
    return np.clip(scaled, 0, 1, out=scaled) if transform.clip else scaled


def _cast(values: Values, valid: Valid, transform: Cast, where: str) -> Values:
    dtype = np.dtype(transform.dtype)
    to_float = dtype.kind == "f"
    if np.can_cast(values.dtype, dtype, casting="safe") or (to_float and values.dtype.kind != "f"):
        return values.astype(dtype)
    limits = np.finfo(dtype) if to_float else np.iinfo(dtype)
    rounded = np.rint(values) if not to_float and values.dtype.kind == "f" else values
    outside = ((rounded < limits.min) | (rounded > limits.max)) & valid
    if to_float:
        outside &= np.isfinite(rounded)  # float32 has infinities of its own
    if transform.overflow == "error" and outside.any():
        value = rounded[outside].flat[0]
        raise DataError(
            f"The value {value} does not fit {transform.dtype} ({limits.min} to {limits.max}).",
            where=where,
            mend="Scale the values (min_max), cast to a wider type, or set overflow = 'clip'.",
        )
    if to_float:
        return np.clip(rounded, limits.min, limits.max).astype(dtype)
    return _clip_to(rounded, dtype)


def _clip_to(values: Values, dtype: np.dtype[Any]) -> Values:
    """Return values cast to an integer type, those outside as its nearest end; NaN as 0."""
    limits = np.iinfo(dtype)
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0, posinf=np.inf, neginf=-np.inf)
    low, high = values < limits.min, values > limits.max
    # Compared by value: in float, the largest int64 rounds up to a number that it cannot hold.
    high |= values >= float(limits.max) if values.dtype.kind == "f" else high
    cast = np.where(low | high, 0, values).astype(dtype)
    cast[low], cast[high] = limits.min, limits.max
    return cast


def _reclass_dtype(dtype: np.dtype[Any], transform: Reclass) -> np.dtype[Any]:
    for value in transform.mapping.values():
        dtype = np.result_type(dtype, np.min_scalar_type(value))
    return dtype


def _reclass(values: Values, valid: Valid, transform: Reclass, where: str) -> tuple[Values, Valid]:
    result = values.astype(_reclass_dtype(values.dtype, transform))
    listed = np.zeros(values.shape, bool)
    for old, new in transform.mapping.items():
        here = values == old
        result[here] = new
        listed |= here
    if transform.other == "keep":
        return result, valid
    unlisted = (~listed).any(axis=0) & valid
    if transform.other == "error" and unlisted.any():
        value = values[~listed & valid].flat[0]
        raise DataError(
            f"The value {value} is not in the mapping of reclass.",
            where=where,
            mend=f"Add {value} to the mapping, or set other = 'keep' or 'invalid'.",
        )
    return result, valid & ~unlisted
