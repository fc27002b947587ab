"""What one split needs, as one JSON file: a worker reads this and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import swath
from swath.errors import ConfigError
from swath.plan.command import Ref, Resources, is_pinned
from swath.plan.plan import Plan, Split
from swath.plan.record import command_folder

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class AssignedUnit:
    """One unit with everything settled.

    Attributes
    ----------
    name, fingerprint, params
        Of the unit.
    inputs
        Name to URI, or to a list of them.
    outputs
        Name to URI.
    pinned
        Names of outputs whose place was chosen by the user.
    sources
        URI to the identity that the plan found; the worker refuses another one.
    forced
        True if it runs though it is done: it starts over, whatever a killed attempt left.
    """

    name: str
    fingerprint: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str | list[str]]
    outputs: Mapping[str, str]
    pinned: list[str]
    sources: Mapping[str, str]
    forced: bool


_UNIT_FIELDS = tuple(item.name for item in fields(AssignedUnit))


@dataclass(frozen=True, slots=True)
class Assignment:
    """One split of a command.

    Attributes
    ----------
    key
        Of the split.
    run
        Id of the run.
    kind, function, params, options, resources
        Of the command.
    folder
        URI of the folder of the command's outputs and records.
    threads
        Threads that the worker may use; 0: as many as its machine has cores.
    environment
        Settings that the user gave and that the worker needs, as variables.
    keep_going
        True to go on with other units after one failed.
    units
        In the order in which they are done.
    swath_version
        Of the Swath that planned it.
    """

    key: str
    run: str
    kind: str
    function: str
    params: Mapping[str, Any]
    options: Mapping[str, Any]
    resources: Resources
    folder: str
    threads: int
    keep_going: bool
    environment: Mapping[str, str]
    units: tuple[AssignedUnit, ...]
    swath_version: str = field(default=swath.__version__)

    def to_json(self) -> bytes:
        """Return the assignment as JSON text."""
        # Not asdict() for the whole: it copies, seconds for 100,000 units.
        plain = {item.name: getattr(self, item.name) for item in fields(self)}
        units = [{name: getattr(unit, name) for name in _UNIT_FIELDS} for unit in self.units]
        changed = {"schema": SCHEMA, "resources": asdict(self.resources), "units": units}
        return json.dumps(plain | changed).encode()

    @classmethod
    def from_json(cls, text: bytes, where: str) -> Assignment:
        """Read what `to_json` wrote.

        Raises
        ------
        ConfigError
            If it was written by another version of Swath: what it would do may not be the same.
        """
        data = json.loads(text)
        schema, version = data.pop("schema", None), data.get("swath_version")
        if schema != SCHEMA or version != swath.__version__:
            raise ConfigError(
                f"the run was planned by Swath {version} (schema {schema}), and this is Swath "
                f"{swath.__version__} (schema {SCHEMA}).",
                where=where,
                mend="Use one version: install it here, or build the image of the workers anew.",
            )
        data["resources"] = Resources(**data["resources"])
        data["units"] = tuple(AssignedUnit(**unit) for unit in data["units"])
        return cls(**data)


def assign(
    plan: Plan,
    split: Split,
    *,
    run: str,
    threads: int,
    keep_going: bool,
    resources: Resources | None = None,
    device: str = "auto",
    environment: Mapping[str, str] | None = None,
) -> Assignment:
    """Settle everything that the worker of `split` needs.

    `resources` are those that the user gives to the kind, if they are not what it declares.
    """
    command = plan.graph.nodes[split.node].command
    return Assignment(
        key=split.key,
        run=run,
        kind=command.kind,
        function=command.function,
        params=command.params,
        options={"device": device} | dict(command.options),
        resources=resources or command.resources,
        folder=command_folder(command.root, command.kind, command.params_key),
        threads=threads,
        keep_going=keep_going,
        environment=environment or {},
        units=tuple(_assigned_unit(plan, i) for i in split.units),
    )


def _assigned_unit(plan: Plan, index: int) -> AssignedUnit:
    node, item = plan.graph.units[index], plan.scanned[index]
    inputs: dict[str, str | list[str]] = {}
    for read in node.reads:
        uri = read.source or plan.output_uri(read.producer, read.output)
        if isinstance(node.unit.inputs[read.name], str | Ref):
            inputs[read.name] = uri
        else:
            inputs.setdefault(read.name, []).append(uri)  # type: ignore[union-attr]
    return AssignedUnit(
        name=node.unit.name,
        fingerprint=item.fingerprint,
        params=node.unit.params,
        inputs=inputs,
        outputs=item.outputs,
        pinned=[name for name, place in node.unit.outputs.items() if is_pinned(place)],
        sources={uri: found for (_, uri), found in item.identities.items()},
        forced=item.runs_again,
    )
