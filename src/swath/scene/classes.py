"""Name the classes of a map, give them ids and colours.

Not here: how the values of a label file become class ids (`swath.scene.spec`).

The one idea: the id of a class is its position in `names`, and ids are what every label array
holds; the one value that is no class, `IGNORE`, means "unknown: leave out of learning and out of
every count".
"""

from __future__ import annotations

import colorsys
import re
from typing import Any, Final

from pydantic import Field, field_validator, model_validator

from swath.spec import Spec

IGNORE: Final = 255
"""Value of a label pixel without a class: nodata, outside the area, or left out on purpose."""

MAX_CLASSES: Final = IGNORE
"""Labels are uint8 and `IGNORE` takes one value, so ids run from 0 to 254."""

# Okabe and Ito (2008), Color Universal Design: told apart with every common colour blindness.
# Black stands last, because viewers draw nodata black.
OKABE_ITO: Final = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#d55e00",
    "#f0e442",
    "#000000",
)

_COLOUR = re.compile(r"#[0-9a-f]{6}")


def default_colours(n_classes: int) -> tuple[str, ...]:
    """Return a distinct colour for each class, safe for colour blindness up to eight classes.

    Parameters
    ----------
    n_classes
        Number of classes; more than eight continue with hues in steps of the golden angle and
        alternating lightness, which stay distinct but are no longer safe for everyone.

    Examples
    --------
    >>> default_colours(2)
    ('#0072b2', '#e69f00')
    """
    colours = list(OKABE_ITO[:n_classes])
    step = 0
    while len(colours) < n_classes:
        hue = (step * 0.618033988749895) % 1.0
        lightness = (0.35, 0.55, 0.75)[step % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.65)
        colour = f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
        if colour not in colours:
            colours.append(colour)
        step += 1
    return tuple(colours)


def check_colour(colour: str) -> str:
    """Return `colour` in lower case, or raise ValueError unless it is `#rrggbb`."""
    lower = colour.strip().lower()
    if not _COLOUR.fullmatch(lower):
        raise ValueError(
            f"{colour!r} is not a colour. Write it as '#rrggbb', six hexadecimal digits, for "
            f"example '#e69f00'."
        )
    return lower


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return red, green, blue, each 0 to 255, of a `#rrggbb` colour.

    Examples
    --------
    >>> rgb_of("#e69f00")
    (230, 159, 0)
    """
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


class ClassConfig(Spec):
    """The classes of a map, in the order of their ids."""

    names: tuple[str, ...] = Field(min_length=1)
    """Name of each class; the position is its id, from 0. At most 255 classes."""

    colours: tuple[str, ...] = ()
    """Colour of each class as '#rrggbb', in the order of `names`. Empty: a default palette that is
    safe for colour blindness up to eight classes."""

    null: str | None = None
    """Name of the class that means "none of the others", if there is one."""

    @field_validator("names")
    @classmethod
    def _names_are_distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(names) > MAX_CLASSES:
            raise ValueError(
                f"{len(names)} classes; label files hold one byte per pixel, so at most "
                f"{MAX_CLASSES} are possible. Merge classes with the labels' `mapping`."
            )
        for position, name in enumerate(names):
            if not name or name != name.strip():
                raise ValueError(
                    f"names[{position}] is {name!r}. Give it a name without spaces at its ends."
                )
            first = names.index(name)
            if first != position:
                raise ValueError(
                    f"names[{first}] and names[{position}] are both {name!r}. Give every class a "
                    f"name of its own."
                )
        return names

    @field_validator("colours")
    @classmethod
    def _colours_are_colours(cls, colours: tuple[str, ...]) -> tuple[str, ...]:
        checked = []
        for position, colour in enumerate(colours):
            try:
                checked.append(check_colour(colour))
            except ValueError as error:
                raise ValueError(f"colours[{position}]: {error}") from None
        return tuple(checked)

    @model_validator(mode="before")
    @classmethod
    def _default_palette(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("colours") and _is_sequence(data.get("names")):
            return data | {"colours": default_colours(min(len(data["names"]), MAX_CLASSES))}
        return data

    @model_validator(mode="after")
    def _fields_fit_together(self) -> ClassConfig:
        if len(self.colours) != len(self.names):
            raise ValueError(
                f"{len(self.names)} names and {len(self.colours)} colours. Give one colour per "
                f"class, or none for the default palette."
            )
        if self.null is not None and self.null not in self.names:
            raise ValueError(
                f"The null class {self.null!r} is not one of the classes "
                f"{', '.join(self.names)}. Name one of them, or add it to `names`."
            )
        return self

    @property
    def n_classes(self) -> int:
        """Number of classes, the null class included."""
        return len(self.names)

    @property
    def null_id(self) -> int | None:
        """Id of the null class, if there is one."""
        return None if self.null is None else self.names.index(self.null)

    def id_of(self, name_or_id: str | int) -> int:
        """Return the id of a class given by name or by id.

        Raises
        ------
        ValueError
            If there is no such class.
        """
        if isinstance(name_or_id, int):
            if 0 <= name_or_id < self.n_classes:
                return name_or_id
            raise ValueError(
                f"{name_or_id} is no class id; ids run from 0 ({self.names[0]}) to "
                f"{self.n_classes - 1} ({self.names[-1]})."
            )
        if name_or_id in self.names:
            return self.names.index(name_or_id)
        raise ValueError(f"{name_or_id!r} is not one of the classes {', '.join(self.names)}.")

    def colour_table(self) -> dict[int, tuple[int, int, int]]:
        """Return red, green, blue (0 to 255) by class id, as a paletted raster stores them."""
        return {index: rgb_of(colour) for index, colour in enumerate(self.colours)}


def _is_sequence(value: object) -> bool:
    return isinstance(value, list | tuple)
