"""The tasks that Swath can learn: a new one is a folder beside this file and one line in `ROOMS`.

Not here: any task. One idea: the heavy part of a task is found by name when work starts, so that
declaring and planning load none of it.

A task's folder has a light ``spec.py`` (its declaration, a `Spec` with a `kind`) and a heavy
``room.py`` with the functions that the commands call: ``check_model``, ``write_chips``, ``train``,
``predict_block`` and so on; `swath.learn.semantic_segmentation.room` is the pattern.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from swath.errors import ConfigError
from swath.learn.semantic_segmentation.spec import SemanticSegmentation

Task = SemanticSegmentation
"""Any declared task; a union told apart by `kind` as soon as there are two."""

ROOMS: Mapping[str, type[Task]] = {
    "semantic_segmentation": SemanticSegmentation,
}
"""Kind of task to its declaration; the folder has the name of the kind."""


def task_from_json(data: Mapping[str, Any]) -> Task:
    """Build a task from what its `to_json` returned, told apart by ``kind``.

    Raises
    ------
    ConfigError
        If no task has this kind.
    """
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in ROOMS:
        raise ConfigError(
            f"{kind!r} is no kind of task.", where="task.kind", mend=f"Use one of {sorted(ROOMS)}."
        )
    return ROOMS[kind].from_json(dict(data))


def task_room(kind: str) -> ModuleType:
    """Import the heavy part of a task: ``swath.learn.<kind>.room``."""
    if kind not in ROOMS:
        raise ConfigError(
            f"{kind!r} is no kind of task.", where="task.kind", mend=f"Use one of {sorted(ROOMS)}."
        )
    return importlib.import_module(f"swath.learn.{kind}.room")
