"""Rasters: declared (light), described by headers, read by windows, written as COGs."""

from swath.raster.spec import (
    Cast,
    ImageSpec,
    MinMax,
    NaNToValue,
    Raster,
    Reclass,
    Stack,
    Warp,
)

__all__ = ["Cast", "ImageSpec", "MinMax", "NaNToValue", "Raster", "Reclass", "Stack", "Warp"]
