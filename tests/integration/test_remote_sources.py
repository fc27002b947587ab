"""Scenes on a store: read in place, known by ETag, and the same chips as from a disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swath.store import open_store

CONFIG = """
import swath

def get_config(runner, raw_uri: str, root_uri: str):
    scenes = [
        swath.Scene(
            id=name,
            image=f"{raw_uri}/{name}.tif",
            labels=swath.VectorLabels(
                uri=f"{raw_uri}/fields.shp", class_property="class", background="dark"
            ),
            area=swath.VectorArea(uri=f"{raw_uri}/area.geojson"),
        )
        for name in "ab"
    ]
    return swath.Experiment(
        id="remote",
        root_uri=root_uri,
        task=swath.SemanticSegmentation(
            classes=swath.ClassConfig(names=("dark", "bright")),
            chips=swath.ChipSampling(size=32),
        ),
        train_scenes=scenes[:1],
        validation_scenes=scenes[1:],
    )
"""


@pytest.fixture
def raw(tiny_scenes: Path, tmp_path: Path) -> Path:
    """Return a folder with two images, labels as a shapefile of all parts, and an area."""
    import geopandas
    import shapely

    folder = tmp_path / "raw"
    folder.mkdir()
    for name in "ab":
        shutil.copy(tiny_scenes / f"{name}.tif", folder)
    boxes = [shapely.box(5e5 + x, 5e6 - 640, 5e5 + x + 320, 5e6) for x in (0, 10_000)]
    frame = geopandas.GeoDataFrame({"class": ["bright"] * 2}, geometry=boxes, crs="EPSG:32633")
    frame.to_file(folder / "fields.shp")
    whole = geopandas.GeoDataFrame(
        geometry=[shapely.box(4.9e5, 4.9e6, 5.3e5, 5.1e6)], crs="EPSG:32633"
    )
    whole.to_file(folder / "area.geojson")
    return folder


def test_chips_of_scenes_on_a_store_are_those_of_scenes_on_a_disk(
    raw: Path,
    s3_bucket: str,
    swath_cli: Callable[..., Any],
    outputs_of: Callable[[Path], dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SWATH_STORE_CACHE_FOLDER", str(tmp_path / "cache"))
    config, there = tmp_path / "config.py", f"s3://{s3_bucket}/raw"
    config.write_text(CONFIG)
    store = open_store(there)
    store.write_many((f"{there}/{path.name}", path.read_bytes()) for path in raw.iterdir())

    def made(uri: object, root: Path) -> list[bytes]:
        answer = swath_cli(
            "run", "inprocess", config, "-a", "raw_uri", uri, "-a", "root_uri", root, "chip"
        )
        assert answer.exit_code == 0, answer.err
        return sorted(data for path, data in outputs_of(root).items() if path.endswith(".npy"))

    remote_root = tmp_path / "remote-root"
    chips = made(there, remote_root)
    assert chips
    assert chips == made(raw, tmp_path / "local-root")

    def reasons() -> dict[str, str]:
        arguments = ("-a", "raw_uri", there, "-a", "root_uri", remote_root, "chip", "--json")
        answer = swath_cli("plan", config, *arguments)
        assert answer.exit_code == 0, answer.err
        units = [unit for node in json.loads(answer.out)["nodes"] for unit in node["units"]]
        return {u["name"]: u["reason"]["cause"] for u in units if u["state"] == "run"}

    assert reasons() == {}
    store.write(f"{there}/a.tif", (raw / "b.tif").read_bytes())
    (changed,) = reasons().items()
    assert changed[0].startswith("a")
    assert changed[1] == "input changed"
