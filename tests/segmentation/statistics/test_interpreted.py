"""Kernels are plain Python: without the compiler they give the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pyarrow
import pytest

CHILD = """
import json, sys
from pathlib import Path
import numpy as np
import pyarrow.parquet
from numba import config
from swath.grid.grid import Grid
from swath.grid.window import tiles
from swath.segmentation.statistics.accumulator import StatisticsAccumulator
from swath.segmentation.statistics.recipe import Recipe
from swath.segmentation.statistics.spec import StatisticsOptions

assert config.DISABLE_JIT
asked = json.load(sys.stdin)
labels = np.array(asked["labels"], np.uint32)
values = np.array(asked["values"], asked["dtype"])
grid = Grid("EPSG:32633", (20.0, 0, 500_000.0, 0, -10.0, 5_000_000.0), *labels.shape)
recipe = Recipe(StatisticsOptions(statistics=asked["names"]), grid, (values.dtype,) * len(values))
folder = Path(asked["folder"])
with StatisticsAccumulator(recipe, folder) as statistics:
    for window in tiles(labels.shape, 9):
        at = window.slices
        statistics.add_tile(window, labels[at], values[:, *at], np.isfinite(values[0][at]))
    statistics.finish(folder / "child.parquet")
print(json.dumps(pyarrow.parquet.read_table(folder / "child.parquet").to_pylist()))
"""


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32"])
def test_statistics_are_the_same_in_the_interpreter(
    measure: Callable[..., pyarrow.Table],
    tmp_path_factory: pytest.TempPathFactory,
    dtype: str,
) -> None:
    rng = np.random.default_rng(1)
    rows, cols = np.indices((20, 31))
    labels = 1 + (rows // 6) * 7 + cols // 5
    labels[rng.random(labels.shape) < 0.05] = 0
    low, high = (0, 255) if dtype == "uint8" else (-9000, 9000)
    values = (rng.integers(low, high, (2, 20, 31)) // 7).astype(dtype)
    names = ["mean", "std", "min", "max", "median", "p10", "perimeter"]
    for chosen in (names, [*names, "mode"]):
        asked = {
            "labels": labels.tolist(),
            "values": values.tolist(),
            "dtype": dtype,
            "names": chosen,
            "folder": str(tmp_path_factory.mktemp("child")),
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", CHILD],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        )
        assert done.returncode == 0, done.stderr
        known = np.isfinite(values[0])
        assert measure(labels, [values], [known], chosen).to_pylist() == json.loads(done.stdout)
