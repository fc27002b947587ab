"""Look at a scene before learning from it: band statistics, class counts, warnings.

Not for checking that files fit together (`swath.scene.check`, before a run). One idea: what is
counted can be merged, so scenes are analysed apart and summed up by whoever reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from swath.errors import DataError
from swath.grid.window import Window
from swath.learn.normalisation import Normalisation
from swath.scene.reader import SceneReader, open_scene
from swath.scene.spec import IGNORE, ClassConfig, Scene
from swath.stats.bands import BandStats

Progress = Callable[..., None]

RARE_SHARE = 0.01  # a class below this share of the labelled pixels is worth a warning
NODATA_SHARE = 0.5
TILE_ROWS = 64  # a tile of a striped file has at least so many rows

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class SceneAnalysis:
    """What was counted in one scene.

    Attributes
    ----------
    scene
        Its id.
    bands
        Mergeable statistics of the valid pixels inside the area, per band.
    class_pixels
        Labelled pixels with data, per class; None if the scene has no labels.
    n_read, n_area, n_valid
        Pixels that were looked at, of these inside the area, of these with data in every band.
    n_labels_without_data
        Labelled pixels where the image has no data.
    warnings
        Sentences for the user.
    """

    scene: str
    bands: BandStats
    class_pixels: tuple[int, ...] | None
    n_read: int
    n_area: int
    n_valid: int
    n_labels_without_data: int
    warnings: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write as JSON that `read` reads back unchanged."""
        data = {
            name: getattr(self, name)
            for name in ("scene", "class_pixels", "n_read", "n_area", "n_valid")
        }
        data["n_labels_without_data"] = self.n_labels_without_data
        data["warnings"] = list(self.warnings)
        data["bands"] = self.bands.to_json()
        path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> SceneAnalysis:
        """Read what `write` wrote."""
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        pixels = data.pop("class_pixels")
        return cls(
            bands=BandStats.from_json(data.pop("bands")),
            class_pixels=None if pixels is None else tuple(pixels),
            warnings=tuple(data.pop("warnings")),
            **data,
        )


def analyze_scene(
    scene: Scene,
    classes: ClassConfig,
    *,
    max_pixels: int,
    progress: Progress | None = None,
) -> SceneAnalysis:
    """Count bands and classes of a scene, on a sample of its blocks if it is large.

    Parameters
    ----------
    scene
        What to look at; only pixels inside its area are counted.
    classes
        Names of the classes.
    max_pixels
        Pixels that are read, about; at least one block of the file is.
    progress
        Called with (done, total) windows.

    Notes
    -----
    Memory: one block of the file. The sample depends on the grid and the area alone.
    """
    with open_scene(scene, classes) as reader:
        windows = sample_windows(reader, max_pixels)
        bands = BandStats(reader.n_bands)
        pixels = np.zeros(IGNORE + 1, np.int64)
        n_read = n_area = n_valid = n_without_data = 0
        for index, window in enumerate(windows):
            values, valid = reader.read(window)
            area = reader.area(window)
            usable = valid & area
            n_read += window.pixels
            n_area += int(np.count_nonzero(area))
            n_valid += int(np.count_nonzero(usable))
            bands.add(values.reshape(len(values), -1), usable.ravel())
            if reader.has_labels:
                labels = reader.labels(window)
                n_without_data += int(np.count_nonzero((labels != IGNORE) & ~valid))
                pixels += np.bincount(labels[usable], minlength=IGNORE + 1)
            if progress is not None:
                progress(index + 1, len(windows))
        counted = tuple(pixels[: classes.n_classes].tolist()) if reader.has_labels else None
    analysis = SceneAnalysis(scene.id, bands, counted, n_read, n_area, n_valid, n_without_data)
    return SceneAnalysis(**{**vars(analysis), "warnings": tuple(find_warnings(analysis, classes))})


def sample_windows(reader: SceneReader, max_pixels: int) -> list[Window]:
    """Return blocks of the file that touch the area, spread evenly, about `max_pixels` in all."""
    grid, (block_height, block_width) = reader.grid, reader.block_shape
    height = min(grid.height, block_height * -(-TILE_ROWS // block_height))
    width = min(grid.width, block_width)
    rectangles = reader.rectangles()
    tiles = [
        Window(row, col, min(height, grid.height - row), min(width, grid.width - col))
        for row in range(0, grid.height, height)
        for col in range(0, grid.width, width)
    ]
    tiles = [tile for tile in tiles if any(tile.intersect(part) for part in rectangles)]
    n_tiles = max(1, round(max_pixels / (height * width)))
    if n_tiles >= len(tiles):
        return tiles
    # Multiples of the golden ratio fill [0, 1) evenly, and share no period with rows of tiles.
    chosen = {int(index * _GOLDEN % 1.0 * len(tiles)) for index in range(n_tiles)}
    return [tiles[index] for index in sorted(chosen)]


def find_warnings(analysis: SceneAnalysis, classes: ClassConfig) -> list[str]:
    """Return what a user should know about a scene before learning from it."""
    found = []
    if analysis.n_area and analysis.n_valid < (1 - NODATA_SHARE) * analysis.n_area:
        share = 1 - analysis.n_valid / analysis.n_area
        found.append(f"{share:.0%} of the pixels have no data")
    if analysis.n_labels_without_data:
        found.append(
            f"{analysis.n_labels_without_data} labelled pixels lie where the image has no data"
        )
    if analysis.class_pixels is None:
        return found
    labelled = sum(analysis.class_pixels)
    if labelled == 0:
        return [*found, "no pixel with data has a label"]
    for name, count in zip(classes.names, analysis.class_pixels, strict=True):
        if count == 0:
            found.append(f"class {name!r} does not occur")
        elif count < RARE_SHARE * labelled:
            found.append(f"class {name!r} is rare: {count / labelled:.2%} of the labelled pixels")
    return found


def merge_analyses(paths: Sequence[Path]) -> BandStats:
    """Return the band statistics of several scenes, summed up.

    Raises
    ------
    DataError
        If the scenes have different numbers of bands, or no valid pixel at all.
    """
    analyses = [SceneAnalysis.read(path) for path in paths]
    first = analyses[0]
    merged = BandStats.from_json(first.bands.to_json())
    for analysis in analyses[1:]:
        if analysis.bands.n_bands != first.bands.n_bands:
            raise DataError(
                f"it has {analysis.bands.n_bands} bands, scene {first.scene!r} has "
                f"{first.bands.n_bands}.",
                where=f"scene {analysis.scene!r}",
                mend="Select the same bands in every scene (image.bands).",
            )
        merged.merge(analysis.bands)
    if not any(analysis.n_valid for analysis in analyses):
        raise DataError(
            "no pixel inside the areas has data.",
            where=f"scenes {', '.join(analysis.scene for analysis in analyses)}",
            mend="Look at nodata and area of these scenes.",
        )
    return merged


def normalisation_of(stats: BandStats) -> Normalisation:
    """Return the normalisation that makes these statistics mean 0 and standard deviation 1."""
    result = stats.result()
    return Normalisation.of(list(result.mean), list(result.std))
