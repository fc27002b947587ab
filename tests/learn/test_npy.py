"""A file that grows item by item is a plain `.npy` file in the end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from swath.learn.npy import NpyWriter


@pytest.mark.parametrize("n_items", [0, 1, 5])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64", "bool"])
def test_what_was_appended_can_be_mapped(tmp_path: Path, n_items: int, dtype: str) -> None:
    items = (np.arange(n_items * 12) % 2).reshape(n_items, 3, 4).astype(dtype)
    with NpyWriter(tmp_path / "a.npy", (3, 4), dtype) as writer:
        for item in items:
            writer.append(item)
    loaded = np.load(tmp_path / "a.npy", mmap_mode="r" if n_items else None, allow_pickle=False)
    assert loaded.dtype == dtype
    np.testing.assert_array_equal(loaded, items)


def test_a_view_is_written_in_c_order(tmp_path: Path) -> None:
    image = np.arange(100).reshape(10, 10)
    with NpyWriter(tmp_path / "a.npy", (3, 2), image.dtype) as writer:
        writer.append(image[2:5, 4:6])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[0], image[2:5, 4:6])


def test_another_type_is_refused_never_cast(tmp_path: Path) -> None:
    with (
        pytest.raises(TypeError, match=r"uint16 .* does not fit a file of uint8"),
        NpyWriter(tmp_path / "a.npy", (2,), "uint8") as writer,
    ):
        writer.append(np.zeros(2, np.uint16))


def test_an_unfinished_file_cannot_be_loaded(tmp_path: Path) -> None:
    writer = NpyWriter(tmp_path / "a.npy", (2,), "uint8")
    writer.append(np.zeros(2, np.uint8))
    writer.__exit__(RuntimeError, RuntimeError(), None)
    with pytest.raises(ValueError, match=r"pickled|magic|allow_pickle"):
        np.load(tmp_path / "a.npy", allow_pickle=False)
