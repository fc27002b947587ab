"""Scenes as declared: short forms, safe ids, sources by role, sampling without idle options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from swath.raster.spec import Raster, Stack
from swath.scene.spec import (
    BlockArea,
    ChipSampling,
    ClassConfig,
    RasterLabels,
    Scene,
    VectorArea,
    VectorLabels,
)


def test_paths_are_short_for_rasters_labels_and_areas() -> None:
    scene = Scene(id="a", image="a.tif", labels=Path("labels.tif"), area="park.gpkg")
    assert scene.image == Raster(uris=("a.tif",))
    assert scene.labels == RasterLabels(raster=Raster(uris=("labels.tif",)))
    assert scene.area == VectorArea(uri="park.gpkg")


def test_scene_survives_json() -> None:
    scene = Scene(
        id="a",
        image=Stack(sources=(Raster(uris=("a.tif",)), Raster(uris=("b.tif",)))),
        labels=VectorLabels(uri="v.gpkg", class_property="kind", mapping={1: "water", "x": None}),
        area=BlockArea(rows=2, cols=2, take=((0, 0),)),
        group="north",
    )
    assert Scene.from_json(scene.to_json()) == scene
    raster = Scene(id="b", image="b.tif", labels={"kind": "raster_labels", "raster": "l.tif",
                                                 "mapping": {3: "water"}})  # fmt: skip
    assert Scene.from_json(raster.to_json()) == raster


def test_sources_are_listed_by_role() -> None:
    scene = Scene(
        id="a",
        image=Raster(uris=("a.tif", "b.tif")),
        labels=VectorLabels(uri="v.gpkg", class_name="water"),
        area="park.gpkg",
    )
    assert scene.source_uris() == {
        "image": ("a.tif", "b.tif"),
        "labels": ("v.gpkg",),
        "area": ("park.gpkg",),
    }
    assert Scene(id="a", image="a.tif").source_uris() == {"image": ("a.tif",)}


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "ä", "x" * 101, "a\n"])
def test_scene_id_that_is_no_safe_folder_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="cannot name a folder everywhere"):
        Scene(id=name, image="a.tif")


@pytest.mark.parametrize("name", ["a", "LC08_2015-230", "9.1", "x" * 100])
def test_scene_id_that_is_a_safe_folder_name_is_taken(name: str) -> None:
    assert Scene(id=name, image="a.tif").id == name


def test_path_of_vector_labels_alone_asks_for_the_class() -> None:
    with pytest.raises(ValidationError, match=re.escape("VectorLabels(uri='v.gpkg'")):
        Scene(id="a", image="a.tif", labels="v.gpkg")


def test_raster_values_become_ids_by_name_id_or_not_at_all() -> None:
    classes = ClassConfig(names=("water", "forest"))
    labels = RasterLabels(raster="l.tif", mapping={11: "water", 41: 1, 90: None})
    assert labels.class_ids(classes) == {11: 0, 41: 1, 90: 255}
    assert RasterLabels(raster="l.tif").class_ids(classes) == {0: 0, 1: 1}


def test_colours_become_ids_whether_written_in_hex_or_as_three_numbers() -> None:
    classes = ClassConfig(names=("water", "forest"))
    labels = RasterLabels(raster="l.tif", rgb={(0, 0, 255): "water", "#00FF00": "forest"})
    assert labels.class_ids(classes) == {0x0000FF: 0, 0x00FF00: 1}


def test_hazard_class_ids_follow_names_not_the_order_of_the_mapping() -> None:
    labels = RasterLabels(raster="l.tif", mapping={1: "forest", 2: "water"})
    assert labels.class_ids(ClassConfig(names=("water", "forest"))) == {1: 1, 2: 0}
    assert labels.class_ids(ClassConfig(names=("forest", "water"))) == {1: 0, 2: 1}


def test_mapping_to_an_unknown_class_names_value_class_and_file() -> None:
    labels = RasterLabels(raster="l.tif", mapping={1: "water", 2: "ice"})
    with pytest.raises(Exception, match=r"l\.tif: Labels `mapping\[2\]`: 'ice' is not one of"):
        labels.class_ids(ClassConfig(names=("water",)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mapping": {1: "a"}, "rgb": {"#000000": "a"}}, "Both `mapping` and `rgb`"),
        ({"mapping": {}}, "`mapping` is empty"),
        ({"rgb": {"blue": "a"}}, "'blue' is not a colour"),
        ({"rgb": {(0, 0, 256): "a"}}, "is not red, green, blue"),
    ],
)
def test_wrong_raster_labels_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        RasterLabels.model_validate({"raster": "l.tif"} | fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "neither is given"),
        ({"class_property": "a", "class_name": "b"}, "both are given"),
        ({"class_name": "b", "mapping": {"1": "b"}}, "`mapping` without `class_property`"),
        ({"class_name": "b", "buffer": -1}, "buffer"),
        ({"class_name": "b", "uri": ""}, "uri"),
    ],
)
def test_wrong_vector_labels_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        VectorLabels.model_validate({"uri": "v.gpkg"} | fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "random"}, "needs `n_random`"),
        ({"method": "random", "n_random": 9, "stride": 4}, "`stride` does nothing"),
        ({"n_random": 9}, "`n_random` does nothing"),
        ({"size": 4, "stride": 5}, "never be sampled"),
        ({"min_class_pixels": 9}, "do nothing without `target_classes`"),
        ({"negative_ratio": 0.5}, "do nothing without `target_classes`"),
        ({"nodata_limit": 1.5}, "nodata_limit"),
        ({"size": 0}, "size"),
    ],
)
def test_sampling_with_an_idle_or_impossible_option_is_refused(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        ChipSampling.model_validate(fields)


def test_every_field_has_a_description() -> None:
    for spec in (Scene, ChipSampling, ClassConfig, RasterLabels, VectorLabels, VectorArea):
        for name, field in spec.model_fields.items():
            assert field.description, f"{spec.__name__}.{name}"


def test_specs_load_no_heavy_library(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, swath.scene.spec, swath.vector.spec;"
        "print(sorted({'numpy','shapely','rasterio','geopandas','pandas'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"
