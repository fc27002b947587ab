"""Declarations of imagery: what they accept, what they refuse, that they survive JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from swath.raster.spec import (
    Cast,
    ImageSpec,
    MapCrop,
    MinMax,
    NaNToValue,
    PixelCrop,
    Raster,
    Reclass,
    Stack,
    Warp,
    header_key,
    split_header_key,
)

FULL = Raster(
    uris=("a.tif", "b.tif"),
    bands=(2, 0),
    nodata="nan",
    mask_band=3,
    warp=Warp(crs="EPSG:32633", resolution=10, resampling="bilinear"),
    crop=MapCrop(left=0, bottom=0, right=10, top=10),
    transforms=(
        NaNToValue(value=-1),
        Reclass(mapping={1: 2}, other="invalid"),
        MinMax(low=(0, 1), high=2),
        Cast(dtype="uint8", overflow="clip"),
    ),
)


@pytest.mark.parametrize(
    "spec",
    [
        Raster(uris="a.tif"),
        FULL,
        Stack(sources=(FULL, Raster(uris="c.tif", warp="primary"))),
        Raster(uris="a.tif", crop=PixelCrop(row_off=0, col_off=1, height=2, width=3)),
    ],
)
def test_image_specs_survive_json(spec):
    adapter = TypeAdapter(ImageSpec)
    assert adapter.validate_python(json.loads(json.dumps(spec.to_json()))) == spec


def test_one_path_stands_for_a_mosaic_of_one():
    assert Raster(uris="a.tif") == Raster(uris=("a.tif",)) == Raster(uris=Path("a.tif"))
    assert Raster(uris=[Path("a.tif"), "b.tif"]).uris == ("a.tif", "b.tif")


def test_string_as_warp_is_a_crs():
    assert Raster(uris="a.tif", warp="EPSG:4326").warp == Warp(crs="EPSG:4326")


def test_source_uris_are_all_files_in_order():
    stack = Stack(sources=(Raster(uris=("a.tif", "b.tif")), Raster(uris="c.tif")))
    assert stack.source_uris() == ("a.tif", "b.tif", "c.tif")


def test_header_key_carries_the_warp():
    warp = Warp(crs="EPSG:32633", resolution=10)
    assert split_header_key(header_key("a#b.tif", warp)) == ("a#b.tif", warp)
    assert header_key("a.tif", None) == header_key("a.tif", Warp(crs="primary")) == "a.tif"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Raster(uris=()), "at least 1"),
        (lambda: Raster(uris=3), "uris\n  Input should be a valid tuple"),
        (lambda: Raster(uris="a.tif", bands=(-1,)), "greater than or equal to 0"),
        (lambda: Raster(uris="a.tif", bands=()), "at least 1"),
        (lambda: Raster(uris="a.tif", band=(1,)), "Extra inputs"),
        (lambda: MinMax(low=1, high=1), "must be below high"),
        (lambda: MinMax(low=(0, 5), high=(1, 5)), "must be below high"),
        (lambda: MinMax(low=(0, 1), high=(1, 2, 3)), "low has 2 values and high 3"),
        (lambda: Reclass(mapping={}), "at least 1"),
        (lambda: Warp(crs="EPSG:4326", resolution=0), "greater than 0"),
        (lambda: Warp(crs="primary", resolution=1), "primary source gives the resolution"),
        (lambda: Stack(sources=(Raster(uris="a"),), primary=1), "primary is 1"),
        (lambda: Stack(sources=(Raster(uris="a", warp="primary"),)), "remove its warp"),
        (
            lambda: Stack(
                sources=(
                    Raster(uris="a"),
                    Raster(
                        uris="b",
                        warp="primary",
                        crop=PixelCrop(row_off=0, col_off=0, height=1, width=1),
                    ),
                )
            ),
            "remove its crop",
        ),
    ],
)
def test_wrong_declarations_are_refused(call, message):
    with pytest.raises(ValidationError, match=message):
        call()


def test_limits_of_one_band_and_of_several_combine():
    assert MinMax(low=0, high=(1, 2)).high == (1, 2)


def test_declaring_imagery_loads_no_heavy_library():
    code = (
        "import sys, swath.raster, swath.raster.header;"
        "print([m for m in ('numpy', 'rasterio', 'affine') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
