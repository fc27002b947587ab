"""The final numbers of segments: 1 to N by the raster order of their first pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from swath.errors import DataError
from swath.segmentation.union import Union

MOST_SEGMENTS = 2**32 - 1


def first_pixels(union: Union) -> npt.NDArray[np.int64]:
    """Return the first pixels of all segments in raster order.

    Raises
    ------
    DataError
        If there are more segments than uint32 counts.
    """
    firsts = np.concatenate([union.final_firsts, *(each.final_firsts for each in union.roots)])
    if len(firsts) > MOST_SEGMENTS:
        raise DataError(
            f"There are {len(firsts):,} segments, more than uint32 counts.",
            mend="Give a larger smallest size, or no limit to distances.",
        )
    firsts.sort()
    return firsts


def refuse_none(n_segments: int) -> None:
    """Refuse an image without data, which is found out late if its centres were given.

    Raises
    ------
    DataError
        If there is no segment.
    """
    if not n_segments:
        raise DataError("No pixel has data.", mend="Look at the nodata value and the mask.")


def ids_of(
    resolved: npt.NDArray[np.int64], firsts: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint32]:
    """Return the id of each root, 1-based.

    Parameters
    ----------
    resolved
        Of one tile, from `Union.resolved`.
    firsts
        From `first_pixels`.
    """
    return (np.searchsorted(firsts, resolved) + 1).astype(np.uint32)
