"""Statistics of segments are those of their definition, however the image is cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath.grid.window import Window

from .conftest import expected, rows_of

Measure = Callable[..., pyarrow.Table]
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def random_case(seed: int, dtype: str) -> tuple[npt.NDArray[Any], ...]:
    """Return labels, an image of two bands and its validity, of some awkward kind."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 40, 2))
    n_ids = int(rng.integers(1, 30))
    if rng.random() < 0.5:  # blocks: segments mostly in one place
        rows, cols = np.indices((height, width)) // int(rng.integers(1, 12))
        labels = 1 + rows * 100 + cols
    else:  # noise: every id is everywhere
        labels = rng.integers(0, n_ids, (height, width))
    if rng.random() < 0.3:
        labels = labels * 87_654_321 % 2**32  # far apart
    labels[rng.random((height, width)) < rng.choice([0, 0.2])] = 0
    shape = (2, height, width)
    if np.dtype(dtype).kind == "f":
        values = (rng.normal(size=shape) * 10.0 ** rng.integers(-8, 8)).astype(dtype)
        values[rng.random(shape) < rng.choice([0, 0.1])] = np.nan
    else:
        info = np.iinfo(dtype)
        low, high = rng.choice([(info.min, info.max), (max(info.min, 0), 3)])
        values = rng.integers(low, high, shape, dtype, endpoint=True)
    valid = rng.random((height, width)) >= rng.choice([0, 0.3])
    return labels, values, valid


def random_windows(seed: int, shape: tuple[int, int]) -> list[Window]:
    """Cut an image into rows of tiles, each row in its own way."""
    rng = np.random.default_rng(seed)

    def ends(length: int) -> list[int]:
        inside = rng.choice(np.arange(1, length), min(3, length - 1), replace=False)
        return [0, *sorted(inside.tolist()), length]

    windows = []
    for row, row_end in itertools.pairwise(ends(shape[0])):
        for col, col_end in itertools.pairwise(ends(shape[1])):
            windows.append(Window(row, col, row_end - row, col_end - col))
    return windows


def _check(table: pyarrow.Table, wanted: dict[int, dict[str, Any]], dtype: str) -> None:
    ids = table["id"].to_numpy()
    assert (np.diff(ids.astype(np.int64)) > 0).all()
    found = rows_of(table)
    assert found.keys() == wanted.keys()
    for segment, row in wanted.items():
        assert list(found[segment]) == list(row)
        for name, value in row.items():
            if dtype.startswith("float") and name.endswith("_std") and value is not None:
                largest = max(abs(row[f"{name[:2]}_{end}"]) for end in ("min", "max"))
                assert found[segment][name] == pytest.approx(value, rel=1e-12, abs=3e-14 * largest)
            else:
                assert found[segment][name] == value, (segment, name)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_statistics_are_those_of_the_definition_for_every_tiling(
    measure: Measure, dtype: str, seed: int
) -> None:
    labels, values, valid = random_case(seed, dtype)
    whole = measure(labels, [values], [valid])
    _check(whole, expected(labels, [values], [valid]), dtype)
    smallest = -(-max(labels.shape) // 7)
    cuts: Sequence[Any] = (smallest, 16, random_windows(seed, labels.shape))
    for cut in cuts:
        assert measure(labels, [values], [valid], windows=cut, seed=seed) == whole
    spilled = measure(labels, [values], [valid], windows=10, memory_bytes=1000, workers=2)
    assert spilled == whole
