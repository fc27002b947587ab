"""Semantic segmentation as a declaration: one class for every pixel.

Not here: what is done with it; the modules beside this one are heavy, this one is loaded by every
start of Swath. One idea: sizes are checked against the model when the task is declared.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Literal

from pydantic import model_validator

from swath.errors import ConfigError
from swath.learn.spec import PredictOptions, SegmentationModel, TrainOptions
from swath.scene.spec import ChipSampling, ClassConfig
from swath.spec import Spec


class SemanticSegmentation(Spec):
    """One class for every pixel, learned from chips with labels of the same size."""

    kind: Literal["semantic_segmentation"] = "semantic_segmentation"
    """Name of the task."""

    classes: ClassConfig
    """Names and colours of the classes; class ids count from 0 in this order."""

    model: SegmentationModel = SegmentationModel()
    """Network and first weights."""

    chips: ChipSampling = ChipSampling(size=256)
    """Which windows of the scenes become chips."""

    train: TrainOptions = TrainOptions()
    """How the model is trained."""

    predict: PredictOptions = PredictOptions()
    """How the model is applied to a scene."""

    @property
    def window(self) -> int:
        """Edge of a window in prediction, in pixels."""
        return self.predict.window or self.chips.size

    @property
    def stride(self) -> int:
        """Distance of neighbouring windows in prediction, in pixels."""
        return self.predict.stride or max(1, self.window // 2)

    @model_validator(mode="after")
    def _check(self) -> SemanticSegmentation:
        self.model.check_size(self.chips.size, "chips.size")
        self.model.check_size(self.window, "predict.window")
        if self.stride > self.window:
            raise ConfigError(
                f"a stride of {self.stride} px leaves gaps between windows of {self.window} px.",
                where="predict.stride",
                mend=f"Set predict.stride to at most {self.window}.",
            )
        self._check_target_classes()
        weights, names = self.train.class_weights, self.classes.names
        if isinstance(weights, tuple) and len(weights) != len(names):
            raise ConfigError(
                f"there are {len(weights)} weights for {len(names)} classes.",
                where="train.class_weights",
                mend=f"Give one number for each of {', '.join(names)}.",
            )
        return self

    def _check_target_classes(self) -> None:
        names = self.classes.names
        for target in self.chips.target_classes:
            if target not in names:
                close = get_close_matches(target, names, n=1)
                raise ConfigError(
                    f"{target!r} is not one of the classes.",
                    where="chips.target_classes",
                    mend=f"Did you mean {close[0]!r}?"
                    if close
                    else f"Use names of {', '.join(names)}.",
                )
