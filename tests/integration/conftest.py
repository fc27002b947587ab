"""One finished experiment on tiny scenes, and copies of it to change and rerun.

The experiment is run once in a session. A test that changes something works in a copy of the root,
where everything is up to date, and so pays only for what it plans anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swath.grid.grid import Grid
from swath.raster.cog import write_geotiff

CONFIG = Path(__file__).parent / "tiny_experiment.py"


def write_scene(folder: Path, name: str, size: int, *, seed: int, shift: int = 0) -> None:
    """Write an image of three bands with bright squares of 16 pixels, and its labels.

    Labels are moved by `shift` rows against the squares.
    """
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:size, :size]
    bright = (rows // 16 + cols // 16) % 2
    labels = ((rows + shift) // 16 + cols // 16) % 2
    image = (rng.integers(0, 4000, (3, size, size)) + 1000 + 5000 * bright).astype(np.uint16)
    grid = Grid("EPSG:32633", (10.0, 0, 5e5 + 1e4 * seed, 0, -10.0, 5e6), size, size)
    for suffix, values in (("", image), ("-labels", labels[None].astype(np.uint8))):
        write_geotiff(
            folder / f"{name}{suffix}.tif",
            grid,
            [(grid.window, values)],
            dtype=values.dtype,
            n_bands=len(values),
        )


@contextmanager
def made_once(folder: Path, name: str) -> Iterator[Path | None]:
    """Yield a folder to fill, or None if another process of this session has filled it."""
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / f"{name}.done"
        if done.exists():
            yield None
            return
        (folder / name).mkdir()
        yield folder / name
        done.touch()


@dataclass(frozen=True)
class Tiny:
    """The tiny experiment: its scenes, a root where it is finished, and how to run it."""

    data: Path
    root: Path

    def arguments(self, root: Path, *more: object, data: Path | None = None) -> list[object]:
        """Return the config and its arguments, for any sub-command that takes them."""
        return [CONFIG, "-a", "data", data or self.data, "-a", "root_uri", root, *more]

    def copy_to(self, folder: Path) -> Path:
        """Copy the finished root, without its runs' logs of how it came to be."""
        shutil.copytree(self.root, folder, symlinks=True)
        return folder

    def copy_data(self, folder: Path) -> Path:
        """Copy the scenes, so that one can be changed."""
        shutil.copytree(self.data, folder)
        return folder


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all processes of this test session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def tiny_scenes(session_folder: Path) -> Path:
    """Return a folder of scenes, not to be changed: a, b, c, v (64 px) and large (160 px)."""
    with made_once(session_folder, "tiny-scenes") as place:
        if place is not None:
            for number, name in enumerate("abcv"):
                write_scene(place, name, 64, seed=number)
            write_scene(place, "large", 160, seed=9)
    return session_folder / "tiny-scenes"


@pytest.fixture(scope="session")
def tiny(session_folder: Path, tiny_scenes: Path, run_swath: Callable[..., int]) -> Tiny:
    """Return the finished experiment; neither data nor root may be changed."""
    made = Tiny(tiny_scenes, session_folder / "tiny-root")
    with made_once(session_folder, "tiny-root") as place:
        if place is not None:
            assert run_swath("run", "inprocess", *made.arguments(place)) == 0
    return made


Planned = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture
def planned(swath_cli: Callable[..., Any]) -> Planned:
    """Return a function that plans, and says for each kind the reason of each unit that runs."""

    def plan(*arguments: object) -> dict[str, dict[str, str]]:
        answer = swath_cli("plan", *arguments, "--json")
        assert answer.exit_code == 0, answer.err
        found: dict[str, dict[str, str]] = {}
        for node in json.loads(answer.out)["nodes"]:
            for unit in node["units"]:
                if unit["state"] == "run":
                    reason = f"{unit['reason']['cause']}: {unit['reason']['detail']}"
                    found.setdefault(node["kind"], {})[unit["name"]] = reason
        return found

    return plan


def result_files(root: Path) -> dict[str, bytes]:
    """Return the bytes of every output below a root, by path; records and runs are left out."""
    found = {}
    for path in root.glob("*/*/**/*"):
        inner = path.relative_to(root)
        if inner.parts[0] in {"runs", "experiments"} or inner.parts[2] == "records":
            continue
        if path.is_file() and not any(part.startswith(".partial-") for part in inner.parts):
            found[str(inner)] = path.read_bytes()
    return found


@pytest.fixture(scope="session")
def outputs_of() -> Callable[[Path], dict[str, bytes]]:
    """Return the function that reads every output of a root."""
    return result_files
