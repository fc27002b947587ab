"""Fit the clusters of an image, from its declaration and the options.

For what starts a segmentation. Not for what is done with the clusters (`swath.segmentation.tile`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swath.errors import DataError
from swath.raster.header import read_header
from swath.raster.layout import raster_bands, rasters_of
from swath.raster.reader import open_raster
from swath.raster.spec import Raster, Stack
from swath.segmentation.clusters import Clusters, Floats
from swath.segmentation.kmeans import distance_percentile, fit_centres
from swath.segmentation.sample import Points, sample_pixels
from swath.segmentation.scale import float_scale, integer_scale
from swath.segmentation.spec import SegmentOptions, check_bands, check_type

MOST_SAMPLED = 100_000
"""Pixels of a sample."""

_PER_CLUSTER = 100  # pixels of a sample, at least


def fit_clusters(image: Raster | Stack, options: SegmentOptions, *, n_threads: int = 1) -> Clusters:
    """Fit cluster centres to an image, or take those of the options; find scale and distances.

    Parameters
    ----------
    image
        The image.
    options
        What the segmentation is to be.
    n_threads
        Windows of the sample that are read at once. The result is the same for any number.

    Raises
    ------
    DataError
        If the pixels are complex or of 64 bits; centres or weights are for another number of bands;
        no pixel has data, or fewer have than there are to be clusters; or values are too large.
    MissingExtraError
        If numba is not installed.

    Notes
    -----
    No pixel is read where nothing depends on the sample: integers or given steps, given centres, no
    standardisation. A band that is constant in the sample is not divided by its deviation, 0.
    """
    where = ", ".join(image.source_uris())
    grid_pixels, n_bands, dtype = _describe(image, where)
    check_bands(options, n_bands, where)
    weights = np.array(options.weights or (1.0,) * n_bands, np.float64)
    sample: Points | None = None
    finds_scale = dtype.kind == "f" and options.steps is None
    if options.centres is None or options.standardise or finds_scale:
        n_centres = options.clusters if options.centres is None else len(options.centres)
        at_least = min(_PER_CLUSTER * n_centres, MOST_SAMPLED)
        share = round(grid_pixels * options.sample_percent / 100)
        n_pixels = min(max(share, at_least), MOST_SAMPLED)
        sample = sample_pixels(image, n_pixels, at_least=at_least, n_threads=n_threads)
        _check_sample(sample, options, where)
    if sample is not None and options.standardise:
        deviations = sample.std(axis=0, dtype=np.float64)
        weights = weights / np.where(deviations > 0, deviations, 1.0)
    try:
        return _clusters_of(sample, dtype, weights, options)
    except DataError as error:
        raise DataError(error.what, where=where, mend=error.mend) from None


def _clusters_of(
    sample: Points | None, dtype: np.dtype[Any], weights: Floats, options: SegmentOptions
) -> Clusters:
    if options.centres is not None:
        centres = np.array(options.centres, np.float64)
    else:
        assert sample is not None
        centres = fit_centres(sample * weights, options.clusters, options.seed) / weights
    if dtype.kind == "f" and options.steps is not None:
        offsets, steps = np.array(options.offsets, np.float64), np.array(options.steps, np.float64)
    elif dtype.kind == "f":
        assert sample is not None
        offsets, steps = float_scale(sample)
    else:
        offsets, steps = integer_scale(dtype, centres)
    limit = options.max_distance
    if limit == "auto":
        limit = distance_percentile(centres * weights, options.distance_percentile)
    return Clusters(centres, offsets, steps, weights, limit)


def check_image(image: Raster | Stack, options: SegmentOptions) -> None:
    """Refuse an image that cannot be segmented, from its headers alone.

    Raises
    ------
    DataError
        If a file is missing or not on the grid of the others, has a type that cannot be segmented,
        or centres or weights are for another number of bands.
    """
    where = ", ".join(image.source_uris())
    _, n_bands, _ = _describe(image, where)
    check_bands(options, n_bands, where)


def _describe(image: Raster | Stack, where: str) -> tuple[int, int, np.dtype[Any]]:
    """Return the number of pixels and of bands, and the type, of an image that can be segmented."""
    headers = {key: read_header(key) for key in dict.fromkeys(image.header_keys())}
    for raster in rasters_of(image):
        bands = raster_bands(raster, headers)
        for key in raster.header_keys():
            names = {headers[key].dtypes[band] for band in bands}
            for name in sorted(name for name in names if name.startswith("complex")):
                check_type(name, headers[key].uri)
    with open_raster(image, headers=headers) as reader:
        check_type(reader.dtype.name, where)
        return reader.grid.height * reader.grid.width, reader.n_bands, reader.dtype


def _check_sample(sample: Points, options: SegmentOptions, where: str) -> None:
    if len(sample) == 0:
        raise DataError(
            "No pixel has data.", where=where, mend="Look at the nodata value and the mask."
        )
    if options.centres is None and len(sample) < options.clusters:
        raise DataError(
            f"Only {len(sample)} pixels have data, too few for {options.clusters} clusters.",
            where=where,
            mend=f"Ask for at most {len(sample)} clusters.",
        )
