"""Every benchmark runs at its small size; no time is asserted, since machines differ."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = (
    "startup",
    "splits",
    "runners",
    "planning",
    "chips",
    "prediction",
    "evaluation",
    "segmentation",
)
# They start processes that import torch or scikit-learn, or compile.
SLOW = ("startup", "prediction", "evaluation", "segmentation")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_the_list_of_benchmarks_is_complete() -> None:
    main = importlib.import_module("benchmarks.__main__")
    assert main.NAMES == NAMES
    beside = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert set(NAMES) <= beside


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in NAMES]
)
def test_a_benchmark_runs_and_compares_with_a_named_alternative(name: str, tmp_path: Path) -> None:
    main = importlib.import_module("benchmarks.__main__")
    rows = main.measure(name, "small", str(tmp_path))
    assert rows
    assert all(row.figure > 0 and row.alternative and row.other > 0 for row in rows)
    assert list(tmp_path.iterdir()) == [], "what was written is removed"


def test_a_target_is_met_from_the_right_side() -> None:
    table = importlib.import_module("benchmarks.table")
    at_most = table.Target(0.2, "most", "figure")
    at_least = table.Target(5, "least", "ratio")
    assert table.Row("start", 0.1, "s", "pass", 0.05, at_most).is_met is True
    assert table.Row("start", 0.3, "s", "pass", 0.05, at_most).is_met is False
    assert table.Row("chips", 50, "1/s", "loop", 10, at_least).is_met is True
    assert table.Row("chips", 49, "1/s", "loop", 10, at_least).is_met is False
    assert table.Row("chips", 49, "1/s", "loop", 10).is_met is None


def test_an_unknown_benchmark_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    main = importlib.import_module("benchmarks.__main__")
    with pytest.raises(SystemExit) as stopped:
        main.main(["chps"])
    assert stopped.value.code == 2
    assert "there is no benchmark 'chps'" in capsys.readouterr().err
