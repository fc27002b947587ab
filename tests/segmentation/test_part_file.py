"""Files of tiles: what is read is what was written, the same arrays are the same bytes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from swath.errors import DataError
from swath.grid.window import Window
from swath.segmentation.clusters import Clusters
from swath.segmentation.part import Part
from swath.segmentation.part_file import (
    read_ids,
    read_part,
    read_runs,
    write_ids,
    write_part,
    write_runs,
)
from swath.segmentation.spec import HALO, SegmentOptions
from swath.segmentation.tile import Runs, clump_tile

CORE = Window(40, 60, 30, 20)
CLUSTERS = Clusters(
    np.array([[10.0], [20.0], [30.0]]), np.zeros(1), np.ones(1), np.ones(1), max_distance=None
)


@pytest.fixture(scope="module")
def tile() -> tuple[Part, Runs]:
    """Return a tile of noise in the middle of an image, so that many segments are open."""
    padded = CORE.pad(HALO)
    values = np.random.default_rng(0).integers(5, 36, (1, *padded.shape)).astype(np.uint8)
    valid = np.ones(padded.shape, bool)
    valid[HALO : HALO + 5, HALO : HALO + 5] = False
    return clump_tile(values, valid, CORE, 200, CLUSTERS, SegmentOptions(min_size=4))


def test_a_part_is_read_as_it_was_written(tile: tuple[Part, Runs], tmp_path: Path) -> None:
    part, _ = tile
    assert part.graph.n_nodes > 10
    write_part(tmp_path / "part.npz", part)
    found = read_part(tmp_path / "part.npz")
    arrays = [
        (part.roots, found.roots, ("open_index", "final_firsts")),
        (part.graph, found.graph, ("nodes", "offsets", "neighbours")),
        *(
            (one, other, ("nodes", "clusters", "links"))
            for one, other in zip(part.edges.each(), found.edges.each(), strict=True)
        ),
    ]
    for one, other, names in arrays:
        for name in names:
            np.testing.assert_array_equal(getattr(other, name), getattr(one, name), strict=True)


def test_runs_are_read_as_they_were_written(tile: tuple[Part, Runs], tmp_path: Path) -> None:
    part, runs = tile
    write_runs(tmp_path / "runs.npz", runs)
    found = read_runs(tmp_path / "runs.npz")
    assert found.shape == CORE.shape
    ids = np.arange(1, part.roots.n_roots + 1, dtype=np.uint32)
    np.testing.assert_array_equal(found.labels(ids), runs.labels(ids), strict=True)
    assert (found.labels(ids)[:5, :5] == 0).all()


def test_ids_are_read_as_they_were_written(tmp_path: Path) -> None:
    ids = np.array([7, 2**32 - 1], np.uint32)
    write_ids(tmp_path / "ids.npy", ids)
    np.testing.assert_array_equal(read_ids(tmp_path / "ids.npy"), ids, strict=True)


def test_no_time_is_in_a_file(tile: tuple[Part, Runs], tmp_path: Path) -> None:
    write_part(tmp_path / "part.npz", tile[0])
    write_runs(tmp_path / "runs.npz", tile[1])
    for name in ("part.npz", "runs.npz"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert {item.date_time for item in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    first = (tmp_path / "part.npz").read_bytes()
    write_part(tmp_path / "again.npz", tile[0])
    assert (tmp_path / "again.npz").read_bytes() == first


def test_a_file_that_was_cut_short_is_told(tile: tuple[Part, Runs], tmp_path: Path) -> None:
    path = tmp_path / "runs.npz"
    write_runs(path, tile[1])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"runs\.npz.* is damaged .* Remove it, and run again"):
        read_runs(path)


def test_a_flipped_bit_is_told(tile: tuple[Part, Runs], tmp_path: Path) -> None:
    path = tmp_path / "runs.npz"
    write_runs(path, tile[1])
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        read_runs(path)


def test_nothing_pickled_is_read(tmp_path: Path) -> None:
    text = io.BytesIO()
    np.savez(text, values=np.array([print]), lengths=np.ones(1), shape=np.ones(2))
    (tmp_path / "runs.npz").write_bytes(text.getvalue())
    with pytest.raises(DataError, match=r"is damaged .*allow_pickle=False"):
        read_runs(tmp_path / "runs.npz")
