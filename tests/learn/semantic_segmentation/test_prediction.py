"""A pixel has one value, whoever computes it; and what was asked for is what comes out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from swath.errors import DataError
from swath.grid.grid import Grid
from swath.grid.window import Window, sliding, tiles
from swath.learn.description import ModelDescription
from swath.learn.semantic_segmentation.maps import (
    BlockPrediction,
    write_block,
    write_map,
    write_scores,
)
from swath.learn.semantic_segmentation.prediction import (
    Predictor,
    blend_weights,
    load_predictor,
    predict_block,
    windows_of,
)
from swath.learn.semantic_segmentation.training import TrainedFiles
from swath.learn.spec import PredictOptions
from swath.raster.reader import open_raster
from swath.raster.spec import Cast, Raster
from swath.scene.spec import ClassConfig, Scene

CLASSES = ClassConfig(names=("dark", "bright"), colours=("#101112", "#fafbfc"))
OPTIONS = PredictOptions(window=32, stride=20, batch_size=3, scores=True)
MakeScene = Callable[..., Scene]


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    """A scene of 70 x 90 px, not a multiple of anything, with a hole of nodata."""
    rows, cols = np.mgrid[:70, :90]
    labels = (rows // 16 + cols // 16) % 2
    noise = np.random.default_rng(1).integers(0, 500, (3, 70, 90))
    image = (noise + 1000 + 20_000 * labels).astype(np.uint16)
    image[:, 5:9, 40:44] = 0
    return make_scene(image, labels.astype(np.uint8), nodata=0)


def _whole(
    scene: Scene, trained: TrainedFiles, block_size: int, options: PredictOptions, **device: Any
) -> BlockPrediction:
    predictor = load_predictor(
        trained.model, trained.description, options, {"device": "cpu", "threads": 1, **device}
    )
    try:
        with open_raster(scene.image) as reader:
            labels = np.zeros(reader.grid.shape, np.uint8)
            scores = np.zeros((2, *reader.grid.shape), np.uint8)
            for block in tiles(reader.grid.shape, block_size):
                part = predictor.predict(reader, block)
                labels[block.slices] = part.labels
                if part.scores is not None:
                    scores[:, *block.slices] = part.scores
        return BlockPrediction(labels, scores)
    finally:
        predictor.close()


@pytest.mark.parametrize("block_size", [70, 33, 16])
@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_and_threads_do_not_change_a_bit(
    scene: Scene, trained: TrainedFiles, block_size: int, threads: int
) -> None:
    whole = _whole(scene, trained, 1000, OPTIONS)
    parts = _whole(scene, trained, block_size, OPTIONS, threads=threads)
    assert parts.scores is not None
    assert whole.scores is not None
    np.testing.assert_array_equal(parts.labels, whole.labels)
    np.testing.assert_array_equal(parts.scores, whole.scores)


def test_the_map_shows_what_was_learned_and_nodata_stays_nodata(
    scene: Scene, trained: TrainedFiles
) -> None:
    found = _whole(scene, trained, 1000, OPTIONS)
    hole = np.zeros((70, 90), bool)
    hole[5:9, 40:44] = True
    assert (found.labels[hole] == 255).all()
    assert set(np.unique(found.labels[~hole])) <= {0, 1}
    assert found.scores is not None
    assert not found.scores[:, hole].any()


@pytest.mark.parametrize(
    "change",
    [{"window": 64}, {"stride": 32}, {"blend": "mean"}, {"precision": "bfloat16"}],
    ids=str,
)
def test_every_option_changes_the_scores(
    scene: Scene, trained: TrainedFiles, change: dict[str, Any]
) -> None:
    one = _whole(scene, trained, 1000, OPTIONS).scores
    two = _whole(scene, trained, 1000, OPTIONS.replace(**change)).scores
    assert one is not None
    assert not np.array_equal(one, two)


def test_the_batch_size_is_only_a_size(scene: Scene, trained: TrainedFiles) -> None:
    one = _whole(scene, trained, 1000, OPTIONS)
    two = _whole(scene, trained, 1000, OPTIONS.replace(batch_size=7))
    assert one.scores is not None
    assert two.scores is not None
    assert np.abs(one.scores.astype(int) - two.scores.astype(int)).max() <= 1


class _Constant:
    """Stands for a network: each window says the class of its number, with full certainty."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes

    def map(self, batches: Any) -> Any:
        number = 0
        for batch in batches:
            result = np.zeros((len(batch.windows), self.n_classes, 32, 32), np.float32)
            for index in range(len(batch.windows)):
                result[index, number % self.n_classes] = 1
                number += 1
            yield batch, result

    def close(self) -> None:
        pass


def _votes(
    trained: TrainedFiles, reader: Any, n_classes: int, options: PredictOptions
) -> BlockPrediction:
    predictor = Predictor(
        trained.model, ModelDescription.read(trained.description), options, {"device": "cpu"}
    )
    predictor.close()
    predictor.n_classes = n_classes
    predictor._forward = _Constant(n_classes)  # type: ignore[assignment]
    return predictor.predict(reader, reader.grid.window)


def test_hazard_vote_counters_overflow_uint8(trained: TrainedFiles, make_scene: MakeScene) -> None:
    """A stride of 1 puts 1024 windows on a pixel; counters of 8 bits would start again at 256."""
    scene = make_scene(np.ones((3, 63, 63), np.uint16), None)
    options = PredictOptions(window=32, stride=1, batch_size=64, scores=True, blend="mean")
    with open_raster(scene.image) as reader:
        found = _votes(trained, reader, 1, options)
    assert found.scores is not None
    assert (found.labels == 0).all()
    assert (found.scores == 255).all()


def test_overlaps_are_blended_by_weight(trained: TrainedFiles, make_scene: MakeScene) -> None:
    """Two windows, columns 0 to 31 and 16 to 47, that are sure of classes 0 and 1."""
    scene = make_scene(np.ones((3, 32, 48), np.uint16), None)
    with open_raster(scene.image) as reader:
        options = PredictOptions(window=32, stride=16, scores=True)
        smooth = _votes(trained, reader, 2, options)
        mean = _votes(trained, reader, 2, options.replace(blend="mean"))
    assert smooth.scores is not None
    assert mean.scores is not None
    assert (smooth.labels[:, :24] == 0).all()
    assert (smooth.labels[:, 24:] == 1).all()
    assert (mean.scores[:, :, 16:32] == 128).all()  # half of 255, rounded
    # At column 16 the windows' ramps are 16 and 1 parts of 16.5.
    assert smooth.scores[:, 0, 16].tolist() == [round(255 * 16 / 17), round(255 / 17)]


def test_blend_weights_are_symmetric_and_never_zero() -> None:
    weights = blend_weights(4, "smooth")
    np.testing.assert_allclose(weights[0] / weights[0, 0], [1, 2, 2, 1])
    np.testing.assert_array_equal(weights, weights.T)
    assert weights.min() > 0
    assert (blend_weights(4, "mean") == 1).all()


def test_windows_of_blocks_are_those_of_the_scene() -> None:
    every = windows_of((70, 90), 32, 20, Window(0, 0, 70, 90))
    assert max(w.row_end for w in every) == 70
    assert max(w.col_end for w in every) == 90
    for block in tiles((70, 90), 25):
        assert windows_of((70, 90), 32, 20, block) == [w for w in every if w.intersect(block)]


@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    size=st.integers(1, 40),
    stride=st.integers(1, 50),
    corner=st.tuples(st.integers(-20, 120), st.integers(-20, 120)),
    extent=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_windows_of_a_block_are_found_without_those_of_the_scene(
    shape: tuple[int, int],
    size: int,
    stride: int,
    corner: tuple[int, int],
    extent: tuple[int, int],
) -> None:
    block = Window(*corner, *extent)
    expected = [window for window in sliding(shape, size, stride) if window.intersect(block)]
    assert windows_of(shape, size, stride, block) == expected


def test_windows_of_a_block_cost_what_the_block_costs() -> None:
    """Of a scene with a hundred million windows; building all would take minutes and gigabytes."""
    found = windows_of((10**6, 10**6), 200, 100, Window(5000, 5000, 100, 100))
    assert [w.row_off for w in found] == [4900, 4900, 5000, 5000]


def test_a_scene_smaller_than_a_window_is_predicted_whole(
    trained: TrainedFiles, make_scene: MakeScene
) -> None:
    scene = make_scene(np.full((3, 10, 7), 20_000, np.uint16), None)
    found = _whole(scene, trained, 1000, OPTIONS)
    assert found.labels.shape == (10, 7)
    assert (found.labels != 255).all()


def test_windows_without_data_are_not_computed(
    trained: TrainedFiles, make_scene: MakeScene
) -> None:
    scene = make_scene(np.zeros((3, 40, 40), np.uint16), None, nodata=0)
    done = []
    predictor = load_predictor(trained.model, trained.description, OPTIONS, {"device": "cpu"})
    with open_raster(scene.image) as reader:
        found = predictor.predict(reader, reader.grid.window, lambda *at: done.append(at))
    predictor.close()
    assert (found.labels == 255).all()
    assert done == []


def test_another_number_of_bands_is_refused(trained: TrainedFiles, make_scene: MakeScene) -> None:
    scene = make_scene(np.ones((2, 40, 40), np.uint16), None)
    with pytest.raises(DataError, match="the image has 2 bands, the model was trained on 3"):
        _whole(scene, trained, 1000, OPTIONS)


def test_another_type_of_values_is_refused(trained: TrainedFiles, make_scene: MakeScene) -> None:
    """Reflectance from 0 to 1 given to a model of uint16 counts: one class everywhere."""
    scene = make_scene(np.ones((3, 40, 40), np.float32), None)
    told = r"values are float32, the model was trained on uint16\..*Cast\(dtype='uint16'\)"
    with pytest.raises(DataError, match=told):
        _whole(scene, trained, 1000, OPTIONS)
    assert isinstance(scene.image, Raster)
    cast = scene.image.replace(transforms=(Cast(dtype="uint16"),))
    assert (_whole(scene.replace(image=cast), trained, 1000, OPTIONS).labels != 255).all()


def test_hazard_re_predict_adds_to_old_scores(
    scene: Scene, trained: TrainedFiles, tmp_path: Path
) -> None:
    predictor = load_predictor(
        trained.model, trained.description, OPTIONS, {"device": "cpu", "threads": 1}
    )
    labels, scores = tmp_path / "labels.tif", tmp_path / "scores.tif"
    written = []
    for _ in range(2):
        predict_block(predictor, scene.image, Window(0, 0, 70, 90), labels, scores)
        written.append((labels.read_bytes(), scores.read_bytes()))
    predictor.close()
    assert written[0] == written[1]


def test_blocks_are_joined_to_one_map_with_colours_and_scores(tmp_path: Path) -> None:
    grid = Grid("EPSG:32633", (10.0, 0, 0, 0, -10.0, 0), 5, 7)
    labels = np.random.default_rng(0).integers(0, 2, (5, 7)).astype(np.uint8)
    labels[2, 3] = 255
    scores: NDArray[np.uint8] = np.stack([labels // 2, 255 - labels]).astype(np.uint8)
    blocks = tiles((5, 7), 3)
    label_files, score_files = [], []
    for index, block in enumerate(blocks):
        part = BlockPrediction(labels[block.slices], scores[:, *block.slices])
        label_files.append(tmp_path / f"l{index}.tif")
        score_files.append(tmp_path / f"s{index}.tif")
        write_block(part, grid, block, label_files[-1], score_files[-1])
    write_map(tmp_path / "map.tif", grid, blocks, label_files, CLASSES)
    write_scores(tmp_path / "scores.tif", grid, blocks, score_files, CLASSES)
    with open_raster(Raster(uris=(str(tmp_path / "map.tif"),))) as reader:
        assert reader.grid.difference(grid) is None
        pixels = reader.read(grid.window)
    assert np.argwhere(~pixels.valid).tolist() == [[2, 3]]
    np.testing.assert_array_equal(pixels.values[0][pixels.valid], labels[labels != 255])
    with open_raster(Raster(uris=(str(tmp_path / "scores.tif"),))) as reader:
        np.testing.assert_array_equal(reader.read(grid.window).values, scores)


def test_sums_are_bounded_by_the_block(trained: TrainedFiles, make_scene: MakeScene) -> None:
    """Numpy's peak for one block of 128 px is the same in a scene of 256 and of 1024 px."""
    peaks = []
    for size in (256, 1024):
        scene = make_scene(np.ones((3, size, size), np.uint16), None, id=f"s{size}")
        options = PredictOptions(window=64, stride=64, batch_size=4)
        with open_raster(scene.image) as reader:
            predictor = load_predictor(
                trained.model, trained.description, options, {"device": "cpu", "threads": 1}
            )
            tracemalloc.start()
            predictor.predict(reader, Window(0, 0, 128, 128))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            predictor.close()
    assert peaks[1] < 1.1 * peaks[0]
