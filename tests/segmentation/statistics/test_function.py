"""A user's function of the pixels of one segment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow
import pytest

from swath.errors import RunError

Measure = Callable[..., pyarrow.Table]


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels of blocks, two bands, and where they are valid."""
    rng = np.random.default_rng(3)
    rows, cols = np.indices((40, 50))
    labels = (1 + (rows // 9) * 10 + cols // 7) * (rng.random((40, 50)) > 0.02)
    return labels, rng.integers(0, 9, (2, 40, 50)).astype(np.uint16), rng.random((40, 50)) > 0.1


def centre(values: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> dict[str, Any]:
    """Return where the first band is heavy; it fails if pixels are not in raster order."""
    assert (np.diff(rows * 1000 + cols) > 0).all()
    assert values.shape == (2, rows.size)
    weight = values[0].sum()
    return {
        "row": float((values[0] * rows).sum() / weight) if weight else np.nan,
        "last": values[1, -1],
        "n": rows.size,
    }


@pytest.mark.parametrize(
    "cut", [{"windows": 16}, {"windows": 11, "seed": 2, "memory_bytes": 500}, {"windows": 64}]
)
def test_numbers_of_a_function_become_columns(
    measure: Measure, scene: tuple[np.ndarray, ...], cut: dict[str, int]
) -> None:
    labels, values, valid = scene
    table = measure(labels, [values], [valid], ("mean",), function=centre, **cut)
    assert table.column_names == ["id", "n_pixels", "b1_mean", "b2_mean", "row", "last", "n"]
    for row in table.to_pylist():
        inside = (labels == row["id"]) & valid
        rows, cols = np.nonzero(inside)
        wanted = centre(values[:, inside], rows, cols)
        assert row["row"] == (None if np.isnan(wanted["row"]) else wanted["row"])
        assert (row["last"], row["n"]) == (wanted["last"], wanted["n"])


def test_a_segment_without_valid_pixels_has_no_numbers(measure: Measure) -> None:
    labels = np.array([[1, 2]])
    values = np.array([[[3, 4]]], np.uint8)
    table = measure(
        labels, [values], [labels == 1], (), function=lambda values, rows, cols: {"v": values[0, 0]}
    )
    assert table.to_pylist() == [
        {"id": 1, "n_pixels": 1, "v": 3.0},
        {"id": 2, "n_pixels": 1, "v": None},
    ]


def test_segments_that_all_lie_in_several_tiles_have_columns_too(measure: Measure) -> None:
    labels = np.ones((4, 4))
    values = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    table = measure(
        labels, [values], [labels > 0], (), windows=2, function=lambda v, r, c: {"sum": v.sum()}
    )
    assert table.to_pylist() == [{"id": 1, "n_pixels": 16, "sum": 120.0}]


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda v, r, c: [1], "wanted: a mapping of names to real numbers"),
        (lambda v, r, c: {"a": "b"}, "wanted: a mapping"),
        (lambda v, r, c: {}, "wanted: a mapping"),
        (lambda v, r, c: {f"n{r.size}": 1}, "wanted: the names n"),
        (lambda v, r, c: {"b1_mean": 1}, "names other than b1_mean"),
        (lambda v, r, c: {"a": 1 / 0}, "fails: ZeroDivisionError: division by zero"),
    ],
)
def test_what_a_function_may_not_return(
    measure: Measure, function: Callable[..., Any], told: str
) -> None:
    labels = np.array([[1, 2, 2]])
    with pytest.raises(RunError, match="segment") as error:
        measure(labels, [labels[None].astype("u1")], [labels > 0], ("mean",), function=function)
    assert told in str(error.value)
    assert error.value.mend
