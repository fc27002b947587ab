"""Derive the labels of the Olinda example from infrared bands that its model never sees.

For: writing ``labels.tif`` beside the image, once; the result is kept in the repository. Not for:
mapping land cover in earnest. The labels are what two spectral indices say, no more: nobody stood
on the ground. They are good enough to show the whole way from imagery to an evaluated map.

The idea: water and plants stand out in near and short-wave infrared, far less so in visible light.
Labels made from the infrared bands therefore set a real task to a model that sees only blue, green
and red: it has to learn from brightness, hue and texture what the infrared says outright.

======  ===============  ==================================================================
id      class            rule
======  ===============  ==================================================================
0       water            MNDWI above its threshold
1       vegetation       not water, NDVI above its threshold
2       built or bare    neither: roofs, roads, sand, open soil
255     (no label)       an index within a margin of its threshold: mixed pixels
======  ===============  ==================================================================

MNDWI = (green - SWIR1) / (green + SWIR1) [1]_ and NDVI = (NIR - red) / (NIR + red) [2]_, from
bands 2, 5, 4 and 3 of the sensor [4]_. The file holds digital numbers, not reflectance, so haze
lifts the visible bands and the thresholds of the literature (MNDWI 0, NDVI around 0.2) do not carry
over. Otsu's method [3]_ finds them in the two histograms instead, each of which has two peaks:
MNDWI -0.23 (land) and 0.72 (sea), NDVI on land -0.15 (town) and 0.33 (trees). That gives MNDWI 0.26
and NDVI 0.09; drawn beside the bands 5-4-3 and 3-2-1, the classes follow the shore, the lagoon, the
river and the edges of the woods.

Patches smaller than 3 pixels (0.24 ha, joined by edges) take the class around them. This removes
specks and moves no border; a smoothing filter would move them all. Then two margins take the label
off what the indices cannot tell. NDVI within 0.03 of its threshold is a garden suburb or a thinly
grown slope; MNDWI within 0.10 of its threshold is a pixel with a shore in it, wet sand, or a river
narrower than a pixel.

References
----------
.. [1] Xu, H. (2006). Modification of normalised difference water index (NDWI) to enhance open
   water features in remotely sensed imagery. International Journal of Remote Sensing 27(14),
   3025-3033. https://doi.org/10.1080/01431160600589179
.. [2] Tucker, C. J. (1979). Red and photographic infrared linear combinations for monitoring
   vegetation. Remote Sensing of Environment 8(2), 127-150.
   https://doi.org/10.1016/0034-4257(79)90013-0
.. [3] Otsu, N. (1979). A threshold selection method from gray-level histograms. IEEE Transactions
   on Systems, Man, and Cybernetics 9(1), 62-66. https://doi.org/10.1109/TSMC.1979.4310076
.. [4] The bands of the file are those of ETM+ at 30 m: 1 blue, 2 green, 3 red, 4 near infrared,
   5 short-wave infrared (1.55-1.75 um), 7 short-wave infrared (2.08-2.35 um).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.features import sieve

HERE = Path(__file__).parent
IMAGE = HERE / "L7_ETMs.tif"
LABELS = HERE / "labels.tif"

WATER, VEGETATION, BUILT_OR_BARE, NO_LABEL = 0, 1, 2, 255
NAMES = {WATER: "water", VEGETATION: "vegetation", BUILT_OR_BARE: "built or bare"}
# Okabe and Ito's palette, told apart with every kind of colour vision.
COLOURS = {
    WATER: (0, 114, 178),
    VEGETATION: (0, 158, 115),
    BUILT_OR_BARE: (230, 159, 0),
    NO_LABEL: (0, 0, 0),
}

MNDWI_MARGIN = 0.10
NDVI_MARGIN = 0.03
SMALLEST_PATCH = 3  # pixels

Index = npt.NDArray[np.float64]
Labels = npt.NDArray[np.uint8]


def normalised_difference(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> Index:
    """Return (a - b) / (a + b), 0 where both bands are 0.

    Parameters
    ----------
    a, b
        Two bands, shape (y, x).
    """
    left, right = a.astype(np.float64), b.astype(np.float64)
    total = left + right
    return np.divide(left - right, total, out=np.zeros_like(total), where=total > 0)


def otsu_threshold(values: Index, n_bins: int = 200) -> float:
    """Return the value that parts `values` best into two groups.

    Parameters
    ----------
    values
        Index values between -1 and 1, any shape.
    n_bins
        Bins of the histogram over [-1, 1]; the threshold is an edge between two of them.

    Notes
    -----
    Maximises the variance between the groups, w0 * w1 * (mean0 - mean1)**2, over every edge.
    """
    counts, edges = np.histogram(values, bins=n_bins, range=(-1.0, 1.0))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sum_below = np.cumsum(counts * centres)[:-1]
    sum_above = (counts * centres).sum() - sum_below
    gap = sum_below / np.maximum(below, 1) - sum_above / np.maximum(above, 1)
    return float(edges[1:-1][np.argmax(below * above * gap**2)])


def label(bands: npt.NDArray[np.uint8]) -> Labels:
    """Return class ids, 255 where the indices cannot tell.

    Parameters
    ----------
    bands
        Digital numbers of ETM+ bands 1, 2, 3, 4, 5, 7, shape (band, y, x).

    Returns
    -------
    Labels
        Shape (y, x).
    """
    _, green, red, near_infrared, short_wave, _ = bands
    mndwi = normalised_difference(green, short_wave)
    ndvi = normalised_difference(near_infrared, red)
    water_from = otsu_threshold(mndwi)
    water = mndwi > water_from
    green_from = otsu_threshold(ndvi[~water])
    print(f"water: MNDWI > {water_from:.2f}; vegetation: NDVI > {green_from:.2f}")

    labels = np.where(ndvi > green_from, VEGETATION, BUILT_OR_BARE).astype(np.uint8)
    labels[water] = WATER
    labels = sieve(labels, size=SMALLEST_PATCH, connectivity=4)
    mixed_shore = np.abs(mndwi - water_from) < MNDWI_MARGIN
    mixed_green = (np.abs(ndvi - green_from) < NDVI_MARGIN) & ~water
    labels[mixed_shore | mixed_green] = NO_LABEL
    return labels


def main() -> None:
    """Read the image, write the labels on its grid, print how often each class occurs."""
    with rasterio.open(IMAGE) as image:
        bands = image.read()
        grid = {"crs": image.crs, "transform": image.transform}
    labels = label(bands)
    height, width = labels.shape
    with rasterio.open(
        LABELS,
        "w",
        driver="GTiff",
        height=height,
        width=width,
        count=1,
        dtype="uint8",
        nodata=NO_LABEL,
        compress="deflate",
        tiled=True,
        blockxsize=128,
        blockysize=128,
        **grid,
    ) as file:
        file.write(labels, 1)
        file.write_colormap(1, COLOURS)
        file.update_tags(**{f"CLASS_{number}": name for number, name in NAMES.items()})
    for number, name in {**NAMES, NO_LABEL: "(no label)"}.items():
        print(f"{number:4d} {name:14s} {np.mean(labels == number):6.1%}")


if __name__ == "__main__":
    main()
