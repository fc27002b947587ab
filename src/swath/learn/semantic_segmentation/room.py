"""What the commands call for semantic segmentation; the heavy half of the task, in one list.

One idea: each name is loaded when it is first used, so that cutting chips and joining maps never
wait for torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

MODULES: Mapping[str, str] = {
    "ChipFiles": "swath.learn.chip_set",
    "Predictor": "swath.learn.semantic_segmentation.prediction",
    "TrainedFiles": "swath.learn.semantic_segmentation.training",
    "check_model": "swath.learn.semantic_segmentation.model_check",
    "chip_output": "swath.learn.semantic_segmentation.forward",
    "load_model": "swath.learn.semantic_segmentation.forward",
    "load_predictor": "swath.learn.semantic_segmentation.prediction",
    "predict_block": "swath.learn.semantic_segmentation.prediction",
    "train": "swath.learn.semantic_segmentation.training",
    "write_chips": "swath.learn.semantic_segmentation.chips",
    "write_map": "swath.learn.semantic_segmentation.maps",
    "write_scores": "swath.learn.semantic_segmentation.maps",
}
"""Name to the module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(MODULES[name]), name)
