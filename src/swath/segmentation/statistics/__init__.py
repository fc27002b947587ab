"""Statistics of the segments of any segmentation: from tiles, exact, the same for every tiling.

Most segments lie inside one tile, and are finished there. Of those that reach a tile's edge the
tile keeps what can be merged: sums, extents, and how often each value occurs. So the result is that
of the whole image, and what is held at a time is a tile and a range of ids.
"""
