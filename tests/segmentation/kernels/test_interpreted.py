"""Kernels are plain Python: without the compiler they give the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from swath.segmentation.clusters import Clusters
from swath.segmentation.spec import SegmentOptions
from swath.segmentation.whole import segment_tiles

CHILD = """
import json, sys
import numpy as np
from numba import config
from swath.segmentation.clusters import Clusters
from swath.segmentation.spec import SegmentOptions
from swath.segmentation.whole import segment_tiles

assert config.DISABLE_JIT
asked = json.load(sys.stdin)
values = np.array(asked["values"], asked["dtype"])
labels = segment_tiles(
    values, values[0] != 0, Clusters.from_json(asked["clusters"]),
    SegmentOptions(min_size=12, connectivity=asked["connectivity"]), tile_size=16,
)
print(json.dumps(labels.tolist()))
"""


@pytest.mark.parametrize(("dtype", "connectivity"), [("uint16", 4), ("float32", 8)])
def test_labels_are_the_same_in_the_interpreter(dtype: str, connectivity: int) -> None:
    rng = np.random.default_rng(connectivity)
    ones = np.ones(2)
    centres = rng.integers(1, 200, (4, 2)).astype(float)
    steps = ones if dtype == "uint16" else ones / 2**12
    clusters = Clusters(centres, 0 * ones, steps, ones, 80.0)
    index = np.kron(rng.integers(0, 4, (10, 12)), np.ones((2, 2), int))
    values = np.moveaxis(centres[index], -1, 0) + rng.normal(0, 25, (2, *index.shape))
    values = np.clip(values, 1, 60_000)
    values[:, 3:6, 9:20] = 0
    values = values.astype(dtype)
    asked = {
        "values": values.tolist(),
        "dtype": dtype,
        "clusters": clusters.to_json(),
        "connectivity": connectivity,
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
    options = SegmentOptions(min_size=12, connectivity=connectivity)
    expected = segment_tiles(values, values[0] != 0, clusters, options, tile_size=16)
    assert json.loads(done.stdout) == expected.tolist()
    assert 3 < expected.max() < 60
