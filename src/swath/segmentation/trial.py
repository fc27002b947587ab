"""Compare parameters of a segmentation on a few windows of the image.

Not for finding an optimum: a score without truth puts candidates into an order, and a picture of
each shows whether to believe it. One idea: clusters are fitted to the whole image as they will be,
then each candidate segments the same few windows, spread over the image.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from pydantic import ValidationError

from swath.errors import ConfigError, DataError
from swath.grid.window import Window
from swath.raster.reader import Pixels, RasterReader, open_raster
from swath.raster.spec import Raster, Stack
from swath.segmentation.ahead import in_threads
from swath.segmentation.clusters import Clusters
from swath.segmentation.fit import fit_clusters
from swath.segmentation.goodness import Goodness, goodness, scores
from swath.segmentation.outlines import Picture, outline_picture
from swath.segmentation.spec import SegmentOptions
from swath.segmentation.whole import segment_array
from swath.store import open_store

Fit = Callable[[Raster | Stack, SegmentOptions], Clusters]
Segment = Callable[
    [npt.NDArray[Any], npt.NDArray[np.bool_], Clusters, SegmentOptions], npt.NDArray[np.uint32]
]

TOLD = ("clusters", "min_size", "max_distance")
"""Options in every table; others where candidates differ in them."""
_TRIES_FOR_A_WINDOW = 16
_LEAST_VALID = 0.5  # share of the pixels of a window
_STEPS = np.array([0.7548776662466927, 0.5698402909980532])  # spread points in a square evenly
_GAP, _FONT_PX, _INK, _PAPER = 10, 14, (40, 40, 40), (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Candidate:
    """Parameters that were tried.

    Parameters
    ----------
    options
        The parameters.
    max_distance
        Largest distance of a merge that was used; None without limit.
    goodness
        What its segments are like.
    score
        Sum of variance within segments and likeness of neighbours, each scaled from 0 to 1 over
        all candidates: 0 is best, 2 is worst. It compares candidates of one trial only.
    picture
        Outlines over a part of the first window, array `(y, x, 3)` of uint8.
    """

    options: SegmentOptions
    max_distance: float | None
    goodness: Goodness
    score: float
    picture: Picture


def options_grid(
    options: SegmentOptions, values: Mapping[str, Sequence[Any]]
) -> list[SegmentOptions]:
    """Return the options with each combination of some values, the last name varying first.

    Raises
    ------
    ConfigError
        If there is no such option, or it cannot have such a value.

    Examples
    --------
    >>> grid = options_grid(SegmentOptions(), {"clusters": [30, 60], "min_size": [20, 50]})
    >>> [(each.clusters, each.min_size) for each in grid]
    [(30, 20), (30, 50), (60, 20), (60, 50)]
    """
    unknown = sorted(values.keys() - SegmentOptions.model_fields.keys())
    if unknown:
        raise ConfigError(
            f"There is no option {unknown[0]!r}.",
            where="--try",
            mend=f"Use one of {', '.join(SegmentOptions.model_fields)}.",
        )
    found = []
    for chosen in itertools.product(*values.values()):
        changed = dict(zip(values, chosen, strict=True))
        try:
            found.append(options.replace(**changed))
        except ValidationError as error:
            told = "; ".join(problem["msg"] for problem in error.errors())
            raise ConfigError(
                f"{', '.join(f'{name} {value}' for name, value in changed.items())} cannot be "
                f"tried: {told}.",
                where="--try",
                mend="Correct the values.",
            ) from None
    return found


def try_parameters(
    image: Raster | Stack,
    grid_of_options: Sequence[SegmentOptions],
    *,
    n_windows: int = 4,
    window_size: int = 512,
    seed: int = 0,
    bands: Sequence[int] = (0, 1, 2),
    picture_px: int = 128,
    zoom: int = 3,
    workers: int = 1,
    fit: Fit = fit_clusters,
    segment: Segment = segment_array,
) -> list[Candidate]:
    """Segment a few windows with each candidate, and put the candidates into an order.

    Parameters
    ----------
    image
        The image.
    grid_of_options
        The candidates, see `options_grid`.
    n_windows
        Number of windows.
    window_size
        Side of a window in pixels. An image of no more pixels than all windows is taken whole.
    seed
        Another seed takes other windows.
    bands
        Bands in pictures as red, green and blue, 0-based.
    picture_px
        Side in image pixels of what a picture shows: the middle of the first window.
    zoom
        Picture pixels on one side of an image pixel.
    workers
        Candidates that are segmented at once; the result is the same for any number.
    fit, segment
        What fits clusters and segments an array.

    Returns
    -------
    list of Candidate
        Best first; candidates of equal score in their order in the grid.

    Raises
    ------
    ConfigError
        If there is no candidate.
    DataError
        If no window has data.

    Notes
    -----
    Memory is that of all windows, in the type of the image, and what `workers` segmentations of one
    window take. Segments are cut at the edges of windows; candidates whose segments are as large as
    a window cannot be compared.
    """
    if not grid_of_options:
        raise ConfigError("There is nothing to try.", where="--try", mend="Give some options.")
    with open_raster(image) as reader:
        pixels = sample_windows(reader, n_windows, window_size, seed)
    if not pixels:
        raise DataError(
            "No window of the image has data.",
            where=", ".join(image.source_uris()),
            mend="Check the nodata value.",
        )
    all_clusters = _fitted(image, grid_of_options, fit)

    def attempt(number: int) -> tuple[Goodness, Picture]:
        options, clusters = grid_of_options[number], all_clusters[number]
        found = [segment(values, valid, clusters, options) for values, valid in pixels]
        told = goodness([(each.values, labels) for each, labels in zip(pixels, found, strict=True)])
        return told, _crop(pixels[0], found[0], picture_px, bands, zoom)

    tried = list(in_threads(attempt, range(len(grid_of_options)), workers))
    scored = scores([told for told, _ in tried])
    candidates = [
        Candidate(options, clusters.max_distance, told, score, picture)
        for options, clusters, (told, picture), score in zip(
            grid_of_options, all_clusters, tried, scored, strict=True
        )
    ]
    return sorted(candidates, key=lambda candidate: candidate.score)


def sample_windows(reader: RasterReader, n_windows: int, size: int, seed: int) -> list[Pixels]:
    """Read a few windows, spread over the image, that do not overlap and have data.

    Windows with data in less than half of their pixels are taken only if there is no other; fewer
    windows are returned if places for more are not found, none if there are no data.
    """
    height, width = reader.grid.shape
    if height * width <= n_windows * size * size:
        whole = reader.read(reader.grid.window)
        return [whole] if whole.valid.any() else []
    shape = np.minimum((height, width), size)
    begin = np.random.default_rng(seed).random(2)
    taken: list[Window] = []
    kept: list[Pixels] = []
    poor: Pixels | None = None
    for number in range(_TRIES_FOR_A_WINDOW * n_windows):
        at = (begin + number * _STEPS) % 1 * ((height, width) - shape + 1)
        window = Window(int(at[0]), int(at[1]), int(shape[0]), int(shape[1]))
        if any(window.intersect(other) for other in taken):
            continue
        pixels = reader.read(window)
        share = pixels.valid.mean()
        if share >= _LEAST_VALID:
            taken.append(window)
            kept.append(pixels)
        elif share > 0 and (poor is None or share > poor.valid.mean()):
            poor = pixels
        if len(kept) == n_windows:
            break
    return kept or ([] if poor is None else [poor])


def table(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return a row of JSON values for each candidate: rank, options, what it is like, score."""
    fields = [candidate.options.to_json() for candidate in candidates]
    others = [name for name in fields[0] if any(each[name] != fields[0][name] for each in fields)]
    names = [*TOLD, *(name for name in others if name not in TOLD)]
    return [
        {
            "rank": rank,
            **{name: options[name] for name in names},
            "distance": candidate.max_distance,
            "segments": candidate.goodness.n_segments,
            "mean_size": candidate.goodness.n_pixels / candidate.goodness.n_segments,
            "variance": candidate.goodness.variance,
            "moran": candidate.goodness.moran,
            "score": candidate.score,
        }
        for rank, (options, candidate) in enumerate(zip(fields, candidates, strict=True), start=1)
    ]


def write_table(candidates: Sequence[Candidate], path: str | PathLike[str]) -> None:
    """Write the table of candidates as ``.csv`` or ``.json``, replacing what is there.

    Raises
    ------
    ConfigError
        If the suffix is another one.
    """
    rows = table(candidates)
    suffix = Path(path).suffix.lower()
    if suffix == ".json":
        text = json.dumps(rows, indent=1) + "\n"
    elif suffix == ".csv":
        lines = io.StringIO()
        writer = csv.DictWriter(lines, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        text = lines.getvalue()
    else:
        raise ConfigError(
            f"The suffix {suffix!r} names no format for a table.",
            where=str(path),
            mend="Use .csv or .json.",
        )
    open_store(str(path)).write(str(path), text.encode())


def write_contact_sheet(
    candidates: Sequence[Candidate], path: str | PathLike[str], *, columns: int | None = None
) -> None:
    """Write the pictures of all candidates on one sheet, best first, as PNG.

    Parameters
    ----------
    candidates
        From `try_parameters`.
    path
        File to write.
    columns
        Pictures in a row; default: so that the sheet is about square.
    """
    font = ImageFont.load_default(_FONT_PX)
    captions = [_caption(row) for row in table(candidates)]
    n_lines = max(len(caption) for caption in captions)
    columns = columns or math.ceil(math.sqrt(len(candidates)))
    n_rows = math.ceil(len(candidates) / columns)
    text_width = max(int(font.getlength(line)) for caption in captions for line in caption)
    picture_height, picture_width = candidates[0].picture.shape[:2]
    width = max(picture_width, text_width) + _GAP
    height = picture_height + n_lines * (_FONT_PX + 4) + 2 * _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, n_rows * height + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (candidate, caption) in enumerate(zip(candidates, captions, strict=True)):
        left = _GAP + number % columns * width
        top = _GAP + number // columns * height
        sheet.paste(Image.fromarray(candidate.picture), (left, top))
        for line, text in enumerate(caption):
            y = top + picture_height + _GAP // 2 + line * (_FONT_PX + 4)
            draw.text((left, y), text, fill=_INK, font=font)
    sheet.save(path, format="PNG", optimize=True)


def _fitted(
    image: Raster | Stack, grid_of_options: Sequence[SegmentOptions], fit: Fit
) -> list[Clusters]:
    """Return the clusters of each candidate; those that differ in merging only share a fit."""
    known: dict[SegmentOptions, Clusters] = {}
    found = []
    for options in grid_of_options:
        fitting = options.replace(min_size=1, max_distance="auto")
        if fitting not in known:
            known[fitting] = fit(image, fitting)
        clusters = known[fitting]
        if options.max_distance != "auto":
            clusters = replace(clusters, max_distance=options.max_distance)
        found.append(clusters)
    return found


def _crop(
    pixels: Pixels, labels: npt.NDArray[np.uint32], side: int, bands: Sequence[int], zoom: int
) -> Picture:
    height, width = labels.shape
    rows, cols = min(side, height), min(side, width)
    window = Window((height - rows) // 2, (width - cols) // 2, rows, cols)
    row, col = window.slices
    return outline_picture(
        pixels.values[:, row, col], pixels.valid[row, col], labels[row, col], bands=bands, zoom=zoom
    )


def _caption(row: Mapping[str, Any]) -> list[str]:
    names = list(row)
    options = [
        f"{name} {'none' if row[name] is None else row[name]}"
        for name in names[1 : names.index("distance")]
    ]
    if row["max_distance"] == "auto":
        options[names.index("max_distance") - 1] = f"max_distance auto ({row['distance']:.4g})"
    return [
        f"{row['rank']}. score {row['score']:.3f}",
        ", ".join(options),
        f"{row['segments']:,} segments of {row['mean_size']:.0f} px on average",
        f"variance {row['variance']:.4f}, Moran's I {row['moran']:.3f}",
    ]
