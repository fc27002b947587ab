"""A root in which plans are made and carried out without running anything: the plan's own world.

`World.do` does what a worker would leave behind: outputs, sidecars, and a part of records.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from swath.plan.command import Command, Pipeline, Unit, is_pinned
from swath.plan.plan import Plan, make_plan, memory_of
from swath.plan.record import SIDECAR, Record, command_folder, sidecar, write_part
from swath.plan.scan import State
from swath.plan.select import Selection
from swath.store import open_store


class World:
    """A root, sources beside it, and the JSON of the last plan of each experiment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = str(folder / "root")
        self.last: dict[str, dict[str, Any]] = {}
        self.clock = 0.0

    def source(self, name: str, text: str = "pixels") -> str:
        """Write a source file and return its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def command(self, kind: str, units: Iterable[Unit], **fields: Any) -> Command:
        return Command(kind, "nowhere:run", self.root, tuple(units), **fields)

    def pipeline(self, *commands: Command, id: str = "one") -> Pipeline:
        return Pipeline(id, self.root, commands)

    def plan(self, *pipelines: Pipeline, **options: Any) -> Plan:
        if "select" in options:
            options["selection"] = Selection(**options.pop("select"))
        return make_plan(pipelines, memory=memory_of(self.last.get), **options)

    def do(self, plan: Plan, *, units: Iterable[str] | None = None) -> None:
        """Leave behind what a run of the plan would; of only these units if they are named."""
        told = json.loads(json.dumps(plan.to_json()))
        self.last |= dict.fromkeys((p.id for p in plan.graph.pipelines), told)
        for split in plan.splits:
            command = plan.graph.nodes[split.node].command
            folder = command_folder(command.root, command.kind, command.params_key)
            done = [i for i in split.units if units is None or plan.title(i) in units]
            records = [self._record(plan, i) for i in done]
            self.clock += 1
            write_part(open_store(folder), folder, f"run{self.clock}.{split.key}", 0, records)

    def _record(self, plan: Plan, index: int) -> Record:
        item, unit = plan.scanned[index], plan.graph.units[index].unit
        sizes = {}
        for name, uri in item.outputs.items():
            text = f"{name} of {item.fingerprint}"
            Path(uri).parent.mkdir(parents=True, exist_ok=True)
            Path(uri).write_text(text)
            if is_pinned(unit.outputs[name]):
                Path(uri + SIDECAR).write_bytes(sidecar(item.fingerprint, unit.name))
            sizes[name] = (uri, len(text))
        self.clock += 1
        return Record(
            item.fingerprint, unit.name, sizes, started=self.clock, redone=item.runs_again
        )

    def reasons(self, plan: Plan) -> dict[str, str]:
        """Return the reason of every unit that is to run, by its title."""
        return {
            plan.title(i): str(item.reason)
            for i, item in enumerate(plan.scanned)
            if item.state is State.RUN
        }


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture(scope="session")
def world_of() -> type[World]:
    """Return the class, for tests that need a fresh world for every example."""
    return World
