"""Segmentation of large areas after Shepherd, Bunting and Dymond (2019); statistics of segments.

Here is what is computed for a window, a tile or a table. Not here: how tiles become units of
commands (`swath.commands`), nor the command line.

One idea: every step that looks at pixels looks a few pixels far, and all that is left is a graph of
small segments, whose answers do not depend on the order of the questions. So the labels are the
same for every tiling.
"""
