"""Splits that do nothing: what the `local` runner adds to the work itself.

Measured: wall seconds, and processor seconds of all processes, of ``swath run local`` over 20 and
200 splits of one unit each that touches a file: planning, Makefile, one process for each split,
records, summary. Against: GNU make that starts as many ``python -c pass``, two at a time; no runner
with a process per split can do less.
How: in turn, into fresh folders, medians; two jobs at a time. Raster Vision is quoted, not
measured: 100 s for 20.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks.measure import Usage, process_usage
from benchmarks.table import Row, Target

COUNTS = {"small": {3: 1}, "full": {20: 5, 200: 1}}
"""Number of splits to number of rounds."""

LIMIT_S = {20: 3.0}
RASTER_VISION_S = {20: 100.0}

CONFIG = """
from swath import Pipeline, command

@command(outputs={"nothing": "nothing.txt"})
def noop(work):
    work.output("nothing").touch()

def get_config(root_uri: str, n_units: int):
    units = {f"unit-{index:03d}": {} for index in range(n_units)}
    return Pipeline("noop", root_uri, (noop.each(root_uri, units),))
"""


def run(size: str, folder: Path) -> Iterator[Row]:
    """Measure and yield the rows."""
    config = folder / "noop.py"
    config.write_text(CONFIG)
    serial = count()
    for n_splits, n_rounds in COUNTS[size].items():
        runs, bare = [], []
        for _ in range(n_rounds):
            runs.append(_swath(config, folder / f"root-{next(serial)}", n_splits))
            bare.append(_make(folder / f"make-{next(serial)}", n_splits))
        limit = LIMIT_S.get(n_splits)
        figure = median(used.wall_s for used in runs)
        name, other = f"{n_splits} no-op splits, local", "make, python -c pass"
        target = None if limit is None else Target(limit, "most", "figure")
        bare_s = median(used.wall_s for used in bare)
        yield Row(f"{name}, wall", figure, "s", other, bare_s, target)
        cpu_s, bare_s = median(used.cpu_s for used in runs), median(used.cpu_s for used in bare)
        yield Row(f"{name}, CPU", cpu_s, "s", other, bare_s)
        if n_splits in RASTER_VISION_S:
            yield Row(
                f"{name}, wall", figure, "s", "Raster Vision (quoted)", RASTER_VISION_S[n_splits]
            )


def _swath(config: Path, root: Path, n_splits: int) -> Usage:
    arguments = ["-a", "root_uri", str(root), "-a", "n_units", str(n_splits)]
    jobs = ["--splits", str(n_splits), "--set", "local.jobs=2"]
    command = [sys.executable, "-m", "swath", "run", "local", str(config), *arguments, *jobs]
    return process_usage(command)


def _make(folder: Path, n_splits: int) -> Usage:
    folder.mkdir()
    targets = " ".join(f"done-{index}" for index in range(n_splits))
    recipe = f"@{shlex.quote(sys.executable)} -c pass && touch $@"
    (folder / "Makefile").write_text(f"all: {targets}\n{targets}:\n\t{recipe}\n")
    return process_usage(["make", "-j2", "all"], cwd=folder)
