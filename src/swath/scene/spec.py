"""Declare scenes: imagery with its labels and area, and how chips are cut from it.

Not here: opening them (`swath.scene.reader`) and choosing windows (`swath.scene.sampling`).

The one idea: a scene is complete in itself. Everything that its pixels, class ids and masks depend
on is in its declaration, so that a scene can be fingerprinted, skipped and shared on its own.
"""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from swath.raster.spec import ImageSpec
from swath.scene.areas import Area, BlockArea, VectorArea, WindowArea, block_split
from swath.scene.classes import IGNORE, ClassConfig
from swath.scene.labels import RasterLabels, VectorLabels, label_source, raster_of
from swath.spec import Spec

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

_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

Labels = Annotated[RasterLabels | VectorLabels, Field(discriminator="kind")]
"""Labels of any kind."""


def _area_of(value: Any) -> Any:
    if isinstance(value, str | os.PathLike):
        return VectorArea(uri=os.fspath(value))
    return value


class Scene(Spec):
    """Imagery, optional labels and an optional area of interest, on the grid of the image."""

    id: str
    """Name of the scene, unique in an experiment; it names folders, so it holds only letters,
    digits, '.', '_' and '-', at most 100, and starts with a letter or digit."""

    image: Annotated[ImageSpec, BeforeValidator(raster_of)]
    """The imagery, or the path of a raster."""

    labels: Annotated[Labels | None, BeforeValidator(label_source)] = None
    """The labels, or the path of a raster that holds class ids. None: there are none."""

    area: Annotated[Area | None, BeforeValidator(_area_of)] = None
    """The part of the scene that may be used, or the path of a file of polygons. Pixels outside
    have no class: they are neither learnt from nor counted. None: the whole image."""

    group: str = ""
    """Name of the group under which the scene's scores are also summed up. Empty: no group."""

    @field_validator("id")
    @classmethod
    def _id_is_path_safe(cls, value: str) -> str:
        if not _SAFE_ID.fullmatch(value):
            raise ValueError(
                f"The scene id {value!r} cannot name a folder everywhere. Use letters, digits, "
                f"'.', '_' and '-', at most 100, and start with a letter or digit."
            )
        return value

    def source_uris(self) -> dict[str, tuple[str, ...]]:
        """Return the source files by role: ``image``, and ``labels`` and ``area`` if there are any.

        A file that serves two roles is listed in both.
        """
        roles = {"image": tuple(self.image.source_uris())}
        if isinstance(self.labels, RasterLabels):
            roles["labels"] = tuple(self.labels.raster.source_uris())
        elif isinstance(self.labels, VectorLabels):
            roles["labels"] = (self.labels.uri,)
        if isinstance(self.area, VectorArea):
            roles["area"] = (self.area.uri,)
        return roles


class ChipSampling(Spec):
    """Which windows of a scene become chips.

    Candidates are laid out by `method`. Those with too much nodata, too little area or no labelled
    pixel are dropped, then those without enough of the target classes.
    """

    size: int = Field(default=256, ge=1)
    """Height and width of a chip in pixels."""

    method: Literal["sliding", "random"] = "sliding"
    """'sliding': a regular grid of windows that includes the last row and column. 'random':
    `n_random` positions drawn evenly over the area."""

    stride: int | None = Field(default=None, ge=1)
    """Distance in pixels between the starts of sliding windows, at most `size`. None: `size`."""

    n_random: int | None = Field(default=None, ge=1)
    """Number of random candidates per scene, before any is dropped."""

    seed: int = 0
    """Seed of random positions and of the choice among negative windows."""

    nodata_limit: float = Field(default=0.5, ge=0, le=1)
    """Largest share of a window's image pixels that may be nodata; padding past the edge of the
    image is no image pixel."""

    min_area_share: float = Field(default=1.0, ge=0, le=1)
    """Least share of a window's image pixels inside the area. 1: windows lie wholly inside, so
    that chips of two areas that do not touch share no pixel."""

    target_classes: tuple[str, ...] = ()
    """Classes that a window must show to be positive. Empty: every window is positive."""

    min_class_pixels: int = Field(default=1, ge=1)
    """Number of pixels of the target classes, taken together, that make a window positive."""

    negative_ratio: float = Field(default=0.0, ge=0)
    """Number of windows that are not positive, kept for each positive one, block by block."""

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        if self.method == "random" and self.n_random is None:
            raise ValueError("Random sampling needs `n_random`, the number of candidates.")
        if self.method == "random" and self.stride is not None:
            raise ValueError("`stride` does nothing with random sampling. Remove it.")
        if self.method == "sliding" and self.n_random is not None:
            raise ValueError(
                "`n_random` does nothing with sliding sampling. Remove it, or set method='random'."
            )
        if self.stride is not None and self.stride > self.size:
            raise ValueError(
                f"The stride {self.stride} is larger than the size {self.size}: pixels between the "
                f"windows would never be sampled. Set `stride` to at most {self.size}."
            )
        if not self.target_classes and (self.min_class_pixels != 1 or self.negative_ratio != 0):
            raise ValueError(
                "`min_class_pixels` and `negative_ratio` do nothing without `target_classes`. "
                "Name the target classes, or remove both."
            )
        return self

    @property
    def step(self) -> int:
        """Distance in pixels between the starts of sliding windows."""
        return self.size if self.stride is None else self.stride

    def target_ids(self, classes: ClassConfig) -> tuple[int, ...]:
        """Return the ids of the target classes.

        Raises
        ------
        ValueError
            If a target class is not one of `classes`.
        """
        return tuple(classes.id_of(name) for name in self.target_classes)
