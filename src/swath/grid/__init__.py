"""Pixel rectangles and the grids they lie on: arithmetic only, no files, no arrays."""
