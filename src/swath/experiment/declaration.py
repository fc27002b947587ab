"""What all declarations have in common: a name, a root, and that they compile into a pipeline.

For `Experiment` and `Segmentation`; not for what they declare.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, field_validator

from swath.plan.command import Pipeline
from swath.spec import Spec
from swath.store import normalise


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else str(value)


class Declaration(Spec):
    """What a config declares."""

    id: str
    """Name, unique below its root; letters, digits and '._-'."""

    root_uri: Annotated[str, BeforeValidator(_text)]
    """Folder or URI under which everything that is made is kept."""

    @field_validator("id")
    @classmethod
    def _id_is_a_name(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
            raise ValueError(
                f"The id {value!r} cannot name a folder. Use letters, digits and '._-', at most "
                f"100, and start with a letter or digit."
            )
        return value

    @field_validator("root_uri")
    @classmethod
    def _absolute_root(cls, value: str) -> str:
        return normalise(value)

    def compile(self) -> Pipeline:
        """Return the commands; headers of images that are not known are read.

        Raises
        ------
        DataError, Problems
            If images are missing, unreadable or not on the grids they should be on.
        """
        raise NotImplementedError


def absolute(value: Any) -> Any:
    """Make every URI in a spec, or in JSON values, absolute, whatever folder a worker is in."""
    if isinstance(value, Spec):
        return type(value).from_json(absolute(value.to_json()))
    if isinstance(value, Mapping):
        return {
            key: _absolute_uris(item) if key in {"uri", "uris"} else absolute(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [absolute(item) for item in value]
    return value


def _absolute_uris(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [normalise(item) for item in value]
    return normalise(value)
