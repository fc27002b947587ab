"""Semantic segmentation: all of the task in one folder; `spec` is its light part."""

from swath.learn.semantic_segmentation.spec import SemanticSegmentation

__all__ = ["SemanticSegmentation"]
