"""Count, mean, standard deviation and range of every band, from parts that merge.

For `analyze`, and for anything that must know a scene without holding it. Not for statistics per
class or per segment.

One idea: a part is `(count, mean, m2, min, max)` per band, where `m2` is the sum of squared
deviations from the part's own mean. Two parts merge without loss of digits, which raw sums of
squares do not: the standard deviation of values near 20,000 survives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

BLOCK_VALUES = 1 << 20  # values that are cast to float64 at a time: 8 MiB

_Numbers = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BandSummary:
    """Statistics per band, over the values that were valid and finite.

    A band without any such value has count 0 and zeros elsewhere, never NaN.

    Parameters
    ----------
    count
        Number of values.
    mean, std, min, max
        In units of the band; `std` is that of the population (divided by `count`).
    """

    count: tuple[int, ...]
    mean: _Numbers
    std: _Numbers
    min: _Numbers
    max: _Numbers

    @property
    def scale(self) -> _Numbers:
        """What to divide by when normalising: `std`, but 1 where a band does not vary."""
        return tuple(std if std > 0 else 1.0 for std in self.std)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads back unchanged."""
        return {name: list(getattr(self, name)) for name in ("count", "mean", "std", "min", "max")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build the summary from what `to_json` returned."""
        return cls(**{name: tuple(values) for name, values in data.items()})


class BandStats:
    """Statistics of bands under way.

    Parameters
    ----------
    n_bands
        Number of bands.

    Examples
    --------
    >>> stats = BandStats(1)
    >>> stats.add(np.array([[1, 3, 99]]), np.array([True, True, False]))
    >>> stats.result().mean
    (2.0,)

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances", 1979, equation 2.1.
    """

    def __init__(self, n_bands: int) -> None:
        self._count = np.zeros(n_bands, np.int64)
        self._mean = np.zeros(n_bands)
        self._m2 = np.zeros(n_bands)
        self._min = np.zeros(n_bands)
        self._max = np.zeros(n_bands)

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        return len(self._count)

    def add(self, values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None = None) -> None:
        """Count pixels.

        Parameters
        ----------
        values
            Array `(band, n)` or `(band, y, x)`, any real type.
        valid
            Array of bool `(n,)` or `(y, x)`: the pixels to count; by default all. NaN and infinity
            are left out band by band.
        """
        if len(values) != self.n_bands or (valid is not None and valid.shape != values.shape[1:]):
            shape = None if valid is None else valid.shape
            raise ValueError(f"{self.n_bands} bands, values {values.shape} and valid {shape}")
        chosen = None if valid is None or valid.all() else valid.reshape(-1)
        for band, flat in enumerate(values.reshape(self.n_bands, -1)):
            for start in range(0, flat.size, BLOCK_VALUES):
                part = flat[start : start + BLOCK_VALUES]
                if chosen is not None:
                    part = part[chosen[start : start + BLOCK_VALUES]]
                self._add_part(band, part)

    def merge(self, other: BandStats) -> None:
        """Count everything that `other` has counted."""
        if other.n_bands != self.n_bands:
            raise ValueError(f"{self.n_bands} bands do not merge with {other.n_bands}")
        for band in np.flatnonzero(other._count):
            numbers = (other._mean[band], other._m2[band], other._min[band], other._max[band])
            self._merge_part(int(band), int(other._count[band]), *map(float, numbers))

    def result(self) -> BandSummary:
        """Return the statistics of all that was counted."""
        std = np.sqrt(self._m2 / np.maximum(self._count, 1))
        mean, deviation, low, high = (
            tuple(float(value) for value in numbers)
            for numbers in (self._mean, std, self._min, self._max)
        )
        return BandSummary(tuple(int(n) for n in self._count), mean, deviation, low, high)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads back unchanged."""
        return {
            "count": self._count.tolist(),
            "mean": self._mean.tolist(),
            "m2": self._m2.tolist(),
            "min": self._min.tolist(),
            "max": self._max.tolist(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build the statistics from what `to_json` returned."""
        stats = cls(len(data["count"]))
        stats._count = np.asarray(data["count"], np.int64)
        for name in ("mean", "m2", "min", "max"):
            setattr(stats, f"_{name}", np.asarray(data[name], np.float64))
        return stats

    def _add_part(self, band: int, part: npt.NDArray[Any]) -> None:
        values = part.astype(np.float64)
        if part.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                values = values[finite]
        if values.size == 0:
            return
        low, high, mean = float(values.min()), float(values.max()), float(values.mean())
        values -= mean
        self._merge_part(band, values.size, mean, float(np.dot(values, values)), low, high)

    def _merge_part(
        self, band: int, count: int, mean: float, m2: float, low: float, high: float
    ) -> None:
        before = int(self._count[band])
        total = before + count
        delta = mean - self._mean[band]
        self._mean[band] += delta * (count / total)
        self._m2[band] += m2 + delta * delta * (before * count / total)
        self._min[band] = min(self._min[band], low) if before else low
        self._max[band] = max(self._max[band], high) if before else high
        self._count[band] = total
