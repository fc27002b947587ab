"""What is counted in scenes, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from swath.errors import DataError
from swath.grid.window import Window
from swath.learn.analysis import (
    SceneAnalysis,
    analyze_scene,
    merge_analyses,
    normalisation_of,
    sample_windows,
)
from swath.scene.reader import open_scene
from swath.scene.spec import ClassConfig, Scene, WindowArea

CLASSES = ClassConfig(names=("a", "b", "c"))
ALL = 10**9
MakeScene = Callable[..., Scene]


def test_bands_and_classes_are_counted_where_there_is_data(make_scene: MakeScene) -> None:
    image = np.array([[[1, 3], [0, 5]], [[10, 10], [0, 40]]], np.uint8)
    labels = np.array([[0, 0], [1, 1]], np.uint8)
    analysis = analyze_scene(make_scene(image, labels, nodata=0), CLASSES, max_pixels=ALL)
    assert analysis.bands.result().mean == (3.0, 20.0)
    assert analysis.class_pixels == (2, 1, 0)
    assert (analysis.n_read, analysis.n_area, analysis.n_valid) == (4, 4, 3)
    assert analysis.n_labels_without_data == 1


def test_only_the_area_is_counted(make_scene: MakeScene) -> None:
    image = np.array([[1, 2, 200, 200]], np.uint8)
    area = WindowArea(windows=(Window(0, 0, 1, 2),))
    scene = make_scene(image, np.zeros((1, 4), np.uint8), area=area)
    analysis = analyze_scene(scene, CLASSES, max_pixels=ALL)
    assert analysis.bands.result().max == (2.0,)
    assert analysis.class_pixels == (2, 0, 0)
    assert analysis.n_area == 2


def test_scenes_merge_to_what_one_large_scene_gives(make_scene: MakeScene, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 60_000, (2, 6, 10)).astype(np.uint16)
    paths = []
    for name, part in (("left", values[..., :4]), ("right", values[..., 4:])):
        analysis = analyze_scene(make_scene(part, None, id=name), CLASSES, max_pixels=ALL)
        assert analysis.class_pixels is None
        analysis.write(tmp_path / f"{name}.json")
        assert SceneAnalysis.read(tmp_path / f"{name}.json").n_valid == analysis.n_valid
        paths.append(tmp_path / f"{name}.json")
    normalisation = normalisation_of(merge_analyses(paths))
    flat = values.reshape(2, -1).astype(float)
    np.testing.assert_allclose(normalisation.mean, flat.mean(1))
    np.testing.assert_allclose(normalisation.std, flat.std(1))


def test_warnings_name_rare_and_absent_classes_nodata_and_labels_outside_the_image(
    make_scene: MakeScene,
) -> None:
    image = np.zeros((20, 20), np.uint8)
    image[:9] = 7
    labels = np.zeros((20, 20), np.uint8)
    labels[0, 0] = 1
    analysis = analyze_scene(make_scene(image, labels, nodata=0), CLASSES, max_pixels=ALL)
    assert analysis.warnings == (
        "55% of the pixels have no data",
        "220 labelled pixels lie where the image has no data",
        "class 'b' is rare: 0.56% of the labelled pixels",
        "class 'c' does not occur",
    )


def test_a_scene_without_a_labelled_pixel_is_warned_about(make_scene: MakeScene) -> None:
    scene = make_scene(np.ones((3, 3), np.uint8), np.full((3, 3), 255, np.uint8))
    analysis = analyze_scene(scene, CLASSES, max_pixels=ALL)
    assert analysis.warnings == ("no pixel with data has a label",)


def test_a_large_scene_is_sampled_evenly_and_always_in_the_same_way(make_scene: MakeScene) -> None:
    scene = make_scene(np.ones((1024, 2048), np.uint8), None)
    with open_scene(scene, CLASSES) as reader:
        windows = sample_windows(reader, 8 * 256 * 256)
        assert windows == sample_windows(reader, 8 * 256 * 256)
        assert sum(window.pixels for window in sample_windows(reader, ALL)) == 1024 * 2048
    assert len(windows) == 8
    assert len({window.col_off for window in windows}) >= 5
    assert len({window.row_off for window in windows}) == 4


def test_hazard_statistics_nan_when_one_band_is_all_zero(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    image = np.stack([np.zeros((4, 4)), np.arange(16).reshape(4, 4)]).astype(np.uint8)
    analyze_scene(make_scene(image, None), CLASSES, max_pixels=ALL).write(tmp_path / "a.json")
    normalisation = normalisation_of(merge_analyses([tmp_path / "a.json"]))
    assert np.isfinite(normalisation.apply(image)).all()


def test_scenes_with_other_bands_or_without_data_are_refused(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    for name, image in (
        ("one", np.ones((1, 3, 3), np.uint8)),
        ("two", np.ones((2, 3, 3), np.uint8)),
        ("none", np.zeros((1, 3, 3), np.uint8)),
    ):
        scene = make_scene(image, None, id=name, nodata=0)
        analyze_scene(scene, CLASSES, max_pixels=ALL).write(tmp_path / f"{name}.json")
    with pytest.raises(DataError, match="scene 'two': it has 2 bands, scene 'one' has 1"):
        merge_analyses([tmp_path / "one.json", tmp_path / "two.json"])
    with pytest.raises(DataError, match="scenes none: no pixel inside the areas has data"):
        merge_analyses([tmp_path / "none.json"])
