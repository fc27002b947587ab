"""Find everything that is wrong with a scene before any work is spent on it.

Not here: mistakes that the declaration alone shows (specs refuse them), or those between scenes.

The one idea: a check goes on after each finding, as far as it still makes sense, so that one run
names them all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from swath.errors import DataError
from swath.grid.grid import Bounds, Grid
from swath.raster.header import read_header
from swath.raster.reader import RasterReader, open_raster
from swath.raster.spec import ImageSpec, Raster, Stack
from swath.scene.areas import Area, BlockArea, VectorArea
from swath.scene.classes import IGNORE
from swath.scene.labels import RasterLabels, VectorLabels
from swath.scene.mask import area_mask, area_polygons, area_rectangles
from swath.scene.raster_truth import RasterTruth, check_label_raster, open_label_raster
from swath.scene.spec import ClassConfig, Labels, Scene
from swath.scene.strips import STRIP_PIXELS, cut_strips, spread_strips
from swath.scene.truth import VectorTruth
from swath.vector.reader import Features, file_identity
from swath.vector.spec import VectorFile


def check_scene(scene: Scene, classes: ClassConfig) -> list[DataError]:
    """Return everything that is wrong with a scene's files.

    Parameters
    ----------
    scene
        What to check.
    classes
        The classes that labels become.

    Returns
    -------
    list of DataError
        Each with the scene in `where`; empty if the scene can be worked on. Found are: missing and
        unreadable files, sources or labels on another grid or CRS than the image, bands that do not
        exist, class ids and names without a class, labels and areas that are empty or beside the
        image, and images without any data.

    Notes
    -----
    Of scenes above 100 Mpx, label values and nodata are looked at in evenly spread strips that add
    up to 100 Mpx; a finding from strips says so. Memory is bounded by a strip.
    """
    found = list(_findings(scene, classes))
    return [
        DataError(
            error.what,
            where=f"scene {scene.id}: {error.where}" if error.where else f"scene {scene.id}",
            mend=error.mend,
        )
        for error in found
    ]


def _findings(scene: Scene, classes: ClassConfig) -> Iterator[DataError]:
    unreadable = dict(_unreadable(scene))
    yield from unreadable.values()
    if unreadable.keys() & set(_source_keys(scene.image)):
        return
    try:
        image = open_raster(scene.image)
    except DataError as error:
        yield error
        return
    with image:
        yield from _image_findings(image)
        area = None if unreadable.keys() & set(_source_keys(scene.area)) else scene.area
        if area is not None:
            area_findings = list(_area_findings(area, image.grid))
            yield from area_findings
            area = None if area_findings else area
        if scene.labels is not None and not unreadable.keys() & set(_source_keys(scene.labels)):
            yield from _label_findings(scene.labels, classes, image, area)


def _unreadable(scene: Scene) -> Iterator[tuple[str, DataError]]:
    """Yield what cannot be opened, each file once and apart from all others."""
    for source in (scene.image, scene.labels, scene.area):
        for key in _source_keys(source):
            try:
                if isinstance(source, VectorFile):
                    file_identity(key)
                else:
                    read_header(key)
            except DataError as error:
                yield key, error


def _source_keys(source: ImageSpec | Labels | Area | None) -> tuple[str, ...]:
    if isinstance(source, VectorFile):
        return (source.uri,)
    if isinstance(source, RasterLabels):
        return source.raster.header_keys()
    if isinstance(source, Raster | Stack):
        return source.header_keys()
    return ()


def _image_findings(image: RasterReader) -> Iterator[DataError]:
    try:
        strips, note = spread_strips(image.grid.window, strip_pixels=STRIP_PIXELS // image.n_bands)
        if not any(image.read(strip).valid.any() for strip in strips):
            yield DataError(
                f"No pixel of the image has data in every band{note}.",
                where=image.spec.source_uris()[0],
                mend="Check the image's `nodata` and `bands`.",
            )
    except DataError as error:
        yield error


def _area_findings(area: Area, grid: Grid) -> Iterator[DataError]:
    where = area.uri if isinstance(area, VectorArea) else "area"
    try:
        if isinstance(area, VectorArea):
            polygons = area_polygons(area, grid)
            if len(polygons) == 0:
                yield DataError(
                    "The area is empty: the file has no polygon.",
                    where=where,
                    mend="Draw the area as polygons, or remove it to use the whole image.",
                )
                return
            if not _meets(polygons, grid):
                yield _beside("area", polygons, grid)
                return
        pieces = (piece for part in area_rectangles(area, grid) for piece in cut_strips(part))
        if any(area_mask(area, grid, piece).any() for piece in pieces):
            return
    except DataError as error:
        yield error
        return
    if isinstance(area, BlockArea):
        mend = "Take larger blocks (fewer rows and columns) or a smaller `buffer_px`."
    else:
        mend = f"Choose an area within the image's {grid.height} rows and {grid.width} columns."
    yield DataError(
        f"The area holds no pixel of the image of {grid.height} x {grid.width} pixels.",
        where=where,
        mend=mend,
    )


def _label_findings(
    labels: Labels, classes: ClassConfig, image: RasterReader, area: Area | None
) -> Iterator[DataError]:
    classes_fit = True
    try:
        labels.class_ids(classes)
    except DataError as error:
        classes_fit = False
        yield error
    try:
        if isinstance(labels, RasterLabels):
            reader, first_band = open_label_raster(labels, image.spec)
            with reader:
                check_label_raster(labels, image.grid, reader.grid, reader.n_bands - first_band)
                if classes_fit:
                    truth = RasterTruth(labels, classes, image.grid, reader, first_band)
                    yield from _value_findings(truth, labels.uri, image.grid, area)
        elif classes_fit:
            yield from _feature_findings(labels, classes, image.grid, area)
    except DataError as error:
        yield error


def _value_findings(
    truth: RasterTruth, uri: str, grid: Grid, area: Area | None
) -> Iterator[DataError]:
    strips, note = spread_strips(grid.window)
    undeclared: set[int | float] = set()
    n_labelled = 0
    for strip in strips:
        ids, values = truth.decode(strip)
        undeclared.update(values)
        n_labelled += int(np.count_nonzero((ids != IGNORE) & area_mask(area, grid, strip)))
    if undeclared:
        yield truth.undeclared_error(undeclared, note)
    elif n_labelled == 0:
        yield _unlabelled(uri, area, note)


def _feature_findings(
    labels: VectorLabels, classes: ClassConfig, grid: Grid, area: Area | None
) -> Iterator[DataError]:
    truth = VectorTruth(labels, classes, grid)
    features = truth.features
    if len(features) == 0:
        yield DataError(
            "The labels are empty: the file has no feature.",
            where=labels.uri,
            mend="Check `layer`, or remove the labels.",
        )
    elif not _meets(features, grid):
        yield _beside("labels", features, grid)
    else:
        strips, note = spread_strips(grid.window)
        labelled = ((truth.read(s) != IGNORE) & area_mask(area, grid, s) for s in strips)
        if not any(part.any() for part in labelled):
            yield _unlabelled(labels.uri, area, note)


def _meets(features: Features, grid: Grid) -> bool:
    image = shapely.Polygon(grid.window_polygon(grid.window))
    return bool(len(features.tree.query(image, predicate="intersects")))


def _beside(subject: str, features: Features, grid: Grid) -> DataError:
    return DataError(
        f"The {subject} and the image do not meet: x, y of the {subject} from "
        f"{_box(features.bounds)}, of the image from {_box(grid.bounds)}, both in {grid.crs}.",
        where=features.uri,
        mend="Check that they belong to one place, and that the CRS stored in the file is right.",
    )


def _box(bounds: Bounds | None) -> str:
    if bounds is None:
        return "nowhere"
    left, bottom, right, top = bounds
    return f"({left:.10g}, {bottom:.10g}) to ({right:.10g}, {top:.10g})"


def _unlabelled(uri: str, area: Area | None, note: str) -> DataError:
    return DataError(
        f"No pixel{' of the area' if area is not None else ''} has a class{note}.",
        where=uri,
        mend="Check the labels' `nodata` and mapping, and that they belong to this "
        f"image{' and area' if area is not None else ''}.",
    )
