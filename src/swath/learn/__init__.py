"""Learning from imagery: analyse, cut chips, train, predict, bundle. Specs here are light."""

from swath.learn.semantic_segmentation import SemanticSegmentation
from swath.learn.spec import Augmentation, PredictOptions, SegmentationModel, TrainOptions

__all__ = [
    "Augmentation",
    "PredictOptions",
    "SegmentationModel",
    "SemanticSegmentation",
    "TrainOptions",
]
