"""Kinds of commands that users define: a function of a `Work`, and where its outputs go.

A decorated function gets splits, skipping, resume and every runner like the kinds that come with
Swath. Its parameters are part of every fingerprint; its code is not, so raise ``version`` when the
same inputs shall give another result.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swath.errors import ConfigError
from swath.plan.command import Command, Input, Ref, Resources, Unit
from swath.run.load import local_folders
from swath.run.work import Work
from swath.store import is_local, normalise

Inputs = Mapping[str, "Input | os.PathLike[str] | Sequence[Input | os.PathLike[str]]"]


@dataclass(frozen=True)
class Kind:
    """A kind of command; made by `command`.

    Attributes
    ----------
    function
        Does one unit.
    outputs
        Output name to file name, for every unit.
    version
        See `swath.plan.command.Command`.
    resources
        What one split needs.
    """

    function: Callable[[Work], None]
    outputs: Mapping[str, str]
    version: int
    resources: Resources

    @property
    def name(self) -> str:
        """Name of the kind: that of the function."""
        return self.function.__name__

    @property
    def reference(self) -> str:
        """Where a worker finds the function: a module if it can be imported, else a file."""
        module = inspect.getmodule(self.function)
        file = Path(inspect.getfile(self.function)).absolute()
        if module is None or _search_folder(module.__name__, file) is None:
            return f"{file}:{self.name}"
        return f"{module.__name__}:{self.name}"

    def each(
        self, root_uri: str | os.PathLike[str], units: Mapping[str, Inputs], **params: Any
    ) -> Command:
        """Declare a command with one unit per item of `units`.

        Parameters
        ----------
        root_uri
            Where results go.
        units
            Name of the unit to its inputs: a path, a URI, a `Ref` to an output of another
            command, or a list of them.
        params
            JSON values that the function reads as ``work.params``.
        """
        return Command(
            kind=self.name,
            function=self.reference,
            root=normalise(root_uri),
            units=tuple(self._unit(name, inputs) for name, inputs in units.items()),
            version=self.version,
            params={name: _json_value(value) for name, value in params.items()},
            resources=self.resources,
        )

    def once(self, root_uri: str | os.PathLike[str], inputs: Inputs, **params: Any) -> Command:
        """Declare a command with the single unit ``all``."""
        return self.each(root_uri, {"all": inputs}, **params)

    def _unit(self, name: str, inputs: Inputs) -> Unit:
        plain = {
            key: _input(value)
            if isinstance(value, str | Ref | os.PathLike)
            else tuple(map(_input, value))
            for key, value in inputs.items()
        }
        unit = Unit(name=name, inputs=plain, outputs=self.outputs)
        return Unit(name=name, inputs=plain, outputs=self.outputs, work=_size_of_sources(unit))


def command(
    *, outputs: Mapping[str, str], version: int = 1, resources: Resources | None = None
) -> Callable[[Callable[[Work], None]], Kind]:
    """Make a kind of command of a function.

    Parameters
    ----------
    outputs
        Output name to file name; the function writes each to ``work.output(name)``.
    version
        Raise it when the same inputs and parameters shall give another result.
    resources
        What one split needs.

    Examples
    --------
    >>> @command(outputs={"text": "copy.txt"})
    ... def copy(work: Work) -> None:
    ...     work.output("text").write_text(open(work.input("text")).read())
    >>> copy.name
    'copy'
    """
    if not outputs:
        raise ConfigError("a kind without outputs can never be up to date.", mend="Declare one.")

    def decorate(function: Callable[[Work], None]) -> Kind:
        return Kind(function, dict(outputs), version, resources or Resources())

    return decorate


def _search_folder(module: str, file: Path) -> str | None:
    """Return the entry of `sys.path` by which every process finds a module; None if there is none.

    What lies in the working folder, beside the script, or beside a config file is found by this
    process alone.
    """
    parts = module.split(".")
    if file.stem == "__init__":
        parts.append("__init__")
    if list(file.with_suffix("").parts[-len(parts) :]) != parts:
        return None  # __main__, or a file that was loaded by its path
    folder = str(file.parents[len(parts) - 1])
    script = getattr(sys.modules["__main__"], "__file__", None)
    alone = {str(Path.cwd()), *local_folders} | ({str(Path(script).parent)} if script else set())
    return folder if folder in sys.path and folder not in alone else None


def _input(value: Input | os.PathLike[str]) -> Input:
    return value if isinstance(value, Ref) else normalise(value)


def _json_value(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return value


def _size_of_sources(unit: Unit) -> int:
    """Estimate work by the bytes of local source files; 1 where there are none."""
    size = 0
    for _, value in unit.each_input():
        if isinstance(value, str) and is_local(value) and os.path.isfile(value):  # noqa: PTH113
            size += os.path.getsize(value)  # noqa: PTH202
    return max(size, 1)
