"""What is wrong with a call of ``swath predict`` is told before anything is read or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with files that stand for a bundle and an image; none is opened."""
    for name in ("bundle.zip", "image.tif"):
        (tmp_path / name).write_text(name)
    return tmp_path


def _refused(answer: Any, *parts: str) -> None:
    assert answer.exit_code == 2, answer
    assert "Traceback" not in answer.err
    for part in (*parts, "where: ", "mend: "):
        assert part in answer.err


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--bands=-1", "'-1' is no list of bands, which are counted from 0"),
        ("--bands=", "'' is no list of bands"),
        ("--bands=0,x", "'0,x' is no list of bands"),
        ("--nodata=inf", "inf is no value of missing pixels"),
        ("--device=foo", "there is no device 'foo'"),
        ("--device=cuda:x", "there is no device 'cuda:x'"),
    ],
)
def test_a_wrong_option_is_refused(
    place: Path, swath_cli: Callable[..., Any], option: str, told: str
) -> None:
    answer = swath_cli(
        "predict", place / "bundle.zip", place / "image.tif", place / "map.tif", option
    )
    _refused(answer, told, f"where: {option.partition('=')[0]}")


@pytest.mark.parametrize("options", [(), ("--overwrite",)])
@pytest.mark.parametrize("out", ["image.tif", "./other/../image.tif", "link.tif", "bundle.zip"])
def test_out_that_is_an_input_is_refused(
    place: Path, swath_cli: Callable[..., Any], out: str, options: tuple[str, ...]
) -> None:
    (place / "other").mkdir()
    (place / "link.tif").hardlink_to(place / "image.tif")
    answer = swath_cli("predict", place / "bundle.zip", place / "image.tif", place / out, *options)
    _refused(answer, "is read, and would be written, too")
    assert (place / "image.tif").read_text() == "image.tif"


def test_a_folder_of_images_is_not_written_over(place: Path, swath_cli: Callable[..., Any]) -> None:
    answer = swath_cli("predict", place / "bundle.zip", place, place, "--overwrite")
    _refused(answer, "image.tif is read, and would be written, too")


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("image.tif/map.tif", "image.tif is no folder"),
        ("image.tif/deep/er/map.tif", "image.tif is no folder"),
        ("x" * 300, "cannot be written: File name too long"),
        (".", "is a folder"),
    ],
)
def test_out_that_cannot_be_written_is_refused(
    place: Path, swath_cli: Callable[..., Any], out: str, told: str
) -> None:
    answer = swath_cli("predict", place / "bundle.zip", place / "image.tif", place / out)
    _refused(answer, told, "where: OUT")


def test_what_is_no_bundle_is_refused(place: Path, swath_cli: Callable[..., Any]) -> None:
    for bundle, told in (
        (place, "the bundle cannot be read: Is a directory"),
        (place / "bundle.zip", "it is no bundle"),
        (place / "none.zip", "the bundle does not exist"),
    ):
        answer = swath_cli("predict", bundle, place / "image.tif", place / "new" / "map.tif")
        _refused(answer, told, f"where: {bundle}")
    assert not (place / "new").exists()
