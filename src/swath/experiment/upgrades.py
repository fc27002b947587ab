"""Read declarations of older schema versions: one numbered step each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import swath
from swath.errors import ConfigError
from swath.plan.command import DECLARATION_SCHEMA

Step = Callable[[dict[str, Any]], dict[str, Any]]

STEPS: Mapping[int, Step] = {}
"""Version to the function that turns a declaration of it into one of the next version."""


def upgrade(
    declaration: Mapping[str, Any],
    *,
    where: str,
    steps: Mapping[int, Step] = STEPS,
    newest: int = DECLARATION_SCHEMA,
) -> dict[str, Any]:
    """Return the declaration in the newest schema.

    Raises
    ------
    ConfigError
        If it has no schema, one that is newer than this Swath, or one that no step reads.
    """
    data = dict(declaration)
    schema = data.get("schema")
    if not isinstance(schema, int):
        raise ConfigError(
            "it is no stored declaration: it has no `schema`.",
            where=where,
            mend="Give an experiment.json that Swath wrote, or a Python config file.",
        )
    if schema > newest:
        raise ConfigError(
            f"its schema is {schema}; this Swath ({swath.__version__}) reads up to {newest}.",
            where=where,
            mend="Install a newer Swath.",
        )
    while schema < newest:
        if schema not in steps:
            raise ConfigError(f"schema {schema} can no longer be read.", where=where)
        data = steps[schema](data) | {"schema": schema + 1}
        schema += 1
    return data
