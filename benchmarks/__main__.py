"""``python -m benchmarks [NAME...] [--size small|full]``: measure, and print one table."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import Row, markdown

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


def main(arguments: list[str] | None = None) -> int:
    """Run benchmarks; return 0 if every target is met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    parser.add_argument("--folder", help="for files while measuring; default: the system's")
    asked = parser.parse_args(arguments)
    unknown = sorted(set(asked.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    rows: list[Row] = []
    for name in asked.names or NAMES:
        started = time.perf_counter()
        rows += measure(name, asked.size, asked.folder)
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    print(markdown(rows))
    print(f"\n{_machine()}; size {asked.size}.")
    return 0 if all(row.is_met in (True, None) for row in rows) else 1


def measure(name: str, size: str, folder: str | None = None) -> list[Row]:
    """Run one benchmark in a folder of its own, which is removed."""
    module = importlib.import_module(f"benchmarks.{name}")
    with tempfile.TemporaryDirectory(prefix=f"swath-{name}-", dir=folder) as place:
        return list(module.run(size, Path(place)))


def _machine() -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores ({platform.machine()}), Python {platform.python_version()}, load {load}"


if __name__ == "__main__":
    sys.exit(main())
