"""Which statistics of segments are wanted.

For declarations and everything that plans; it loads no heavy library.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from pydantic import Field, ValidationError, field_validator

from swath.errors import ConfigError
from swath.spec import Spec

BAND_STATISTICS = ("count", "sum", "mean", "std", "min", "max", "median", "mode")
"""Of each band, besides percentiles: ``p`` and a number from 0 to 100, as in ``p90``."""

SHAPE_STATISTICS = ("area", "bbox", "first_pixel", "centroid", "perimeter", "compactness")
"""Of each segment; the number of its pixels is always told."""

_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d+)?)", re.ASCII)


def quantile_of(name: str) -> float | None:
    """Return the quantile, 0 to 1, that a name stands for; None if it is no percentile.

    Examples
    --------
    >>> quantile_of("p33.3"), quantile_of("mean"), quantile_of("median")
    (0.333, None, 0.5)
    """
    if name == "median":
        return 0.5
    found = _PERCENTILE.fullmatch(name)
    return float(Fraction(found[1]) / 100) if found and float(found[1]) <= 100 else None


class StatisticsOptions(Spec):
    """Options of statistics of segments.

    Examples
    --------
    >>> StatisticsOptions(statistics="mean, p90, area").statistics
    ('mean', 'p90', 'area')
    """

    statistics: tuple[str, ...] = Field(default=("mean", "std", "min", "max"))
    """Names of statistics. Of each band: `BAND_STATISTICS` and percentiles such as ``"p90"`` or
    ``"p2.5"``. Of each segment: `SHAPE_STATISTICS`, whose columns come first. A text with commas is
    taken apart. None at all: the number of pixels alone."""

    @property
    def band_statistics(self) -> tuple[str, ...]:
        """Names of those that are taken of each band."""
        return tuple(name for name in self.statistics if name not in SHAPE_STATISTICS)

    @field_validator("statistics", mode="before")
    @classmethod
    def _take_apart(cls, names: Any) -> Any:
        if isinstance(names, str):
            return tuple(name.strip() for name in names.split(",") if name.strip())
        return names

    @field_validator("statistics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name in BAND_STATISTICS or name in SHAPE_STATISTICS:
                continue
            if quantile_of(name) is None:
                raise ValueError(
                    f"there is no statistic {name!r}; there are {', '.join(BAND_STATISTICS)}, "
                    f"percentiles p0 to p100, {', '.join(SHAPE_STATISTICS)}"
                )
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"given more than once: {', '.join(doubled)}")
        return names


def options_of(statistics: str | Sequence[str] | StatisticsOptions | None) -> StatisticsOptions:
    """Return options from names of statistics; None: the default.

    Raises
    ------
    ConfigError
        If a name is not known.
    """
    if statistics is None or isinstance(statistics, StatisticsOptions):
        return statistics or StatisticsOptions()
    try:
        return StatisticsOptions.from_json({"statistics": statistics})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"{said}.", where="statistics", mend="Write, for example, mean,std,p90."
        ) from error
