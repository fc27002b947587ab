"""The eight neighbours of a pixel in raster order, by number."""

from __future__ import annotations

import numpy as np

N_DIRECTIONS = 8
ROWS = np.array([-1, -1, -1, 0, 0, 1, 1, 1], np.int64)
"""Step in rows of each direction; that of direction ``d`` back is ``7 - d``."""
COLS = np.array([-1, 0, 1, -1, 1, -1, 0, 1], np.int64)
"""Step in columns of each direction."""
IS_STRAIGHT = np.array([False, True, False, True, True, False, True, False])
"""Directions that count with connectivity 4."""
