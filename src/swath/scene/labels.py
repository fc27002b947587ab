"""Declare label files, and how their values become class ids.

Not here: reading them (`swath.scene.truth`).

The one idea: a value of a label file becomes a class by name, or is left out on purpose with
`None`; a value that the declaration does not speak of is an error, never silently a class.
"""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, field_validator, model_validator

from swath.errors import DataError
from swath.raster.spec import Raster
from swath.scene.classes import IGNORE, ClassConfig, check_colour, rgb_of
from swath.spec import Spec
from swath.vector.spec import VectorFile

ClassRef = str | int | None
"""A class by name or id; None leaves the pixel out of learning and of every count."""

Key = TypeVar("Key", int, str)

VECTOR_SUFFIXES = frozenset(
    {".geojson", ".json", ".gpkg", ".shp", ".parquet", ".geoparquet", ".fgb"}
)


def raster_of(value: Any) -> Any:
    """Return a `Raster` for a path, anything else unchanged."""
    if isinstance(value, str | os.PathLike):
        return Raster(uris=(os.fspath(value),))
    return value


class RasterLabels(Spec):
    """Labels in a raster on the grid of the image: one value, or one colour, per class."""

    kind: Literal["raster_labels"] = "raster_labels"
    """Tells these labels from the others."""

    raster: Annotated[Raster, BeforeValidator(raster_of)]
    """The label raster, or its path; its nodata pixels have no class. One band; three with `rgb`.
    """

    mapping: dict[int, ClassRef] | None = None
    """Class by value of the file. None: the values are class ids already. A class of None leaves
    the value out."""

    rgb: dict[str, ClassRef] | None = None
    """Class by colour '#rrggbb' (or red, green, blue from 0 to 255), for labels painted in three
    bands. A class of None leaves the colour out."""

    @field_validator("rgb", mode="before")
    @classmethod
    def _colours_as_hex(cls, value: Any) -> Any:
        return {_hex(key): ref for key, ref in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_way_to_classes(self) -> Self:
        if self.mapping is not None and self.rgb is not None:
            raise ValueError("Both `mapping` and `rgb` are given. Keep the one that fits the file.")
        for name in ("mapping", "rgb"):
            if getattr(self, name) == {}:
                raise ValueError(f"`{name}` is empty, so no pixel has a class. Fill or remove it.")
        warp = self.raster.warp
        if warp is not None and warp.resampling not in ("nearest", "mode"):
            raise ValueError(
                f"Resampling {warp.resampling!r} would mix classes into values that are none. Set "
                f"`raster.warp.resampling` to 'nearest' or 'mode'."
            )
        return self

    @property
    def uri(self) -> str:
        """The first file, for messages."""
        return self.raster.uris[0]

    def class_ids(self, classes: ClassConfig) -> dict[int, int]:
        """Return the class id (or `IGNORE`) by value of the file.

        Colours are keyed by ``red << 16 | green << 8 | blue``.

        Raises
        ------
        DataError
            If `mapping` or `rgb` names a class that does not exist.
        """
        if self.rgb is not None:
            colours = _class_ids(self.rgb, classes, where=self.uri, field="rgb")
            return {colour_code(*rgb_of(colour)): index for colour, index in colours.items()}
        if self.mapping is not None:
            return _class_ids(self.mapping, classes, where=self.uri, field="mapping")
        return {index: index for index in range(classes.n_classes)}


class VectorLabels(VectorFile):
    """Labels drawn as features; a pixel has the class of the feature that holds its centre.

    Where features overlap, the later one in the order of the file wins.
    """

    kind: Literal["vector_labels"] = "vector_labels"
    """Tells these labels from the others."""

    class_property: str | None = None
    """Property of the features that holds the class, as name or id, or a key of `mapping`."""

    class_name: str | None = None
    """Class of every feature; given instead of `class_property`."""

    mapping: dict[str, ClassRef] | None = None
    """Class by value of `class_property`, written as text. A class of None leaves the feature's
    pixels out."""

    background: str | None = None
    """Class of pixels outside every feature. None: they are unknown, and left out."""

    buffer: float = Field(default=0.0, ge=0)
    """Features are widened by this distance, in units of the image's CRS (mostly metres)."""

    @field_validator("mapping", mode="before")
    @classmethod
    def _keys_as_text(cls, value: Any) -> Any:
        return {str(key): ref for key, ref in value.items()} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_source_of_classes(self) -> Self:
        if (self.class_property is None) == (self.class_name is None):
            given = "both are" if self.class_name is not None else "neither is"
            raise ValueError(
                f"Of `class_property` and `class_name`, {given} given. Set `class_property` "
                f"when a property holds the class, `class_name` when all features are one class."
            )
        if self.mapping is not None and self.class_property is None:
            raise ValueError("`mapping` without `class_property` does nothing. Set both.")
        return self

    def class_ids(self, classes: ClassConfig) -> dict[str, int]:
        """Return the class id (or `IGNORE`) by value of `class_property`, written as text.

        Raises
        ------
        DataError
            If a class is named that does not exist.
        """
        named: dict[str, ClassRef] = {}
        if self.mapping is not None:
            named = dict(self.mapping)
        elif self.class_property is not None:
            named = {str(index): index for index in range(classes.n_classes)}
            named |= {name: name for name in classes.names}
        return _class_ids(named, classes, where=self.uri, field="mapping")

    def fixed_id(self, classes: ClassConfig) -> int | None:
        """Return the id of `class_name`, or None if the class comes from a property."""
        if self.class_name is None:
            return None
        ids = _class_ids({0: self.class_name}, classes, where=self.uri, field="class_name")
        return ids[0]

    def background_id(self, classes: ClassConfig) -> int:
        """Return the id of `background`, or `IGNORE`."""
        ids = _class_ids({0: self.background}, classes, where=self.uri, field="background")
        return ids[0]


def label_source(value: Any) -> Any:
    """Return `RasterLabels` for the path of a raster, anything else unchanged."""
    if not isinstance(value, str | os.PathLike):
        return value
    text = os.fspath(value)
    if PurePosixPath(text).suffix.lower() in VECTOR_SUFFIXES:
        raise ValueError(
            f"{text} holds features, and nothing says which class they are. Write "
            f"VectorLabels(uri={text!r}, class_property=...) or class_name=..."
        )
    return RasterLabels(raster=raster_of(text))


def colour_code(red: int, green: int, blue: int) -> int:
    """Return the number that stands for a colour in a table of values."""
    return red << 16 | green << 8 | blue


def _hex(colour: Any) -> str:
    if isinstance(colour, list | tuple):
        if len(colour) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in colour):
            raise ValueError(f"{colour!r} is not red, green, blue, each from 0 to 255.")
        return "#{:02x}{:02x}{:02x}".format(*colour)
    return check_colour(str(colour))


def _class_ids(
    refs: dict[Key, ClassRef], classes: ClassConfig, *, where: str, field: str
) -> dict[Key, int]:
    ids = {}
    for key, ref in refs.items():
        try:
            ids[key] = IGNORE if ref is None else classes.id_of(ref)
        except ValueError as error:
            at = f"{field}[{key!r}]" if field in ("mapping", "rgb") else field
            raise DataError(
                f"Labels `{at}`: {error}",
                where=where,
                mend=f"Name a class in `{at}`, or add the class to `classes`.",
            ) from None
    return ids
