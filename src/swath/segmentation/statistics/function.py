"""A user's function of the pixels of one segment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from swath.errors import RunError

UserFunction = Callable[
    [npt.NDArray[Any], npt.NDArray[np.int64], npt.NDArray[np.int64]], Mapping[str, float]
]
"""Takes values `(band, n)`, rows `(n,)` and columns `(n,)`; returns numbers by name."""


class SegmentFunction:
    """A user's function, and the names of what it returns, which are the same for all segments.

    Parameters
    ----------
    function
        Called with the pixels of one segment that have a value in every band, in raster order:
        values `(band, n)` in their common type, and their rows and columns in the image, 0-based.
        Several threads call it at once.
    taken
        Names of other columns.
    """

    def __init__(self, function: UserFunction, taken: tuple[str, ...] = ()) -> None:
        self._function = function
        self._taken = frozenset(taken)
        self._names: tuple[str, ...] | None = None
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers, in the order of the first answer; none before that."""
        return self._names or ()

    def __call__(
        self,
        segment: int,
        values: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        cols: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Return the numbers of one segment, in the order of `names`.

        Raises
        ------
        RunError
            If the function fails, or does not return numbers by name, the same names each time.
        """
        try:
            answer = self._function(values, rows, cols)
        except Exception as error:  # the user's function may do anything
            raise RunError(
                f"the function fails: {type(error).__name__}: {error}.",
                where=f"segment {segment} of {rows.size} pixels",
                mend="Mend the function; -v shows where it failed.",
            ) from error
        if not _is_fit(answer):
            raise self._unfit(segment, "a mapping of names to real numbers", answer)
        return self.accept(segment, tuple(answer), np.array(list(answer.values()), np.float64))

    def accept(
        self, segment: int, names: tuple[str, ...], numbers: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return numbers, one or a row for each segment, in the order of `names`.

        Raises
        ------
        RunError
            If they are not the names of other segments, or are those of other columns.
        """
        with self._lock:
            if self._names is None:
                if doubled := sorted(self._taken.intersection(names)):
                    raise self._unfit(segment, f"names other than {', '.join(doubled)}", names)
                self._names = names
        if names == self._names:
            return numbers
        if set(names) != set(self._names):
            raise self._unfit(segment, f"the names {', '.join(self._names)}", names)
        return numbers[..., [names.index(name) for name in self._names]]

    @staticmethod
    def _unfit(segment: int, wanted: str, answer: object) -> RunError:
        return RunError(
            f"the function returns {str(answer)[:200]!r}; wanted: {wanted}.",
            where=f"segment {segment}",
            mend="Return a dict of the same names to numbers for every segment.",
        )


def _is_fit(answer: object) -> bool:
    return (
        isinstance(answer, Mapping)
        and len(answer) > 0
        and all(isinstance(name, str) for name in answer)
        and all(isinstance(value, Real | np.bool_) for value in answer.values())
    )
