"""The final numbers of segments: 1 to N by the raster order of their first pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from swath.errors import DataError
from swath.segmentation.graph import Roots
from swath.segmentation.unions import Unions

MOST_SEGMENTS = 2**32 - 1


def first_pixels(roots: Sequence[Roots]) -> npt.NDArray[np.int64]:
    """Return the first pixels of all segments in raster order.

    Parameters
    ----------
    roots
        Of every part: tiles and unions.

    Raises
    ------
    DataError
        If there are more segments than uint32 counts.
    """
    firsts = np.concatenate([each.final_firsts for each in roots])
    if len(firsts) > MOST_SEGMENTS:
        raise DataError(
            f"There are {len(firsts):,} segments, more than uint32 counts.",
            mend="Give a larger smallest size, or no limit to distances.",
        )
    firsts.sort()
    return firsts


def resolve_tiles(unions: Unions) -> list[npt.NDArray[np.int64]]:
    """Return the first pixel of the segment that each root of each tile ends in."""
    found = dict(each_resolved(unions))
    return [found[tile] for tile in range(len(found))]


def each_resolved(unions: Unions) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield the number of each tile, and the first pixel of the segment that its roots end in."""
    roots, steps = unions.roots, unions.steps
    n_tiles = len(roots) - len(steps)
    none = np.empty(0, np.int64)  # the union of all has nothing open
    firsts_of_open: dict[int, npt.NDArray[np.int64]] = {len(roots) - 1: none}
    for part in reversed(range(len(roots))):
        firsts = roots[part].resolve(firsts_of_open.pop(part))
        if part < n_tiles:
            yield part, firsts
        else:
            step = steps[part - n_tiles]
            one, other = unions.joins[part].firsts_of_open(firsts)
            firsts_of_open |= {step.one: one, step.other: other}


def ids_of(
    resolved: npt.NDArray[np.int64], firsts: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    """Return the id of each root, 1-based.

    Parameters
    ----------
    resolved
        Of one tile, from `resolve_tiles`.
    firsts
        From `first_pixels`.
    """
    return (np.searchsorted(firsts, resolved) + 1).astype(np.uint32)
