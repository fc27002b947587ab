"""``swath predict``: apply a bundle to images."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from swath.cli.files import check_target, make_folder_of, parse_bands, parse_nodata
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
    selected, missing, device = parse_bands(bands), parse_nodata(nodata), _device(device)
    inputs = [bundle, *(Path(image) for image, _ in pairs)]
    for _, target in pairs:
        check_target(target, inputs, overwrite)
    from swath.learn.bundle.read import open_bundle, predict_image
    from swath.raster import Raster

    with open_bundle(bundle) as opened:
        options = opened.task.predict
        if batch_size is not None:
            options = options.replace(batch_size=batch_size)
        for _, target in pairs:
            make_folder_of(target)
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


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name, re.ASCII):
        raise ConfigError(
            f"there is no device {name!r}.",
            where="--device",
            mend="Give auto, cpu, cuda or cuda:1.",
        )
    return name
