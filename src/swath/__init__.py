"""Swath: from imagery to an evaluated map, on a laptop or a cluster.

The names below are the public face. Each is loaded when it is first used, so that importing Swath
costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swath.errors import (
        ConfigError,
        DataError,
        DeclarationError,
        ForbiddenError,
        GraphError,
        InterruptedRunError,
        MissingExtraError,
        NotFoundError,
        Problems,
        RunError,
        StoreError,
        SwathError,
        ThrottledError,
        UnitError,
    )
    from swath.experiment.config import ExperimentSet
    from swath.experiment.experiment import Experiment
    from swath.experiment.kind import Kind, command
    from swath.experiment.segmentation import Segmentation
    from swath.experiment.session import RunResult, plan_experiments, run_experiments
    from swath.grid.grid import Grid
    from swath.grid.window import Window
    from swath.learn.semantic_segmentation.spec import SemanticSegmentation
    from swath.learn.spec import Augmentation, PredictOptions, SegmentationModel, TrainOptions
    from swath.plan.command import Command, Pipeline, Ref, Resources, Unit
    from swath.plan.plan import Plan
    from swath.plan.select import Selection
    from swath.raster.spec import (
        Cast,
        MapCrop,
        MinMax,
        NaNToValue,
        PixelCrop,
        Raster,
        Reclass,
        Stack,
        Warp,
    )
    from swath.run.work import Work
    from swath.scene.areas import BlockArea, VectorArea, WindowArea, block_split
    from swath.scene.classes import IGNORE, ClassConfig
    from swath.scene.labels import RasterLabels, VectorLabels
    from swath.scene.spec import ChipSampling, Scene
    from swath.segmentation.segmenter import segment
    from swath.segmentation.spec import SegmentOptions
    from swath.segmentation.statistics.driver import segment_statistics
    from swath.settings import Settings, load_settings

__version__ = "0.1.0"

_PLACES = {
    "swath.errors": (
        "ConfigError",
        "DataError",
        "DeclarationError",
        "ForbiddenError",
        "GraphError",
        "InterruptedRunError",
        "MissingExtraError",
        "NotFoundError",
        "Problems",
        "RunError",
        "StoreError",
        "SwathError",
        "ThrottledError",
        "UnitError",
    ),
    "swath.experiment.config": ("ExperimentSet",),
    "swath.experiment.experiment": ("Experiment",),
    "swath.experiment.kind": ("Kind", "command"),
    "swath.experiment.segmentation": ("Segmentation",),
    "swath.experiment.session": ("RunResult", "plan_experiments", "run_experiments"),
    "swath.grid.grid": ("Grid",),
    "swath.grid.window": ("Window",),
    "swath.learn.semantic_segmentation.spec": ("SemanticSegmentation",),
    "swath.learn.spec": ("Augmentation", "PredictOptions", "SegmentationModel", "TrainOptions"),
    "swath.plan.command": ("Command", "Pipeline", "Ref", "Resources", "Unit"),
    "swath.plan.plan": ("Plan",),
    "swath.plan.select": ("Selection",),
    "swath.raster.spec": (
        "Cast",
        "MapCrop",
        "MinMax",
        "NaNToValue",
        "PixelCrop",
        "Raster",
        "Reclass",
        "Stack",
        "Warp",
    ),
    "swath.run.work": ("Work",),
    "swath.scene.areas": ("BlockArea", "VectorArea", "WindowArea", "block_split"),
    "swath.scene.classes": ("IGNORE", "ClassConfig"),
    "swath.scene.labels": ("RasterLabels", "VectorLabels"),
    "swath.scene.spec": ("ChipSampling", "Scene"),
    "swath.segmentation.segmenter": ("segment",),
    "swath.segmentation.spec": ("SegmentOptions",),
    "swath.segmentation.statistics.driver": ("segment_statistics",),
    "swath.settings": ("Settings", "load_settings"),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}

__all__ = [
    "IGNORE",
    "Augmentation",
    "BlockArea",
    "Cast",
    "ChipSampling",
    "ClassConfig",
    "Command",
    "ConfigError",
    "DataError",
    "DeclarationError",
    "Experiment",
    "ExperimentSet",
    "ForbiddenError",
    "GraphError",
    "Grid",
    "InterruptedRunError",
    "Kind",
    "MapCrop",
    "MinMax",
    "MissingExtraError",
    "NaNToValue",
    "NotFoundError",
    "Pipeline",
    "PixelCrop",
    "Plan",
    "PredictOptions",
    "Problems",
    "Raster",
    "RasterLabels",
    "Reclass",
    "Ref",
    "Resources",
    "RunError",
    "RunResult",
    "Scene",
    "SegmentOptions",
    "Segmentation",
    "SegmentationModel",
    "Selection",
    "SemanticSegmentation",
    "Settings",
    "Stack",
    "StoreError",
    "SwathError",
    "ThrottledError",
    "TrainOptions",
    "Unit",
    "UnitError",
    "VectorArea",
    "VectorLabels",
    "Warp",
    "Window",
    "WindowArea",
    "Work",
    "__version__",
    "block_split",
    "command",
    "load_settings",
    "plan_experiments",
    "run_experiments",
    "segment",
    "segment_statistics",
]


def __getattr__(name: str) -> Any:
    place = _PLACE_OF.get(name)
    if place is None:
        raise AttributeError(f"module 'swath' has no attribute {name!r}")
    value = getattr(importlib.import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
