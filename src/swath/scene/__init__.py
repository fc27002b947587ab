"""Scenes: imagery, labels and an area of interest on one grid. Declared here, read elsewhere."""

from swath.scene.spec import (
    IGNORE,
    Area,
    BlockArea,
    ChipSampling,
    ClassConfig,
    Labels,
    RasterLabels,
    Scene,
    VectorArea,
    VectorLabels,
    WindowArea,
    block_split,
)

__all__ = [
    "IGNORE",
    "Area",
    "BlockArea",
    "ChipSampling",
    "ClassConfig",
    "Labels",
    "RasterLabels",
    "Scene",
    "VectorArea",
    "VectorLabels",
    "WindowArea",
    "block_split",
]
