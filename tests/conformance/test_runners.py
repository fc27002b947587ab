"""What every runner does alike: the specification of a new one. Add its name to `RUNNERS`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import swath
from swath.experiment.arguments import gather
from swath.experiment.config import load_config
from swath.experiment.session import RunResult, run_experiments
from swath.run.events import EventReader
from swath.run.status import RunStatus

RUNNERS = ("inprocess", "local")
DIAMOND = Path(__file__).with_name("diamond.py")
TOTAL = sum(2 * i + i**2 for i in range(6))


@pytest.fixture(params=RUNNERS)
def runner(request: Any) -> str:
    return str(request.param)


class Diamond:
    """The diamond in a root of its own, with units that can be told to fail."""

    def __init__(self, folder: Path, runner: str) -> None:
        self.root, self.faults, self.runner = folder / "root", folder / "faults", runner
        self.faults.mkdir()

    def run(self, **options: Any) -> RunResult:
        pairs = [("root_uri", str(self.root)), ("faults", str(self.faults))]
        found = load_config(str(DIAMOND), runner=self.runner, arguments=gather(pairs))
        declared = [item.declared for item in found]
        return run_experiments(declared, self.runner, splits=3, **options)

    def units_done(self, result: RunResult) -> Counter[str]:
        assert result.folder is not None
        events = EventReader(result.folder).new()
        return Counter(e.split.partition("-")[0] for e in events if e.what == "unit_done")


@pytest.fixture
def diamond(tmp_path: Path, runner: str) -> Diamond:
    return Diamond(tmp_path, runner)


def test_diamond_runs_in_order_over_splits_and_once(diamond: Diamond) -> None:
    result = diamond.run()
    assert result.succeeded
    assert Path(result.results["diamond"]["total.txt"]).read_text() == str(TOTAL)
    kinds = Counter(result.plan.graph.nodes[s.node].command.kind for s in result.plan.splits)
    assert kinds == {"source": 3, "double": 3, "square": 3, "join": 1}
    assert diamond.units_done(result) == {"source": 6, "double": 6, "square": 6, "join": 1}
    again = diamond.run()
    assert again.folder is None
    assert again.results == result.results


def test_failed_unit_fails_its_dependants_and_keeps_its_traceback(diamond: Diamond) -> None:
    (diamond.faults / "u4").touch()
    result = diamond.run()
    assert not result.succeeded
    assert [key.partition("-")[0] for key in result.outcome.failed] == ["double"]
    assert "join" in {key.partition("-")[0] for key in result.outcome.waiting}
    assert "total.txt" not in result.results["diamond"]
    assert result.folder is not None
    status = RunStatus(result.folder)
    status.update()
    (failure,) = [item for split in status.splits.values() for item in split.failures]
    assert failure[:2] == ("u4", "ValueError: unit u4 was told to fail")
    assert "Traceback" in failure[2]


def test_keep_going_finishes_what_does_not_depend_on_the_failure(diamond: Diamond) -> None:
    (diamond.faults / "u4").touch()
    result = diamond.run(keep_going=True)
    assert diamond.units_done(result) == {"source": 6, "double": 5, "square": 6}


def test_second_run_does_only_what_is_left(diamond: Diamond) -> None:
    (diamond.faults / "u4").touch()
    diamond.run(keep_going=True)
    (diamond.faults / "u4").unlink()
    result = diamond.run()
    assert result.succeeded
    assert diamond.units_done(result) == {"double": 1, "join": 1}
    assert Path(result.results["diamond"]["total.txt"]).read_text() == str(TOTAL)


def test_declaration_beside_the_results_runs_by_itself(diamond: Diamond) -> None:
    diamond.run()
    stored = diamond.root / "experiments" / "diamond" / "experiment.json"
    (found,) = load_config(str(stored), runner=diamond.runner, arguments={})
    assert swath.plan_experiments([found.declared], runner=diamond.runner).is_empty
