"""``swath predict``: apply a bundle to images."""

from __future__ import annotations

import errno
import json
import math
import os
import re
from pathlib import Path
from typing import Literal

import click

from swath.cli.options import json_option, verbose_option
from swath.errors import ConfigError

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg")
"""What counts as an image in a folder."""


@click.command("predict")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--bands", metavar="0,1,2", help="Bands of the images, 0-based, in training order.")
@click.option("--nodata", type=float, help="Value of missing pixels, also nan.")
@click.option("--update-stats", is_flag=True, help="Normalise by each image's own statistics.")
@click.option("--batch-size", type=click.IntRange(1), help="Windows at once.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@json_option
@verbose_option
def command(
    bundle: Path,
    images: tuple[str, ...],
    out: Path,
    bands: str | None,
    nodata: float | None,
    update_stats: bool,
    batch_size: int | None,
    device: str,
    overwrite: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Predict IMAGES with BUNDLE into OUT, a map as a cloud-optimised GeoTIFF.

    With several images, or a folder of them, OUT is a folder: one map per image, of its name.
    """
    pairs = _pairs(images, out)
    selected, missing, device = _bands(bands), _nodata(nodata), _device(device)
    inputs = [bundle, *(Path(image) for image, _ in pairs)]
    for _, target in pairs:
        _check_target(target, inputs, overwrite)
    from swath.learn.bundle.read import open_bundle, predict_image
    from swath.raster import Raster

    with open_bundle(bundle) as opened:
        options = opened.task.predict
        if batch_size is not None:
            options = options.replace(batch_size=batch_size)
        for _, target in pairs:
            _make_folder_of(target)
        for image, target in pairs:
            predict_image(
                opened,
                Raster(uris=image, bands=selected, nodata=missing),
                target,
                options=options,
                device_options={"device": device},
                update_stats=update_stats,
            )
            if not as_json:
                click.echo(str(target))
    if as_json:
        told = [{"image": image, "map": str(target)} for image, target in pairs]
        click.echo(json.dumps(told, indent=1))


def _pairs(images: tuple[str, ...], out: Path) -> list[tuple[str, Path]]:
    """Return each image and the file that its map goes to."""
    folders = [Path(image) for image in images if Path(image).is_dir()]
    if len(images) == 1 and not folders:
        return [(images[0], out)]
    found: list[str] = []
    for image in images:
        if Path(image).is_dir():
            inside = sorted(Path(image).iterdir())
            found += [str(path) for path in inside if path.suffix.lower() in SUFFIXES]
        else:
            found.append(image)
    if not found:
        raise ConfigError(
            f"there is no image in {', '.join(map(str, folders))}.",
            mend=f"Images end in {', '.join(SUFFIXES)}.",
        )
    pairs = [(image, out / f"{Path(image).stem}.tif") for image in found]
    names = [target.name for _, target in pairs]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigError(
            f"several images would be written to {', '.join(doubled)}.",
            mend="Predict images of one name in separate calls.",
        )
    return pairs


def _check_target(target: Path, inputs: list[Path], overwrite: bool) -> None:
    """Refuse a target that is a folder or an input, or that exists and is not to be replaced."""
    try:
        taken, is_folder = target.exists(), target.is_dir()
        read = [path for path in inputs if path.resolve() == target.resolve()]
        if taken:  # two names of one file, too
            read += [path for path in inputs if path.exists() and path.samefile(target)]
    except OSError as error:
        raise _unusable(target, error) from error
    if read:
        raise ConfigError(
            f"{target} is read, and would be written, too.",
            where="OUT",
            mend="Give another OUT: an input is never replaced, not even with --overwrite.",
        )
    if is_folder:
        raise ConfigError(
            f"{target} is a folder.",
            where="OUT",
            mend=f"Give a file, for example {target / 'map.tif'}.",
        )
    if taken and not overwrite:
        raise ConfigError(f"{target} exists.", mend="Give --overwrite, or another OUT.")
    folder = next(each for each in target.absolute().parents if each.exists())
    if not folder.is_dir():
        raise _unusable(target, NotADirectoryError(errno.ENOTDIR, f"{folder} is no folder"))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(target, PermissionError(errno.EACCES, f"{folder} may not be written to"))


def _make_folder_of(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(target, error) from error


def _unusable(target: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"{target} cannot be written: {error.strerror}.",
        where="OUT",
        mend="Give an OUT whose folder exists or can be made.",
    )


def _bands(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text, re.ASCII):
        raise ConfigError(
            f"{text!r} is no list of bands, which are counted from 0.",
            where="--bands",
            mend="Write, for example, --bands 0,1,2.",
        )
    return tuple(int(part) for part in text.split(","))


def _nodata(value: float | None) -> float | Literal["nan"] | None:
    if value is None or math.isfinite(value):
        return value
    if math.isnan(value):
        return "nan"
    raise ConfigError(
        f"{value} is no value of missing pixels.",
        where="--nodata",
        mend="Give a number, or nan.",
    )


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name, re.ASCII):
        raise ConfigError(
            f"there is no device {name!r}.",
            where="--device",
            mend="Give auto, cpu, cuda or cuda:1.",
        )
    return name
