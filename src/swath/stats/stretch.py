"""Values of an image as colours of a picture. Not for measuring."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STRETCH = (2.0, 98.0)
"""Percentiles that become black and white."""
NOTHING = (225, 225, 225)
"""Colour of pixels without data."""


def stretched(values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return ``(y, x, 3)`` uint8 for ``(band, y, x)`` values, stretched band by band."""
    bands = values if len(values) == 3 else values[[0, 0, 0]]
    picture = np.empty((*valid.shape, 3), np.uint8)
    for index, band in enumerate(bands):
        numbers = band.astype(np.float64)
        known = numbers[valid & np.isfinite(numbers)]
        low, high = np.percentile(known, STRETCH) if known.size else (0.0, 1.0)
        share = (numbers - low) / (high - low if high > low else 1.0)
        picture[..., index] = np.rint(255 * np.clip(np.nan_to_num(share), 0, 1))
    picture[~valid] = NOTHING
    return picture
