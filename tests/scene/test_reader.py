"""Opened scenes: class ids, areas and pixels of windows, on images of a few pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from swath.errors import DataError
from swath.grid.window import Window
from swath.raster.spec import Raster, Stack, Warp
from swath.scene.classes import IGNORE
from swath.scene.reader import open_scene
from swath.scene.spec import ClassConfig, RasterLabels, Scene, VectorLabels, WindowArea

WriteRaster = Callable[..., str]
WriteVector = Callable[..., str]

CLASSES = ClassConfig(names=("water", "forest", "built"))
X = IGNORE


def labels_of(scene: Scene, window: Window | None = None) -> list[list[int]]:
    with open_scene(scene, CLASSES) as reader:
        found = reader.labels(window or reader.grid.window)
        assert found.dtype == np.uint8
        ids: list[list[int]] = found.tolist()
        return ids


@pytest.fixture
def image(write_raster: WriteRaster) -> str:
    return write_raster("image.tif", np.arange(1, 13).reshape(3, 4), dtype="uint16", nodata=12)


def test_pixels_and_shape_of_the_image_are_those_of_the_scene(image: str) -> None:
    with open_scene(Scene(id="a", image=image), CLASSES) as reader:
        assert (reader.grid.shape, reader.n_bands, reader.dtype) == ((3, 4), 1, np.uint16)
        pixels = reader.read(Window(2, 2, 1, 2))
        assert pixels.values.tolist() == [[[11, 0]]]
        assert pixels.valid.tolist() == [[True, False]]


def test_label_values_without_mapping_are_class_ids(image: str, write_raster: WriteRaster) -> None:
    raster = write_raster("l.tif", [[0, 1, 2, 0], [1, 1, 1, 1], [2, 2, 2, 2]])
    expected = [[0, 1, 2, 0], [1, 1, 1, 1], [2, 2, 2, 2]]
    assert labels_of(Scene(id="a", image=image, labels=raster)) == expected


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32"])
def test_mapping_turns_values_of_any_type_into_class_ids(
    image: str, write_raster: WriteRaster, dtype: str
) -> None:
    raster = write_raster("l.tif", [[11, 41, 90, 22]] * 3, dtype=dtype)
    mapping = {11: "water", 41: "forest", 90: None, 22: 2, 70000: "water", -5: "water"}
    labels = RasterLabels(raster=raster, mapping=mapping)
    assert labels_of(Scene(id="a", image=image, labels=labels)) == [[0, 1, X, 2]] * 3


def test_negative_values_have_classes_too(image: str, write_raster: WriteRaster) -> None:
    raster = write_raster("l.tif", [[-1, 1, -1, 1]] * 3, dtype="int16")
    labels = RasterLabels(raster=raster, mapping={-1: "water", 1: "forest"})
    assert labels_of(Scene(id="a", image=image, labels=labels)) == [[0, 1, 0, 1]] * 3


@pytest.mark.parametrize("nodata", [0, 7])
def test_hazard_label_nodata_is_never_class_0(
    image: str, write_raster: WriteRaster, nodata: int
) -> None:
    raster = write_raster("l.tif", [[nodata, 1, 2, 1]] * 3, nodata=nodata)
    assert labels_of(Scene(id="a", image=image, labels=raster)) == [[X, 1, 2, 1]] * 3


def test_hazard_declared_label_nodata_is_never_class_0(
    image: str, write_raster: WriteRaster
) -> None:
    raster = write_raster("l.tif", [[0, 1, 2, 1]] * 3)
    labels = RasterLabels(raster=Raster(uris=(raster,), nodata=0))
    assert labels_of(Scene(id="a", image=image, labels=labels)) == [[X, 1, 2, 1]] * 3


def test_hazard_class_ids_do_not_shift_when_a_class_is_absent(
    image: str, write_raster: WriteRaster
) -> None:
    raster = write_raster("l.tif", [[2, 2, 0, 2]] * 3)
    assert labels_of(Scene(id="a", image=image, labels=raster)) == [[2, 2, 0, 2]] * 3


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 9), ("int32", 70000), ("float32", 0.5)])
def test_value_without_a_class_names_value_file_and_mend(
    image: str, write_raster: WriteRaster, dtype: str, value: float
) -> None:
    raster = write_raster("l.tif", [[0, 1, value, 1]] * 3, dtype=dtype)
    with pytest.raises(DataError) as caught:
        labels_of(Scene(id="a", image=image, labels=raster))
    assert f"holds the value {value}, which no class has" in str(caught.value)
    assert caught.value.where == raster
    assert "`mapping`" in (caught.value.mend or "")


def test_colours_become_class_ids(image: str, write_raster: WriteRaster) -> None:
    blue, green = [0, 0, 255], [0, 255, 0]
    raster = write_raster("l.tif", np.moveaxis(np.array([[blue, green, blue, green]] * 3), 2, 0))
    labels = RasterLabels(raster=raster, rgb={"#0000ff": "water", (0, 255, 0): "forest"})
    assert labels_of(Scene(id="a", image=image, labels=labels)) == [[0, 1, 0, 1]] * 3
    wrong = labels.replace(rgb={"#0000ff": "water"})
    with pytest.raises(DataError, match=r"the colour #00ff00, which no class has.*`rgb`"):
        labels_of(Scene(id="a", image=image, labels=wrong))


def test_labels_past_the_edges_are_ignored(image: str, write_raster: WriteRaster) -> None:
    raster = write_raster("l.tif", [[0, 1, 2, 0]] * 3)
    scene = Scene(id="a", image=image, labels=raster)
    assert labels_of(scene, Window(-1, 3, 2, 2)) == [[X, X], [0, X]]


def test_labels_on_another_grid_print_both_and_the_mend(
    image: str, write_raster: WriteRaster
) -> None:
    for other in (
        write_raster("crs.tif", [[0] * 4] * 3, crs="EPSG:32634"),
        write_raster("size.tif", [[0] * 4] * 2),
        write_raster("shift.tif", [[0] * 4] * 3, left=500_001),
    ):
        with pytest.raises(DataError, match=r"not on one grid: .* against .*warp = \"primary\""):
            labels_of(Scene(id="a", image=image, labels=other))


def test_labels_warped_onto_the_image_keep_their_ids(image: str, write_raster: WriteRaster) -> None:
    coarse = write_raster("l.tif", [[0, 1], [2, 1]], pixel=2.0)
    labels = RasterLabels(raster=Raster(uris=(coarse,), warp="primary"))
    found = labels_of(Scene(id="a", image=image, labels=labels))
    assert found == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 1, X]]  # no image there: nodata is 12


def test_labels_warped_onto_a_stack_take_the_grid_of_its_primary(
    image: str, write_raster: WriteRaster
) -> None:
    coarse = write_raster("l.tif", [[0, 1], [2, 1]], pixel=2.0, dtype="int32")
    stack = Stack(
        sources=(Raster(uris=(coarse,), warp="primary"), Raster(uris=(image,))), primary=1
    )
    labels = RasterLabels(raster=Raster(uris=(coarse,), warp="primary"))
    assert labels_of(Scene(id="a", image=stack, labels=labels))[0] == [0, 0, 1, 1]


def test_labels_cannot_be_resampled_by_mixing() -> None:
    with pytest.raises(ValueError, match="would mix classes"):
        RasterLabels(
            raster=Raster(uris=("l.tif",), warp=Warp(crs="primary", resampling="bilinear"))
        )


def test_label_raster_of_several_bands_asks_for_one(image: str, write_raster: WriteRaster) -> None:
    raster = write_raster("l.tif", [[[0] * 4] * 3] * 2)
    with pytest.raises(DataError, match=r"has 2 bands, but 1 .*bands = \(0,\)"):
        labels_of(Scene(id="a", image=image, labels=raster))
    labels = RasterLabels(raster=Raster(uris=(raster,), bands=(1,)))
    assert labels_of(Scene(id="a", image=image, labels=labels)) == [[0] * 4] * 3


def test_hazard_outside_the_area_is_ignored_and_not_background(
    image: str, write_raster: WriteRaster
) -> None:
    raster = write_raster("l.tif", [[0, 1, 2, 0]] * 3)
    scene = Scene(id="a", image=image, labels=raster, area=WindowArea(windows=((0, 1, 2, 2),)))
    assert labels_of(scene) == [[X, 1, 2, X], [X, 1, 2, X], [X] * 4]


def test_hazard_outside_a_vector_area_is_ignored_and_not_background(
    image: str, write_boxes: WriteVector
) -> None:
    area = write_boxes("area.geojson", [((0, 1, 2, 3), {})])
    labels = VectorLabels(
        uri=write_boxes("l.geojson", [((0, 2, 3, 4), {})]),
        class_name="forest",
        background="water",
    )
    scene = Scene(id="a", image=image, labels=labels, area=area)
    assert labels_of(scene) == [[X, 0, 1, X], [X, 0, 1, X], [X] * 4]
    with open_scene(scene, CLASSES) as reader:
        assert reader.rectangles() == (Window(0, 1, 2, 2),)


def test_later_features_of_the_file_win(image: str, write_boxes: WriteVector) -> None:
    boxes = [((0, 0, 3, 3), {"kind": "water"}), ((1, 1, 3, 4), {"kind": "forest"})]
    for order, middle in ((boxes, 1), (boxes[::-1], 0)):
        labels = VectorLabels(uri=write_boxes(f"{middle}.geojson", order), class_property="kind")
        found = labels_of(Scene(id="a", image=image, labels=labels))
        assert found == [[0, 0, 0, X], [0, middle, middle, 1], [0, middle, middle, 1]]


def test_feature_classes_by_name_by_id_and_by_mapping(image: str, write_boxes: WriteVector) -> None:
    boxes = [((0, 0, 3, 1), {"v": 2}), ((0, 1, 3, 2), {"v": 1}), ((0, 2, 3, 3), {"v": 2.0})]
    uri = write_boxes("l.geojson", boxes)
    by_id = VectorLabels(uri=uri, class_property="v")
    assert labels_of(Scene(id="a", image=image, labels=by_id))[0] == [2, 1, 2, X]
    mapped = by_id.replace(mapping={2: "water", "1": None}, background="built")
    assert labels_of(Scene(id="a", image=image, labels=mapped))[0] == [0, X, 0, 2]


def test_buffer_widens_features(image: str, write_boxes: WriteVector) -> None:
    labels = VectorLabels(uri=write_boxes("l.geojson", [((0, 0, 1, 1), {})]), class_name="forest")
    assert labels_of(Scene(id="a", image=image, labels=labels))[0] == [1, X, X, X]
    wide = labels.replace(buffer=1.0)
    assert labels_of(Scene(id="a", image=image, labels=wide))[0] == [1, 1, X, X]


def test_vector_labels_past_the_edges_are_ignored(image: str, write_boxes: WriteVector) -> None:
    labels = VectorLabels(uri=write_boxes("l.geojson", [((0, 3, 1, 9), {})]), class_name="forest",
                          background="water")  # fmt: skip
    scene = Scene(id="a", image=image, labels=labels)
    assert labels_of(scene, Window(-1, 3, 2, 2)) == [[X, X], [1, X]]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"class_property": "kind"}, "kind = 'ice', 'lava', which is no class"),
        ({"class_property": "sort"}, "no property 'sort'. Choose one of: kind"),
        ({"class_name": "ice"}, "`class_name`: 'ice' is not one of the classes"),
        ({"class_name": "water", "background": "ice"}, "`background`: 'ice' is not one of"),
    ],
)
def test_features_without_a_class_name_it_the_file_and_the_mend(
    image: str, write_boxes: WriteVector, fields: dict[str, Any], message: str
) -> None:
    boxes = [((0, 0, 1, 1), {"kind": kind}) for kind in ("water", "lava", "ice")]
    labels = VectorLabels.model_validate({"uri": write_boxes("l.geojson", boxes)} | fields)
    with pytest.raises(DataError) as caught:
        labels_of(Scene(id="a", image=image, labels=labels))
    assert message in str(caught.value)
    assert caught.value.where == labels.uri
    assert caught.value.mend


def test_parts_of_labels_and_area_equal_parts_of_the_whole(
    write_raster: WriteRaster, write_boxes: WriteVector
) -> None:
    rng = np.random.default_rng(0)
    image = write_raster("image.tif", np.ones((40, 50)))
    corners = rng.uniform(0, 40, (30, 2))
    boxes = [((r, c, r + 7.3, c + 9.1), {"v": int(i % 3)}) for i, (r, c) in enumerate(corners)]
    scene = Scene(
        id="a",
        image=image,
        labels=VectorLabels(uri=write_boxes("l.geojson", boxes), class_property="v", buffer=0.4),
        area=write_boxes("area.geojson", boxes[::2]),
    )
    with open_scene(scene, CLASSES) as reader:
        whole, area = reader.labels(reader.grid.window), reader.area(reader.grid.window)
        for window in (Window(0, 0, 13, 17), Window(11, 5, 20, 20), Window(39, 49, 1, 1)):
            assert (reader.labels(window) == whole[window.slices]).all()
            assert (reader.area(window) == area[window.slices]).all()
        assert area.any()
        assert not area.all()


def test_labels_of_a_scene_without_labels_are_an_error(image: str) -> None:
    with open_scene(Scene(id="a", image=image), CLASSES) as reader:
        assert not reader.has_labels
        with pytest.raises(DataError, match="scene a: The scene has no labels"):
            reader.labels(Window(0, 0, 1, 1))
