"""Start-up: what every call of Swath pays before it does anything.

Measured: processor seconds of ``swath --help`` and of a ``swath run-command`` whose split has no
unit left. Against: ``python -c pass``, which nothing written in Python undercuts; ``rio --help``,
another command line of the field; and the import of what one would write the same work with by
hand. How: each in a process of its own, in turn, medians. Raster Vision is quoted, not measured:
6.6 to 7.7 s for either.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import processes_in_turn
from benchmarks.table import Row, Target
from swath.plan.command import Resources
from swath.run.assignment import Assignment

ROUNDS = {"small": 1, "full": 11}
RASTER_VISION_S = 6.6
BY_HAND = ("rasterio", "geopandas", "torch", "segmentation_models_pytorch")


def run(size: str, folder: Path) -> Iterator[Row]:
    """Measure and yield the rows."""
    swath = [sys.executable, "-m", "swath"]
    python = [sys.executable, "-c"]
    commands = {
        "swath --help": [*swath, "--help"],
        "empty run-command": [*swath, "run-command", str(_empty_split(folder))],
        "python -c pass": [*python, "pass"],
        "rio --help (rasterio)": [*python, "from rasterio.rio.main import main_group as m; m()"],
    }
    commands["rio --help (rasterio)"].append("--help")
    modules = BY_HAND[:1] if size == "small" else BY_HAND
    commands |= {f"import {module}": [*python, f"import {module}"] for module in modules}
    usage = processes_in_turn(commands, ROUNDS[size], cwd=folder)
    limits = {"swath --help": 0.2, "empty run-command": 0.25}
    for name, limit in limits.items():
        figure = usage[name].cpu_s
        yield Row(
            f"{name}, CPU",
            figure,
            "s",
            "python -c pass",
            usage["python -c pass"].cpu_s,
            Target(limit, "most", "figure"),
        )
        yield Row(f"{name}, CPU", figure, "s", "Raster Vision (quoted)", RASTER_VISION_S)
    figure = usage["empty run-command"].cpu_s
    for name in ("rio --help (rasterio)", *(f"import {module}" for module in modules)):
        yield Row("empty run-command, CPU", figure, "s", name, usage[name].cpu_s)


def _empty_split(folder: Path) -> Path:
    """Write the assignment of a split that has nothing left to do."""
    run_folder = folder / "run"
    for name in ("commands", "events"):
        (run_folder / name).mkdir(parents=True)
    assignment = Assignment(
        key="noop-00000",
        run="run",
        kind="noop",
        function="benchmarks:noop",
        params={},
        options={},
        resources=Resources(),
        folder=str(folder / "noop"),
        threads=1,
        keep_going=False,
        environment={},
        units=(),
    )
    path = run_folder / "commands" / "noop-00000.json"
    path.write_bytes(assignment.to_json())
    return path
