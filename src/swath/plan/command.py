"""Commands and their units: what is to be done, as data.

A command is one node of the graph. It knows its kind, the parameters that change its result, its
units, and where the function that does one unit is found; it knows nothing of rasters or models.
Commands are declared bottom up: a unit names the inputs it reads either by URI or by a `Ref` to an
output of a unit that was declared before. Where such an output will lie is settled later, in
`swath.plan.scan`, when the fingerprints are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

from swath.errors import ConfigError
from swath.plan.canonical import fingerprint_of
from swath.store import normalise

DECLARATION_SCHEMA = 1
"""Version of the JSON of a stored declaration; `swath.experiment.upgrades` reads older ones."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class Ref(NamedTuple):
    """An output of a unit that another unit reads.

    Attributes
    ----------
    key
        Declared identity of the unit, see `Command.unit_keys`.
    output
        Name of the output.
    """

    key: str
    output: str


Input = str | Ref
"""A URI, or an output of another unit."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one split of a command needs.

    Attributes
    ----------
    gpus
        GPUs that it can use; it takes as many where there are any, and is alone on them.
    memory_gib
        Memory in GiB; None: unknown, a runner gives what is usual there.
    cpus
        Cores; None: as many as is usual there.
    time_limit_s
        Seconds after which it is to be stopped; None: the limit of the runner.
    """

    gpus: int = 0
    memory_gib: float | None = None
    cpus: int | None = None
    time_limit_s: int | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest piece of a command that can be done, skipped and retried on its own.

    Attributes
    ----------
    name
        Unique within the command: letters, digits and ``._-``, with ``/`` for folders.
    inputs
        Name to URI or `Ref`, or to a sequence of them. An edge of the graph comes from here and
        from nowhere else.
    outputs
        Name to file name (placed under the root by the planner) or to a pinned URI, which is told
        by a scheme or a leading ``/``.
    params
        What only this unit reads, as JSON values: a window, the declaration of a scene.
    work
        Estimated work; pixels where there are pixels. Splits are balanced by it.
    output_bytes
        Estimated size of all outputs in bytes; 0: unknown.
    scene
        The scene that it belongs to; None if to several or none.
    """

    name: str
    inputs: Mapping[str, Input | Sequence[Input]] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    work: int = 1
    output_bytes: int = 0
    scene: str | None = None

    def each_input(self) -> Iterator[tuple[str, Input]]:
        """Yield (name, input), one by one in the declared order."""
        for name, value in self.inputs.items():
            if isinstance(value, str | Ref):
                yield name, value
            else:
                for item in value:
                    yield name, item


@dataclass(frozen=True)
class Command:
    """One node of the graph.

    Attributes
    ----------
    kind
        What it does, for example ``"chip"``.
    function
        Where the code of one unit is: ``"package.module:function"``, or
        ``"/path/of/file.py:function"`` for a kind that lives in a local file.
    root
        URI under which outputs go that are not pinned.
    units
        At least one; names are unique.
    version
        Version of the kind; raise it when the same inputs give another result.
    params
        What changes the result, as JSON values.
    options
        What does not change the result (threads, device), as JSON values; not fingerprinted.
    phase
        The word by which users select it; the kind, unless several kinds form one step.
    splittable
        Whether its units may be cut into several splits.
    """

    kind: str
    function: str
    root: str
    units: tuple[Unit, ...]
    version: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    phase: str = ""
    splittable: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.kind):
            raise ConfigError(
                f"{self.kind!r} is no name for a kind of command.",
                mend="Use lower-case letters, digits and underscores, a letter first.",
            )
        if not self.units:
            raise ConfigError(
                "the command has no units.", where=self.kind, mend="Give it at least one."
            )
        seen: set[str] = set()
        for unit in self.units:
            if not _NAME.fullmatch(unit.name):
                raise ConfigError(
                    f"{unit.name!r} is no name for a unit.",
                    where=self.kind,
                    mend="Use letters, digits and '._-', with '/' between folders.",
                )
            if unit.name in seen:
                raise ConfigError(
                    f"two units are named {unit.name!r}.",
                    where=self.kind,
                    mend="Names of units are unique within a command.",
                )
            seen.add(unit.name)
            _refuse_outputs(self.kind, unit)
        object.__setattr__(self, "root", normalise(self.root))
        if not self.phase:
            object.__setattr__(self, "phase", self.kind)

    @cached_property
    def params_key(self) -> str:
        """Hash of kind, function, version and params: the folder of its outputs under the kind."""
        try:
            return fingerprint_of([self.kind, self._function_name, self.version, self.params])
        except TypeError as error:
            raise _not_json(error, self.kind) from None

    @property
    def _function_name(self) -> str:
        """The function without the folder of its file: a project that moved is the same one."""
        place, _, name = self.function.rpartition(":")
        return f"{place.rpartition('/')[2]}:{name}"

    @cached_property
    def unit_keys(self) -> tuple[str, ...]:
        """One declared identity per unit, in order; equal keys are the same work.

        It covers everything that was declared and nothing that was found on disk, so it is known
        before any file is looked at.
        """
        try:
            return tuple(
                fingerprint_of(
                    [self.params_key, self.root, unit.name, unit.inputs, unit.outputs, unit.params]
                )
                for unit in self.units
            )
        except TypeError as error:
            raise _not_json(error, self.kind) from None

    @cached_property
    def _key_of_unit(self) -> Mapping[str, str]:
        return {unit.name: key for unit, key in zip(self.units, self.unit_keys, strict=True)}

    def ref(self, unit: str, output: str) -> Ref:
        """Point at one output of one unit, for use as an input of a later command."""
        try:
            return Ref(self._key_of_unit[unit], output)
        except KeyError:
            raise ConfigError(
                f"there is no unit {unit!r}.", where=self.kind, mend="Refer to a declared unit."
            ) from None

    def refs(self, output: str) -> tuple[Ref, ...]:
        """Point at the output of this name of every unit, in order."""
        return tuple(Ref(key, output) for key in self.unit_keys)


def _not_json(error: TypeError, kind: str) -> ConfigError:
    return ConfigError(
        f"a parameter cannot be part of a fingerprint: {error}.",
        where=kind,
        mend="Give texts, numbers, booleans, None, and lists and mappings of them.",
    )


def is_pinned(output: str) -> bool:
    """Tell whether the declared place of an output is a URI rather than a file name."""
    return output.startswith("/") or "://" in output


def _refuse_outputs(kind: str, unit: Unit) -> None:
    """Refuse outputs of one unit that overwrite each other, or leave the unit's folder."""
    if len(set(unit.outputs.values())) < len(unit.outputs):
        raise ConfigError(
            f"two outputs of the unit {unit.name!r} have one place: {unit.outputs}.",
            where=kind,
            mend="Give each output a place of its own.",
        )
    for name, place in unit.outputs.items():
        if is_pinned(place):
            continue
        if any(not part or part.startswith((".", "~")) for part in place.split("/")):
            raise ConfigError(
                f"the output {name!r} of the unit {unit.name!r} cannot be the file {place!r}.",
                where=kind,
                mend="Give a plain file name; or an absolute path, to choose the place yourself.",
            )


@dataclass(frozen=True)
class Pipeline:
    """What one experiment compiles into: commands in any order, and names for results.

    Attributes
    ----------
    id
        The experiment; a safe file name.
    root
        URI under which the records of runs and the declaration are kept.
    commands
        Declared in any order; the graph orders them by inputs and outputs.
    declaration
        JSON from which the experiment can be run again; empty for pipelines made by hand.
    results
        Name to the output it stands for, shown to the user when the run is done.
    """

    id: str
    root: str
    commands: tuple[Command, ...]
    declaration: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Ref] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.id):
            raise ConfigError(
                f"{self.id!r} is no id for an experiment.",
                mend="Use letters, digits and '._-'.",
            )
        object.__setattr__(self, "root", normalise(self.root))

    def to_json(self) -> dict[str, Any]:
        """Return the pipeline as JSON values, which `from_json` reads back unchanged."""
        return {
            "id": self.id,
            "root": self.root,
            "commands": [_command_json(command) for command in self.commands],
            "results": {name: list(ref) for name, ref in self.results.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pipeline:
        """Build the pipeline from what `to_json` returned."""
        return cls(
            id=data["id"],
            root=data["root"],
            commands=tuple(_command_from_json(command) for command in data["commands"]),
            results={name: Ref(*ref) for name, ref in data["results"].items()},
        )


def _command_json(command: Command) -> dict[str, Any]:
    units = [
        {item.name: getattr(unit, item.name) for item in fields(unit)} for unit in command.units
    ]
    for unit in units:
        unit["inputs"] = {name: _input_json(value) for name, value in unit["inputs"].items()}
    plain = {item.name: getattr(command, item.name) for item in fields(command)}
    return plain | {"units": units, "resources": asdict(command.resources)}


def _input_json(value: Input | Sequence[Input]) -> Any:
    if isinstance(value, Ref):
        return {"ref": list(value)}
    return value if isinstance(value, str) else [_input_json(item) for item in value]


def _command_from_json(data: Mapping[str, Any]) -> Command:
    units = []
    for unit in data["units"]:
        inputs = {name: _input_from_json(value) for name, value in unit["inputs"].items()}
        units.append(Unit(**{**unit, "inputs": inputs}))
    resources = Resources(**data["resources"])
    return Command(**{**data, "units": tuple(units), "resources": resources})


def _input_from_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Ref(*value["ref"])
    return value if isinstance(value, str) else tuple(_input_from_json(item) for item in value)
