"""The final numbers of segments: 1 to N by the raster order of their first pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from swath.segmentation.graph import Roots
from swath.segmentation.part import Join, Step


def first_pixels(roots: Sequence[Roots]) -> npt.NDArray[np.int64]:
    """Return the first pixels of all segments in raster order.

    Parameters
    ----------
    roots
        Of every part: tiles and unions.
    """
    return np.sort(np.concatenate([each.final_firsts() for each in roots]))


def resolve_tiles(
    roots: Sequence[Roots], steps: Sequence[Step], joins: Mapping[int, Join]
) -> list[npt.NDArray[np.int64]]:
    """Return the first pixel of the segment that each root of each tile ends in.

    Parameters
    ----------
    roots
        Of every part: tiles, then unions in the order of `steps`.
    steps
        From `swath.segmentation.part.join_steps`.
    joins
        How nodes went on, by number of the union.
    """
    n_tiles = len(roots) - len(steps)
    none = np.empty(0, np.int64)  # the union of all has nothing open
    firsts_of_open: dict[int, npt.NDArray[np.int64]] = {len(roots) - 1: none}
    resolved: list[npt.NDArray[np.int64]] = [none] * n_tiles
    for part in reversed(range(len(roots))):
        firsts = roots[part].resolve(firsts_of_open.pop(part))
        if part < n_tiles:
            resolved[part] = firsts
        else:
            step = steps[part - n_tiles]
            one, other = joins[part].firsts_of_open(firsts)
            firsts_of_open |= {step.one: one, step.other: other}
    return resolved


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
