"""The commands of a segmentation: who reads what, and labels that are those of one process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import swath
from swath.commands.image_tiles import TiledImage
from swath.experiment.segmentation import Segmentation, compile_segmentation
from swath.grid.grid import Grid
from swath.plan.canonical import canonical_json
from swath.plan.command import Command, Pipeline, Resources
from swath.plan.graph import build_graph
from swath.raster.header import Header, read_header
from swath.raster.spec import Raster
from swath.segmentation.budget import LARGEST_TILE, SMALLEST_TILE
from swath.segmentation.segmenter import segment
from swath.segmentation.spec import SegmentOptions

KINDS = ("fit_clusters", "clump", "eliminate", "label", "mosaic_labels")


def header(uri: str, height: int = 700, width: int = 1000, dtype: str = "uint16") -> Header:
    grid = Grid("EPSG:32633", (10.0, 0, 500_000, 0, -10.0, 5_000_000), height, width)
    return Header(uri, grid, 3, (dtype,) * 3, None, (256, 256), None)


def compiled(image: Any = "/data/scene.tif", **fields: Any) -> dict[str, Command]:
    """Compile a segmentation of files that need not exist, of 700 x 1000 pixels."""
    declared = Segmentation(**{"id": "s", "root_uri": "/root", "image": image} | fields)
    headers = {uri: header(uri) for uri in declared.image.header_keys()}
    return {each.kind: each for each in compile_segmentation(declared, headers).commands}


def changed(one: dict[str, Command], two: dict[str, Command]) -> list[str]:
    return [kind for kind in KINDS if one[kind].unit_keys != two[kind].unit_keys]


def test_a_tile_is_a_unit() -> None:
    commands = compiled(tile_size=512)
    names = ["scene/r000-c000", "scene/r000-c001", "scene/r001-c000", "scene/r001-c001"]
    for kind in ("clump", "label"):
        assert [unit.name for unit in commands[kind].units] == names
        assert [unit.work for unit in commands[kind].units] == [
            512 * 512, 512 * 488, 188 * 512, 188 * 488,
        ]  # fmt: skip
    for kind in ("fit_clusters", "eliminate", "mosaic_labels"):
        assert [unit.name for unit in commands[kind].units] == ["scene"]
    for command in commands.values():
        canonical_json([command.params, [unit.params for unit in command.units]])
        assert all(unit.work > 0 and unit.output_bytes > 0 for unit in command.units)
        assert command.resources.memory_gib is not None


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({"options": SegmentOptions(min_size=99)}, KINDS[1:]),
        ({"options": SegmentOptions(connectivity=8)}, KINDS[1:]),
        ({"options": SegmentOptions(clusters=5)}, KINDS),
        ({"options": SegmentOptions(max_distance=3.0)}, KINDS),
        ({"tile_size": 100}, KINDS[1:]),
        ({"id": "other"}, ()),
    ],
    ids=["min_size", "connectivity", "clusters", "max_distance", "tile_size", "id"],
)
def test_a_change_touches_only_what_depends_on_it(
    fields: dict[str, Any], kinds: tuple[str, ...]
) -> None:
    assert changed(compiled(), compiled(**fields)) == list(kinds)


def test_units_read_what_they_need_and_no_more() -> None:
    commands = compiled(tile_size=512)
    inputs = {kind: set(commands[kind].units[0].inputs) for kind in KINDS}
    assert inputs == {
        "fit_clusters": {"image"},
        "clump": {"image", "clusters"},
        "eliminate": {"clusters", "parts"},
        "label": {"runs", "ids"},
        "mosaic_labels": {"labels", "clusters", "summary"},
    }
    assert commands["label"].units[3].inputs["ids"] == commands["eliminate"].ref(
        "scene", "r001-c001"
    )


def test_images_of_one_config_share_nodes() -> None:
    pipelines = [
        Pipeline(name, "/root", tuple(compiled(f"/data/{name}.tif").values())) for name in "ab"
    ]
    nodes = build_graph(pipelines).nodes
    assert [(node.command.kind, len(node.units)) for node in nodes] == [
        ("fit_clusters", 2), ("clump", 8), ("eliminate", 2), ("label", 8), ("mosaic_labels", 2),
    ]  # fmt: skip


def test_the_mosaic_of_labels_goes_by_the_word_mosaic() -> None:
    assert compiled()["mosaic_labels"].phase == "mosaic"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/data/L7 (1).tif", "L7__1_"),
        ("s3://bucket/scene.vrt", "scene"),
        ("/data/noending", "noending"),
        ("/data/_.tif", "image"),
    ],
)
def test_units_are_named_after_the_first_file(uri: str, name: str) -> None:
    image = Raster(uris=(uri, "/data/other.tif"))
    headers = {each: header(each) for each in image.uris}
    assert TiledImage.of(image, headers).name == name


def test_tiles_are_large_where_the_image_is() -> None:
    image = Raster(uris="/i.tif")

    def size(side: int) -> int:
        return TiledImage.of(image, {"/i.tif": header("/i.tif", side, side)}).tile_size

    assert size(300) == SMALLEST_TILE
    assert SMALLEST_TILE < size(8000) <= size(100_000) == LARGEST_TILE


def test_memory_grows_with_tiles_and_of_the_elimination_with_the_image() -> None:
    small, large = compiled(tile_size=64), compiled(tile_size=700)
    for kind in ("clump", "label", "mosaic_labels"):
        assert _gib(small[kind].resources) < _gib(large[kind].resources)
    assert small["eliminate"].resources.cpus == 4
    assert large["eliminate"].resources.cpus == 2
    image = Raster(uris="/i.tif")
    huge = Segmentation(id="s", root_uri="/root", image=image)
    pipeline = compile_segmentation(huge, {"/i.tif": header("/i.tif", 16_384, 16_384)})
    (eliminated,) = (each for each in pipeline.commands if each.kind == "eliminate")
    assert _gib(eliminated.resources) == pytest.approx(2.76, abs=0.01)


def _gib(resources: Resources) -> float:
    assert resources.memory_gib is not None
    return resources.memory_gib


@pytest.fixture(scope="module")
def in_process(olinda: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that segments the scene in this process, once for each set of options."""
    folder = tmp_path_factory.mktemp("in-process")

    def made(options: SegmentOptions) -> Path:
        path = folder / f"{hash(options)}.tif"
        if not path.exists():
            segment(olinda / "L7_ETMs.tif", path, options=options, workers=1)
        return path

    return made


@pytest.mark.parametrize("tile_size", [64, 100, 512])
@pytest.mark.parametrize(
    "options",
    [SegmentOptions(), SegmentOptions(connectivity=8, min_size=20, max_distance=None, clusters=9)],
    ids=["default", "unlimited"],
)
def test_labels_are_those_of_one_process_for_every_tile_size(
    tile_size: int,
    options: SegmentOptions,
    olinda: Path,
    in_process: Callable[..., Path],
    chain: Any,
) -> None:
    source = str(olinda / "L7_ETMs.tif")
    declared = swath.Segmentation(
        id="s", root_uri="/root", image=source, options=options, tile_size=tile_size
    )
    pipeline = compile_segmentation(declared, {source: read_header(source)})
    for command in pipeline.commands:
        chain.run(command, threads=2)
    expected = in_process(options)
    mosaic = pipeline.commands[-1]
    labels = chain.path(mosaic, "L7_ETMs", "labels")
    assert labels.read_bytes() == expected.read_bytes()
    described = json.loads(chain.path(mosaic, "L7_ETMs", "description").read_bytes())
    assert described == json.loads(expected.with_suffix(".json").read_bytes())


def test_the_same_tile_is_the_same_bytes(olinda: Path, chain: Any, tmp_path: Path) -> None:
    source = str(olinda / "L7_ETMs.tif")
    declared = swath.Segmentation(id="s", root_uri="/root", image=source, tile_size=256)
    pipeline = compile_segmentation(declared, {source: read_header(source)})
    again = type(chain)(tmp_path)
    for command in pipeline.commands:
        chain.run(command)
        again.run(command)
        for unit in command.units:
            for output in unit.outputs:
                one, two = (each.path(command, unit.name, output) for each in (chain, again))
                assert one.read_bytes() == two.read_bytes(), (command.kind, output)
