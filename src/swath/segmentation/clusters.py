"""The clusters of an image: centres, the scale of its values, the largest distance of a merge.

Fitted once for a whole image (`swath.segmentation.fit`), then the same for all tiles. One idea:
everything that a tile must know of the rest of the image is in this one value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from swath.errors import DataError, NotFoundError
from swath.segmentation.scale import LARGEST_VALUE, quantise
from swath.store import normalise, open_store

MOST_CLUSTERS = 32_000
"""Clusters of pixels are held as int16."""

Floats = npt.NDArray[np.float64]
CentreRows = tuple[tuple[float, ...], ...]

_ARRAYS = ("centres", "offsets", "steps", "weights")
_MODEL = (*_ARRAYS, "max_distance")


@dataclass(frozen=True, eq=False)
class Clusters:
    """What decides about the pixels of an image.

    Parameters
    ----------
    centres
        Array `(cluster, band)` of float64, in units of the image.
    offsets, steps
        Arrays `(band,)` of float64: a value is held as ``round((value - offset) / step)``.
    weights
        Array `(band,)` of float64: factor of each band in every distance.
    max_distance
        Largest distance between the mean spectra of segments that are merged, in weighted units of
        the image; None without limit.

    Raises
    ------
    DataError
        If a number is not finite, steps or weights are not positive, the numbers of bands differ,
        or there are no or too many centres.

    Examples
    --------
    >>> ones = np.ones(1)
    >>> clusters = Clusters(np.array([[3.0], [7.0]]), 0 * ones, ones, ones, max_distance=None)
    >>> clusters.n_clusters
    2
    """

    centres: Floats
    offsets: Floats
    steps: Floats
    weights: Floats
    max_distance: float | None
    scale: Floats = field(init=False)
    """Array `(band,)` of float64: weighted units of the image in one step."""

    def __post_init__(self) -> None:
        """Check the numbers, and take copies that nobody changes."""
        for name in _ARRAYS:
            self._hold(name, np.array(getattr(self, name), np.float64))
        if self.centres.ndim != 2 or not 1 <= len(self.centres) <= MOST_CLUSTERS:
            raise DataError(
                f"The centres have the shape {self.centres.shape}.",
                mend=f"Give 1 to {MOST_CLUSTERS:,} rows, one for each cluster, with one number for "
                f"each band.",
            )
        for name in _ARRAYS[1:]:
            _check_bands(name, getattr(self, name), self.n_bands)
        if not all(np.isfinite(getattr(self, name)).all() for name in _ARRAYS):
            raise DataError("A centre, offset, step or weight is not a finite number.")
        if not ((self.steps > 0).all() and (self.weights > 0).all()):
            raise DataError("A step or weight is not above 0.")
        if self.max_distance is not None and not self.max_distance >= 0:
            raise DataError(f"The largest distance is {self.max_distance}, it must be 0 or more.")
        self._hold("scale", self.steps * self.weights)
        if (np.abs(self.centres - self.offsets) * self.weights >= LARGEST_VALUE).any():
            raise DataError(
                f"A centre is {LARGEST_VALUE:g} or more from 0, in weighted units: squared "
                f"distances are beyond float32.",
                mend="Give smaller weights; if it marks missing pixels, give it as nodata.",
            )

    def _hold(self, name: str, array: Floats) -> None:
        array.setflags(write=False)
        object.__setattr__(self, name, array)

    @property
    def n_clusters(self) -> int:
        """Number of centres."""
        return len(self.centres)

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return int(self.centres.shape[1])

    @property
    def scale32(self) -> npt.NDArray[np.float32]:
        """`scale` as float32."""
        return self.scale.astype(np.float32)

    @property
    def spectral_centres(self) -> npt.NDArray[np.float32]:
        """Array `(cluster, band)` of float32: ``(centre - offset) * weight``."""
        return ((self.centres - self.offsets) * self.weights).astype(np.float32)

    def quantise(
        self, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.int32]:
        """Return values as whole steps, `(band, y, x)` of int32; 0 where not valid.

        Parameters
        ----------
        values
            Array `(band, y, x)` of the image's type.
        valid
            Array `(y, x)` of bool.

        Notes
        -----
        Exact for integers (see `swath.segmentation.scale.integer_scale`); floating point is rounded
        to the nearest step, halves to the even one, and clipped to 2**30 steps from the offset.
        """
        return quantise(values, valid, self.offsets, self.steps)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads back unchanged."""
        data: dict[str, Any] = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return data | {"max_distance": self.max_distance}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Clusters:
        """Build the clusters from what `to_json` returned."""
        return cls(
            **{name: np.array(data[name], np.float64) for name in _ARRAYS},
            max_distance=data["max_distance"],
        )

    def write_centres(self, uri: PathLike[str] | str) -> None:
        """Write a file of centres, as JSON that `read_centres` reads; all at once or not at all."""
        rows = (f" {json.dumps(name)}: {json.dumps(part)}" for name, part in self.to_json().items())
        uri = normalise(uri)
        open_store(uri).write(uri, ("{\n" + ",\n".join(rows) + "\n}\n").encode("utf-8"))


def read_centres(uri: PathLike[str] | str) -> CentreRows:
    """Read centres from a file ``{"centres": [[...], ...]}``; other keys are left alone.

    Parameters
    ----------
    uri
        A file, local or remote.

    Returns
    -------
    tuple of tuple of float
        One row for each cluster, in units of the image; for `SegmentOptions.centres`.

    Raises
    ------
    DataError
        If there is no such file, or it does not hold rows of finite numbers of one length.
    StoreError
        If the file cannot be read.
    """
    where = normalise(uri)
    try:
        data = json.loads(open_store(where).read(where))
    except (NotFoundError, ValueError) as error:
        what = "there is no such file" if isinstance(error, NotFoundError) else str(error)
        raise DataError(
            f"The file of centres cannot be read: {what}.",
            where=where,
            mend='It must be JSON: {"centres": [[12.0, 34.5], [56.0, 78.0]]}',
        ) from error
    rows: Any = data.get("centres") if isinstance(data, dict) else None
    if not _are_centres(rows):
        raise DataError(
            'There is no list "centres" of rows of finite numbers, all of one length.',
            where=where,
            mend='Write one row for each cluster: {"centres": [[12.0, 34.5], [56.0, 78.0]]}',
        )
    return tuple(tuple(float(value) for value in row) for row in rows)


def read_model(uri: PathLike[str] | str) -> dict[str, Any]:
    """Read what a file of centres says: a fit that was saved is taken as a whole.

    Parameters
    ----------
    uri
        A file of centres, or the ``.json`` beside labels.

    Returns
    -------
    dict
        For `SegmentOptions`: ``centres``, and of ``weights``, ``offsets``, ``steps`` and
        ``max_distance`` those that the file names. With them the labels are those of the first
        segmentation.

    Raises
    ------
    DataError
        As `read_centres`.
    StoreError
        If the file cannot be read.
    """
    centres = read_centres(uri)
    where = normalise(uri)
    data = json.loads(open_store(where).read(where))
    found: dict[str, Any] = {name: data[name] for name in _MODEL if name in data}
    for name in _ARRAYS[1:]:
        if name in found and not _are_centres([found[name]]):
            raise DataError(
                f"{name} is no list of finite numbers.",
                where=where,
                mend=f"Write one number for each band, or leave {name} out.",
            )
    return found | {"centres": centres}


def _are_centres(rows: Any) -> bool:
    if not isinstance(rows, list) or not rows:
        return False
    if not all(isinstance(row, list) and row for row in rows):
        return False
    return len({len(row) for row in rows}) == 1 and all(_is_number(v) for row in rows for v in row)


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) < LARGEST_VALUE  # so neither infinite nor NaN


def _check_bands(name: str, array: Floats, n_bands: int) -> None:
    if array.shape != (n_bands,):
        raise DataError(
            f"There are {array.size} {name}, but the centres are for {n_bands} "
            f"band{'s' if n_bands > 1 else ''}.",
            mend=f"Give {n_bands} {name}, one for each band.",
        )
