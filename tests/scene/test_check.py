"""Checks of scenes: every mistake is found before work starts, several in one go."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from swath.errors import DataError
from swath.raster.spec import Raster, Stack
from swath.scene.check import check_scene
from swath.scene.spec import (
    BlockArea,
    ClassConfig,
    RasterLabels,
    Scene,
    VectorArea,
    VectorLabels,
    WindowArea,
)

WriteRaster = Callable[..., str]
WriteVector = Callable[..., str]

CLASSES = ClassConfig(names=("water", "forest"))
ZEROS = [[0, 1, 0]] * 3


@pytest.fixture
def image(write_raster: WriteRaster) -> str:
    return write_raster("image.tif", [[1, 2, 3]] * 3, dtype="uint16", nodata=0)


def only(found: list[DataError]) -> str:
    assert len(found) == 1, found
    assert found[0].mend
    assert (found[0].where or "").startswith("scene a: ")
    return str(found[0])


def test_scene_without_mistakes_has_no_findings(
    image: str, write_raster: WriteRaster, write_boxes: WriteVector
) -> None:
    area = write_boxes("area.geojson", [((0, 0, 2, 2), {})])
    raster = write_raster("l.tif", ZEROS)
    vector = VectorLabels(uri=area, class_name="water")
    assert check_scene(Scene(id="a", image=image), CLASSES) == []
    assert check_scene(Scene(id="a", image=image, labels=raster, area=area), CLASSES) == []
    assert check_scene(Scene(id="a", image=image, labels=vector, area=area), CLASSES) == []


def test_every_missing_file_of_a_scene_is_named_at_once(tmp_path: Path) -> None:
    scene = Scene(
        id="a",
        image=Raster(uris=(str(tmp_path / "one.tif"), str(tmp_path / "two.tif"))),
        labels=str(tmp_path / "labels.tif"),
        area=str(tmp_path / "area.gpkg"),
    )
    found = check_scene(scene, CLASSES)
    where = [Path((error.where or "").removeprefix("scene a: ")).name for error in found]
    assert where == ["one.tif", "two.tif", "labels.tif", "area.gpkg"]
    assert all(error.mend for error in found)


def test_unreadable_image_is_found(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0 not a TIFF")
    assert "broken.tif" in only(check_scene(Scene(id="a", image=str(broken)), CLASSES))


def test_damaged_block_of_the_image_is_found(image: str) -> None:
    data = Path(image).read_bytes()
    Path(image).write_bytes(data[: len(data) - 10])
    assert "image.tif" in only(check_scene(Scene(id="a", image=image), CLASSES))


def test_sources_on_two_grids_are_found(image: str, write_raster: WriteRaster) -> None:
    other = write_raster("other.tif", ZEROS, crs="EPSG:32634")
    stack = Stack(sources=(Raster(uris=(image,)), Raster(uris=(other,))))
    assert "EPSG:32634" in only(check_scene(Scene(id="a", image=stack), CLASSES))


def test_band_that_does_not_exist_is_found(image: str) -> None:
    scene = Scene(id="a", image=Raster(uris=(image,), bands=(0, 4)))
    assert re.search(r"[Bb]and.* 4 ", only(check_scene(scene, CLASSES)))


def test_image_without_data_is_found(write_raster: WriteRaster) -> None:
    empty = write_raster("empty.tif", np.zeros((3, 3)), nodata=0)
    message = only(check_scene(Scene(id="a", image=empty), CLASSES))
    assert "No pixel of the image has data" in message


def test_labels_on_another_crs_print_both_and_the_mend(
    image: str, write_raster: WriteRaster
) -> None:
    labels = write_raster("l.tif", ZEROS, crs="EPSG:32634")
    message = only(check_scene(Scene(id="a", image=image, labels=labels), CLASSES))
    assert "EPSG:32633" in message
    assert "EPSG:32634" in message
    assert 'warp = "primary"' in message


def test_class_id_in_the_last_pixel_outside_the_classes_is_found(
    image: str, write_raster: WriteRaster
) -> None:
    labels = write_raster("l.tif", [[0, 0, 7], [0, 0, 0], [0, 0, 9]])
    message = only(check_scene(Scene(id="a", image=image, labels=labels), CLASSES))
    assert "values 7, 9, which no class has" in message


def test_label_band_that_does_not_exist_is_found(image: str, write_raster: WriteRaster) -> None:
    raster = Raster(uris=(write_raster("l.tif", ZEROS),), bands=(1,))
    scene = Scene(id="a", image=image, labels=RasterLabels(raster=raster))
    assert "l.tif" in only(check_scene(scene, CLASSES))


def test_labels_without_a_labelled_pixel_are_found(image: str, write_raster: WriteRaster) -> None:
    labels = write_raster("l.tif", [[9, 9, 1]] * 3, nodata=9)
    area = WindowArea(windows=((0, 0, 3, 2),))
    assert check_scene(Scene(id="a", image=image, labels=labels), CLASSES) == []
    message = only(check_scene(Scene(id="a", image=image, labels=labels, area=area), CLASSES))
    assert "No pixel of the area has a class" in message


def test_empty_area_is_found(image: str, write_boxes: WriteVector) -> None:
    scene = Scene(id="a", image=image, area=write_boxes("area.geojson", []))
    assert "The area is empty" in only(check_scene(scene, CLASSES))


def test_area_outside_the_image_prints_both_extents(image: str, write_boxes: WriteVector) -> None:
    area = write_boxes("area.geojson", [((100, 100, 101, 101), {})])
    message = only(check_scene(Scene(id="a", image=image, area=area), CLASSES))
    assert "The area and the image do not meet" in message
    assert "(500100, 4999899) to (500101, 4999900)" in message
    assert "(500000, 4999997) to (500003, 5000000)" in message


@pytest.mark.parametrize(
    "area",
    [
        WindowArea(windows=((3, 0, 2, 2),)),
        BlockArea(rows=3, cols=3, take=((1, 1),), buffer_px=1),
        BlockArea(rows=9, cols=1, take=((0, 0),)),
    ],
)
def test_area_that_holds_no_pixel_is_found(image: str, area: WindowArea | BlockArea) -> None:
    message = only(check_scene(Scene(id="a", image=image, area=area), CLASSES))
    assert "The area holds no pixel of the image of 3 x 3 pixels" in message


def test_area_smaller_than_a_pixel_is_found(image: str, write_boxes: WriteVector) -> None:
    area = write_boxes("area.geojson", [((0.1, 0.1, 0.2, 0.2), {})])
    assert "The area holds no pixel" in only(check_scene(Scene(id="a", image=image, area=area), CLASSES))  # fmt: skip # noqa: E501


def test_vector_labels_that_are_empty_or_beside_the_image_are_found(
    image: str, write_boxes: WriteVector
) -> None:
    for boxes, message in (
        ([], "The labels are empty"),
        ([((100, 100, 101, 101), {})], "The labels and the image do not meet"),
        ([((0.1, 0.1, 0.2, 0.2), {})], "No pixel has a class"),
    ):
        labels = VectorLabels(uri=write_boxes("l.geojson", boxes), class_name="water")
        scene = Scene(id="a", image=image, labels=labels)
        assert message in only(check_scene(scene, CLASSES))


def test_hazard_every_element_of_every_list_is_checked(
    write_raster: WriteRaster, write_boxes: WriteVector, tmp_path: Path
) -> None:
    good = write_raster("good.tif", ZEROS)
    scene = Scene(
        id="a",
        image=Raster(uris=(good, str(tmp_path / "b.tif"), str(tmp_path / "c.tif"))),
    )
    assert len(check_scene(scene, CLASSES)) == 2


def test_several_mistakes_are_found_in_one_go(
    write_raster: WriteRaster, write_boxes: WriteVector
) -> None:
    scene = Scene(
        id="a",
        image=write_raster("image.tif", np.zeros((3, 3)), nodata=0),
        labels=RasterLabels(
            raster=write_raster("l.tif", ZEROS, crs="EPSG:32634"), mapping={0: "ice"}
        ),
        area=VectorArea(uri=write_boxes("area.geojson", [])),
    )
    messages = [str(error) for error in check_scene(scene, CLASSES)]
    for message, part in zip(
        messages,
        (
            "No pixel of the image has data",
            "The area is empty",
            "'ice' is not one of",
            "EPSG:32634",
        ),
        strict=True,
    ):
        assert part in message
