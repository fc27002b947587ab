"""The examples that learn: they are declared well, whatever it takes to run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_olinda_is_checked_and_planned_in_two_splits(swath_cli: Any, tmp_path: Path) -> None:
    arguments = [EXAMPLES / "olinda" / "experiment.py", "-a", "root_uri", tmp_path]
    checked = swath_cli("check", *arguments)
    assert (checked.exit_code, checked.err) == (0, "")
    planned = swath_cli("plan", *arguments, "--splits", "2")
    assert planned.exit_code == 0
    assert "10 units to run" in planned.out


def test_zion_s_two_experiments_share_analysis_and_chips(
    shared_data: Path, swath_cli: Any, tmp_path: Path
) -> None:
    config = EXAMPLES / "zion_landcover.py"
    arguments = ["-a", "data", shared_data, "-a", "root_uri", tmp_path]
    checked = swath_cli("check", config, *arguments)
    assert (checked.exit_code, checked.err) == (0, "")
    lines = swath_cli("plan", config, *arguments).out.splitlines()
    shared = [line.split()[0] for line in lines if line.endswith("zion-lr0.001, zion-lr0.0003")]
    assert shared[:2] == ["analyze", "chip"]
    assert sum(line.startswith("train") for line in lines) == 2
