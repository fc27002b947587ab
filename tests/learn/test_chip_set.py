"""Shards act as one set; batches are fixed by seed and epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from swath.errors import DataError
from swath.learn.chip_set import ChipFiles, ChipSet, epoch_batches


def _shard(
    folder: Path,
    n_chips: int,
    *,
    first: int = 0,
    size: int = 4,
    dtype: str = "uint16",
    bands: int = 2,
) -> ChipFiles:
    folder.mkdir(parents=True)
    files = ChipFiles(folder / "i.npy", folder / "l.npy", folder / "v.npy", folder / "x.parquet")
    images = np.zeros((n_chips, bands, size, size), dtype)
    images += np.arange(first, first + n_chips).astype(dtype)[:, None, None, None]
    np.save(files.images, images)
    np.save(files.labels, images[:, 0].astype(np.uint8))
    np.save(files.valid, np.zeros((0, size, size), bool))
    return files


def test_chips_are_numbered_over_all_shards(tmp_path: Path) -> None:
    masked = _shard(tmp_path / "b", 2, first=3)
    np.save(masked.valid, np.zeros((2, 4, 4), bool))
    shards = [_shard(tmp_path / "a", 3), _shard(tmp_path / "none", 0), masked]
    chips = ChipSet(shards, 4, "training")
    assert len(chips) == 5
    batch = chips.take(np.array([4, 0, 2, 3]))
    assert batch.images[:, 0, 0, 0].tolist() == [4, 0, 2, 3]
    assert batch.labels[:, 0, 0].tolist() == [4, 0, 2, 3]
    assert batch.valid[:, 0, 0].tolist() == [False, True, True, False]
    assert batch.images.dtype == np.uint16


def test_no_chip_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no window of the validation scenes became a chip"):
        ChipSet([_shard(tmp_path / "a", 0)], 4, "validation")


def test_chips_of_another_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"4 x 4 px, the task says 8 px. Cut the chips again"):
        ChipSet([_shard(tmp_path / "a", 1)], 8, "training")


@pytest.mark.parametrize(
    ("fields", "text"), [({"dtype": "uint8"}, "uint8"), ({"bands": 3}, "3 bands")]
)
def test_shards_that_differ_are_refused(
    tmp_path: Path, fields: dict[str, object], text: str
) -> None:
    shards = [_shard(tmp_path / "a", 1), _shard(tmp_path / "b", 1, **fields)]  # type: ignore[arg-type]
    with pytest.raises(DataError, match=f"2 bands of uint16 against .*{text}"):
        ChipSet(shards, 4, "training")


def test_files_of_a_shard_can_be_told_apart() -> None:
    files = ChipFiles(Path("i"), Path("l"), Path("v"), Path("x"))
    assert replace(files, index=Path("y")).index == Path("y")


def test_every_chip_comes_once_per_epoch_in_an_order_of_seed_and_epoch() -> None:
    one, again, later, other = (
        epoch_batches(11, 4, seed, epoch) for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert [len(batch) for batch in one] == [4, 4, 3]
    assert sorted(np.concatenate(one)) == list(range(11))
    assert np.concatenate(one).tolist() == np.concatenate(again).tolist()
    assert np.concatenate(one).tolist() != np.concatenate(later).tolist()
    assert np.concatenate(one).tolist() != np.concatenate(other).tolist()


def test_a_single_last_chip_joins_the_batch_before() -> None:
    assert [len(batch) for batch in epoch_batches(9, 4, 0, 0)] == [4, 5]
    assert [len(batch) for batch in epoch_batches(1, 4, 0, 0)] == [1]
