"""Run declared commands one after another, as the engine does, without its records and splits.

For tests of what commands compute. Not for planning or running (`swath.plan`, `swath.run`). The
`Work` that a unit sees is the real one.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swath.plan.command import Command, Ref
from swath.run.work import SplitValues, Work


class Chain:
    """Outputs of the units that ran, by key."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.outputs: dict[str, dict[str, Path]] = {}
        self.ran: list[str] = []

    def run(self, command: Command, **options: Any) -> None:
        module, _, name = command.function.partition(":")
        function = getattr(importlib.import_module(module), name)
        values = SplitValues()
        try:
            for unit, key in zip(command.units, command.unit_keys, strict=True):
                if key in self.outputs:
                    continue
                folder = self.root / command.kind / key
                folder.mkdir(parents=True)
                outputs = {name: folder / file for name, file in unit.outputs.items()}
                work = Work(
                    unit=unit.name,
                    params=command.params,
                    unit_params=unit.params,
                    options={"threads": 1, "device": "cpu", **command.options, **options},
                    inputs={name: self._paths(value) for name, value in unit.inputs.items()},
                    outputs=outputs,
                    state_dir=folder / "state",
                    progress=_ignore,
                    values=values,
                )
                function(work)
                assert all(path.is_file() for path in outputs.values()), unit.name
                self.outputs[key] = outputs
                self.ran.append(f"{command.kind} {unit.name}")
        finally:
            values.close()

    def path(self, command: Command, unit: str, output: str) -> Path:
        return self.outputs[command.ref(unit, output).key][output]

    def _paths(self, value: str | Ref | Sequence[str | Ref]) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, Ref):
            return [str(self.outputs[value.key][value.output])]
        return [self._paths(item)[0] for item in value]


def _ignore(done: float, total: float, **numbers: float) -> None:
    assert 0 <= done <= total
