"""A segmentation is the same wherever it is read, and short to declare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from swath.errors import ConfigError, DataError
from swath.experiment.check import check_experiments
from swath.experiment.segmentation import Segmentation, compile_segmentation
from swath.grid.grid import Grid
from swath.plan.command import Pipeline
from swath.raster.header import Header
from swath.raster.spec import Cast, Raster, Stack
from swath.segmentation.spec import SegmentOptions


def declared(image: Any = "/a.tif", **fields: Any) -> Segmentation:
    return Segmentation(**{"id": "s", "root_uri": "/root", "image": image} | fields)


def headers(*uris: str, width: int = 100, dtype: str = "uint8") -> dict[str, Header | DataError]:
    grid = Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), 100, width)
    return {uri: Header(uri, grid, 2, (dtype,) * 2, None, (100, 100), None) for uri in uris}


def compiled(declaration: Segmentation) -> Pipeline:
    uris = declaration.image.source_uris()
    return compile_segmentation(declaration, headers(*uris))


@pytest.mark.parametrize(
    ("image", "meant"),
    [
        ("/a.tif", Raster(uris="/a.tif")),
        (Path("/a.tif"), Raster(uris="/a.tif")),
        (["/a.tif"], Raster(uris="/a.tif")),
        (["/a.tif", "/b.tif"], Stack(sources=(Raster(uris="/a.tif"), Raster(uris="/b.tif")))),
        (Raster(uris="/a.tif", nodata=0), Raster(uris="/a.tif", nodata=0)),
        ({"kind": "raster", "uris": ["/a.tif"]}, Raster(uris="/a.tif")),
    ],
    ids=["text", "path", "list of one", "list", "raster", "json"],
)
def test_an_image_may_be_declared_in_short(image: Any, meant: Raster | Stack) -> None:
    assert declared(image).image == meant


def test_no_image_is_an_error() -> None:
    with pytest.raises(ValidationError, match="image"):
        declared([])


def test_paths_are_absolute_whatever_folder_the_file_is_read_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = declared("a.tif", statistics="mean", statistics_images=(Raster(uris="b.tif"),))
    assert one.image.source_uris() == (str(tmp_path / "a.tif"),)
    assert one.statistics_images[0].source_uris() == (str(tmp_path / "b.tif"),)
    monkeypatch.chdir("/")
    assert Segmentation.from_json(one.to_json()) == one


def test_results_are_what_was_asked_for() -> None:
    plain = compiled(declared())
    assert set(plain.results) == {"s.tif", "s.json"}
    assert [command.kind for command in plain.commands][-1] == "mosaic_labels"
    table = compiled(declared(statistics="mean, p90"))
    assert set(table.results) == {"s.tif", "s.json", "segments.parquet"}
    assert [command.kind for command in table.commands][-2:] == ["segment_stats", "merge_stats"]
    coloured = compiled(declared(colours=True))
    assert set(coloured.results) == {"s.tif", "s.json", "segments.parquet", "s.tif.aux.xml"}


def test_statistics_are_of_the_image_or_of_others() -> None:
    def images(declaration: Segmentation) -> Any:
        (summarised,) = (
            command for command in compiled(declaration).commands if command.kind == "segment_stats"
        )
        return summarised.units[0].inputs["images"]

    assert images(declared(statistics="mean")) == ("/a.tif",)
    others = (Raster(uris="/b.tif"), Raster(uris="/c.tif"))
    assert images(declared(statistics="mean", statistics_images=others)) == ("/b.tif", "/c.tif")


def test_statistics_that_are_not_known_are_told() -> None:
    with pytest.raises(ConfigError, match="there is no statistic 'avg'"):
        declared(statistics="mean,avg")


def test_images_without_statistics_are_told() -> None:
    with pytest.raises(ValidationError, match=r"and no statistics\. Name some"):
        declared(statistics_images=(Raster(uris="/b.tif"),))


def test_the_declaration_is_stored() -> None:
    one = declared(tile_size=64)
    assert compiled(one).declaration["segmentation"] == one.to_json()
    assert Segmentation.from_json(dict(compiled(one).declaration["segmentation"])) == one


def test_images_on_two_grids_are_refused() -> None:
    found = headers("/a.tif") | headers("/b.tif", width=90)
    with pytest.raises(DataError, match="are not on one grid"):
        compile_segmentation(declared(["/a.tif", "/b.tif"]), found)


@pytest.mark.parametrize("dtype", ["float64", "int64", "complex64", "complex_int16"])
def test_a_type_that_is_not_exact_is_refused_before_anything_runs(dtype: str) -> None:
    found = headers("/a.tif", dtype=dtype)
    with pytest.raises(DataError, match=f"The pixels are {dtype}"):
        compile_segmentation(declared(), found)
    if not dtype.startswith("complex"):
        cast = Raster(uris="/a.tif", transforms=(Cast(dtype="float32"),))
        compile_segmentation(declared(cast), found)


@pytest.mark.parametrize("options", [{"weights": (1, 1, 1)}, {"centres": ((1, 2, 3), (4, 5, 6))}])
def test_numbers_for_other_bands_are_refused_before_anything_runs(options: Any) -> None:
    with pytest.raises(DataError, match=r"The image has 2 bands, and the \w+ are for 3"):
        compiled(declared(options=SegmentOptions(**options)))


def test_an_image_that_is_missing_is_found_by_the_check(tmp_path: Path) -> None:
    missing = declared(tmp_path / "missing.tif", root_uri=tmp_path / "root")
    (problem,) = check_experiments([missing]).problems
    assert "missing.tif" in str(problem)
