"""Small commands that really run: their functions live in a Python file that a worker imports.

Every execution leaves a file in `ran`, so that a test can tell what was done, and how often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from swath.experiment.session import RunResult, execute
from swath.plan.command import Command, Pipeline, Unit
from swath.plan.plan import Plan, make_plan
from swath.plan.select import Selection
from swath.run.events import Event
from swath.run.prepare import last_plans
from swath.settings import Settings, Value

KINDS = '''
"""Kinds of commands for tests."""

import os
import sys
import time
from pathlib import Path


def note(work):
    ran = Path(__file__).with_name("ran")
    ran.mkdir(exist_ok=True)
    (ran / f"{work.unit.replace('/', '_')}.{time.time_ns()}").touch()


def copy(work):
    note(work)
    texts = [Path(path).read_text() for path in work.inputs("text")]
    work.output("text").write_text("+".join(texts) + work.params.get("suffix", ""))


def join(work):
    note(work)
    work.output("text").write_text(",".join(Path(p).read_text() for p in work.inputs("texts")))


def fail(work):
    note(work)
    work.output("text").write_text("half of i")
    if work.unit in work.params["bad"] and not Path(__file__).with_name("mended").exists():
        raise ValueError(f"{work.unit} is bad")


def leave(work):
    note(work)
    sys.exit(0)


def forget(work):
    note(work)


def spoil(work):
    work.output("text").write_text(f"{work.params} {work.unit_params}")
    work.params["suffix"] = work.unit_params["n"] = "spoilt"


def change_source(work):
    Path(work.input("text")).write_text("changed while it was read")
    work.output("text").write_text("made of who knows what")


def count_up(work):
    """Go one step further at each attempt; the third one is through."""
    counter = work.state_dir / "count"
    count = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(count))
    note(work)
    if count < 3:
        raise RuntimeError(f"stopped at {count}")
    work.output("text").write_text(str(count))


class Shared:
    made = closed = 0

    def __init__(self):
        Shared.made += 1

    def close(self):
        Shared.closed += 1


def share(work):
    work.once("shared", Shared)
    work.output("text").write_text(f"{Shared.made} {Shared.closed}")


def tell(work):
    class Number(float):
        """Like those of numpy: no JSON."""

    for i in range(3):
        work.progress(i + 1, 3, loss=Number(0.5))
    work.log.info("told")
    work.output("text").write_text(repr(sorted(work.options.items())))


def slow(work):
    note(work)
    time.sleep(work.params["seconds"])
    work.output("text").write_text("slow")


def environment(work):
    names = ("OMP_NUM_THREADS", "GDAL_NUM_THREADS", "MAKEFLAGS", "MAKELEVEL")
    found = {name: os.environ.get(name) for name in names}
    work.output("text").write_text(repr(found))
'''


class Lab:
    """A folder with a root, sources and the file of kinds."""

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        self.folder = folder
        self.kinds = folder / "kinds.py"
        self.kinds.write_text(KINDS)
        self.root = str(root or folder / "root")
        self.events: list[Event] = []

    def source(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def command(self, function: str, units: Iterable[Unit], **fields: Any) -> Command:
        place = f"{self.kinds}:{function}"
        return Command(fields.pop("kind", function), place, self.root, tuple(units), **fields)

    def copies(self, names: str, **fields: Any) -> Command:
        """Declare a copy of a source of its own for each letter."""
        units = [
            Unit(n, {"text": self.source(f"{n}.txt", n)}, {"text": "t.txt"}, scene=n) for n in names
        ]
        return self.command(fields.pop("function", "copy"), units, **fields)

    def joined(self, command: Command, **fields: Any) -> Command:
        units = [Unit("all", {"texts": command.refs("text")}, {"text": "all.txt"})]
        return self.command("join", units, **fields)

    def pipeline(self, *commands: Command, id: str = "one") -> Pipeline:
        results = {f"{c.kind}.txt": c.refs("text")[-1] for c in commands}
        return Pipeline(id, self.root, commands, results=results)

    def plan(self, *pipelines: Pipeline, splits: int = 1, **select: Any) -> Plan:
        return make_plan(
            pipelines,
            selection=Selection(**select),
            splits=splits,
            memory=last_plans(pipelines),
        )

    def run(
        self,
        *pipelines: Pipeline,
        runner: str = "inprocess",
        splits: int = 1,
        keep_going: bool = False,
        jobs: int = 2,
        **select: Any,
    ) -> RunResult:
        made = self.plan(*pipelines, splits=splits, **select)
        return self.execute(made, runner=runner, keep_going=keep_going, jobs=jobs)

    def execute(
        self, made: Plan, *, runner: str = "inprocess", keep_going: bool = False, jobs: int = 2
    ) -> RunResult:
        self.events.clear()
        settings = Settings({"local.jobs": Value(jobs, "test")})
        return execute(
            made, runner, settings=settings, keep_going=keep_going, emit=self.events.append
        )

    @property
    def ran(self) -> Counter[str]:
        """How often each unit was executed, ever."""
        return Counter(path.name.partition(".")[0] for path in (self.folder / "ran").glob("*"))

    def reasons(self, plan: Plan) -> dict[str, str]:
        return {
            plan.title(i): str(plan.scanned[i].reason) for split in plan.splits for i in split.units
        }

    def text(self, result: RunResult, name: str) -> str:
        (results,) = result.results.values()
        return Path(results[name]).read_text()

    def leftovers(self) -> list[str]:
        """Unfinished files and folders that lie about in the root."""
        return [path.name for path in Path(self.root).rglob(".partial-*")]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def lab_of() -> type[Lab]:
    """Return the class, for tests that choose the folder."""
    return Lab
