"""Real imagery: Landsat 8 of Zion with land cover, cut by the boundary of the park."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely

from swath.grid.window import tiles
from swath.scene.classes import IGNORE
from swath.scene.reader import open_scene
from swath.scene.sampling import describe, keep, windows_of_block
from swath.scene.spec import ChipSampling, ClassConfig, RasterLabels, Scene
from swath.vector.reader import read_vector

NAMES = ("Water", "Developed", "Barren", "Forest", "Shrubland", "Herbaceous", "Cultivated",
         "Wetlands")  # fmt: skip
CLASSES = ClassConfig(names=NAMES)


@pytest.fixture
def folder(shared_data: Path) -> Path:
    folder = shared_data / "zion_landsat8"
    if not folder.is_dir():
        pytest.skip("the Zion scene is not here: no folder ../shared/data/zion_landsat8")
    return folder


@pytest.fixture
def scene(folder: Path) -> Scene:
    return Scene(
        id="zion",
        image=str(folder / "landsat8_b2345.tif"),
        labels=RasterLabels(
            raster=str(folder / "nlcd_8_groups.tif"),
            mapping={value + 1: name for value, name in enumerate(NAMES)},
        ),
        area=str(folder / "zion.gpkg"),
    )


def test_area_of_a_real_park_holds_the_pixels_whose_centre_geos_finds_inside(
    scene: Scene, folder: Path
) -> None:
    with open_scene(scene, CLASSES) as reader:
        grid = reader.grid
        found = np.zeros(grid.shape, dtype=bool)
        for tile in tiles(grid.shape, 500):
            found[tile.slices] = reader.area(tile)
        (park,) = read_vector(str(folder / "zion.gpkg"), crs=grid.crs).geometries
    shapely.prepare(park)
    rows, cols = np.mgrid[: grid.height, : grid.width]
    x, y = grid.pixel_to_map(rows + 0.5, cols + 0.5)
    assert (found == shapely.contains_xy(park, x, y)).all()
    assert 0.05 < found.mean() < 0.95


def test_real_labels_have_the_file_s_classes_inside_the_park_only(
    scene: Scene, folder: Path
) -> None:
    with rasterio.open(folder / "nlcd_8_groups.tif") as dataset:
        values = dataset.read(1).astype(int)
    with open_scene(scene, CLASSES) as reader:
        found = reader.labels(reader.grid.window)
        area = reader.area(reader.grid.window)
    expected = np.where(area & (values != 255), values - 1, IGNORE)
    assert (found == expected).all()


def test_chips_of_a_real_scene_are_the_same_for_every_size_of_blocks(scene: Scene) -> None:
    sampling = ChipSampling(
        size=64, stride=32, min_area_share=0.5, target_classes=("Barren",), min_class_pixels=400
    )
    chosen = []
    with open_scene(scene, CLASSES) as reader:
        for size in (300, 2000):
            kept = []
            for block in tiles(reader.grid.shape, size):
                windows = windows_of_block(
                    reader.grid, block, sampling, scene.id, within=reader.rectangles()
                )
                contents = [
                    describe(
                        window,
                        reader.grid,
                        reader.read(window).valid,
                        reader.area(window),
                        reader.labels(window),
                        CLASSES.n_classes,
                    )
                    for window in windows
                ]
                kept += keep(contents, sampling, CLASSES, block=block, seed_key=scene.id)
            chosen.append(sorted(kept, key=lambda content: content.window))
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) > 10
    assert all((content.class_pixels or ())[2] >= 400 for content in chosen[0])
