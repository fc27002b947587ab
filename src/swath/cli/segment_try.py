"""``swath segment --try``: candidates compared on sampled windows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from swath.errors import ConfigError
from swath.segmentation.spec import SegmentOptions, image_of

TRIED = ("clusters", "min_size", "max_distance")


def compare(
    images: Sequence[str],
    sheet: Path,
    options: SegmentOptions,
    tries: Sequence[str],
    *,
    bands: tuple[int, ...] | None,
    nodata: float | Literal["nan"] | None,
    workers: int | None,
) -> list[dict[str, Any]]:
    """Segment windows with each combination of values; write a contact sheet and a table.

    Parameters
    ----------
    images, bands, nodata
        The image.
    sheet
        PNG of the contact sheet; the table lies beside it, as ``.csv``.
    options
        What is not tried.
    tries
        ``"OPTION=A,B"`` for each option that is tried.
    workers
        Candidates at once; default: one for each core.

    Returns
    -------
    list of dict
        The table, best first.
    """
    tried = dict(_values(text) for text in tries)
    from swath.segmentation.trial import (
        options_grid,
        table,
        try_parameters,
        write_contact_sheet,
        write_table,
    )

    grid = options_grid(options, tried)
    image = image_of(images, bands=bands, nodata=nodata)
    found = try_parameters(image, grid, workers=workers or os.cpu_count() or 1)
    write_contact_sheet(found, sheet)
    write_table(found, sheet.with_suffix(".csv"))
    return table(found)


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    texts = [[*rows[0]], *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(texts[0]))]
    for row in texts:
        click.echo("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def _values(text: str) -> tuple[str, list[Any]]:
    """Return the option and the values of ``"OPTION=A,B"``."""
    name, found, listed = text.partition("=")
    name = name.removeprefix("--").replace("-", "_")
    if not found or name not in TRIED:
        known = ", ".join(option.replace("_", "-") for option in TRIED)
        raise ConfigError(
            f"{text!r} does not say what to try.",
            where="--try",
            mend=f"Write, for example, --try min-size=50,100; one of {known}.",
        )
    try:
        return name, [_value(name, part.strip()) for part in listed.split(",")]
    except ValueError:
        raise ConfigError(
            f"{listed!r} are no values of {name.replace('_', '-')}.",
            where="--try",
            mend="Give numbers with commas; auto and none are distances, too.",
        ) from None


def _value(name: str, text: str) -> Any:
    if name != "max_distance":
        return int(text)
    if text in ("auto", "none"):
        return "auto" if text == "auto" else None
    return float(text)
