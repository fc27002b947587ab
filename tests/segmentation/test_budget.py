"""What a segmentation needs, what there is, and where its time went."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from swath.errors import ConfigError
from swath.segmentation import budget
from swath.segmentation.budget import (
    Budget,
    available_memory,
    budget_of,
    refuse_too_large,
    tile_size_for,
)
from swath.segmentation.timings import Timings

MIB = 2**20


@pytest.mark.parametrize(
    ("shape", "workers", "size"),
    [
        ((349, 352), 2, 512),
        ((2041, 1860), 2, 512),
        ((8000, 8000), 2, 1024),
        ((8000, 8000), 40, 512),
    ],
)
def test_tiles_are_large_but_enough_for_all_workers(
    shape: tuple[int, int], workers: int, size: int
) -> None:
    assert tile_size_for(shape, workers) == size


def test_more_of_anything_needs_more() -> None:
    usual = budget_of((8000, 8000), 4, 2, 1024, 2)
    assert 700 * MIB < usual.memory < 1500 * MIB
    assert usual.disk == 6 * 8000**2
    for shape, n_bands, value_bytes, tile_size, workers in (
        ((9000, 8000), 4, 2, 1024, 2),
        ((8000, 8000), 5, 2, 1024, 2),
        ((8000, 8000), 4, 4, 1024, 2),
        ((8000, 8000), 4, 2, 2048, 2),  # what a tile takes
        ((8000, 8000), 4, 2, 32, 2),  # what many small ones leave open
        ((8000, 8000), 4, 2, 1024, 3),
    ):
        assert budget_of(shape, n_bands, value_bytes, tile_size, workers).memory > usual.memory


def test_what_does_not_fit_is_told_with_the_numbers(tmp_path: Path) -> None:
    refuse_too_large(Budget(0, 0), tmp_path, 512, 2)
    with pytest.raises(ConfigError, match=r"about 1,048,576 MiB of memory with 3 workers"):
        refuse_too_large(Budget(2**40, 0), tmp_path, 512, 3)
    with pytest.raises(ConfigError, match=r"about 1,073,741,824 MiB of disk"):
        refuse_too_large(Budget(0, 2**50), tmp_path, 512, 2)
    assert str(Budget(3 * MIB, 5 * MIB)) == "3 MiB of memory, 5 MiB of disk"


def test_limit_of_a_container_counts_without_pages_of_files(tmp_path: Path) -> None:
    assert budget._of_group(tmp_path) is None
    (tmp_path / "memory").mkdir()
    for folder, names in (
        ("memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
        ("", ("memory.max", "memory.current", "inactive_file")),
    ):
        (tmp_path / folder / names[0]).write_text("1000\n")
        (tmp_path / folder / names[1]).write_text("700\n")
        (tmp_path / folder / "memory.stat").write_text(f"anon 500\n{names[2]} 150\n")
        assert budget._of_group(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert budget._of_group(tmp_path) is None
    memory = available_memory()
    assert memory is not None
    assert memory > MIB


def test_what_workers_do_together_counts_for_each_of_them() -> None:
    timings = Timings(workers=2)
    with timings.stage("read"):
        time.sleep(0.02)
    with timings.of_all("write"):
        time.sleep(0.02)
    timings.stop()
    busy = timings.busy_s()
    assert list(busy) == ["read", "write", "wait"]
    assert busy["write"] > 1.5 * 0.02
    assert sum(busy.values()) == pytest.approx(2 * timings.wall_s)
