"""A raster attribute table beside the labels: what GDAL and QGIS show of each segment.

GDAL looks for it in ``<labels>.aux.xml``. One idea: it is written from the Parquet table, piece by
piece, so that memory does not grow with it; whatever else the file held is kept.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
import pyarrow
import pyarrow.parquet

from swath.errors import ConfigError, DataError, StoreError
from swath.store import is_local
from swath.store.local import temporary_beside

SUFFIX = ".aux.xml"

MOST_ROWS = 1_000_000
"""Programs read the whole table whenever they open the labels: about 8 µs for each row of 20
columns in GDAL 3.10."""

LEFT_OUT = "<PAMDataset />\n"
"""The file of a unit without a table, which nobody needs."""

_INTEGER, _REAL = 0, 1
_GENERIC, _PIXEL_COUNT, _MIN_MAX, _RED, _GREEN, _BLUE, _ALPHA = 0, 1, 5, 6, 7, 8, 9

Colours = npt.NDArray[np.uint8]


def colours_of(ids: npt.NDArray[np.uint32]) -> Colours:
    """Return a colour for each segment that neighbours do not share: red, green, blue.

    They depend on the id alone. Array `(segment, 3)`.

    Examples
    --------
    >>> colours_of(np.array([1, 2], np.uint32)).tolist()
    [[208, 172, 166], [160, 88, 78]]
    """
    mixed = ids.astype(np.uint64)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        mixed ^= mixed >> np.uint64(shift)
        mixed = mixed * np.uint64(factor) & np.uint64(0xFFFFFFFF)
    mixed ^= mixed >> np.uint64(16)
    parts = [(mixed >> np.uint64(8 * i) & np.uint64(0xFF)) for i in range(3)]
    return np.stack([64 + part * 3 // 4 for part in parts], axis=1).astype(np.uint8)


def place_beside(labels: str, *, overwrite: bool = False) -> Path:
    """Return where GDAL looks for what is known of a raster, and refuse to replace a table there.

    Raises
    ------
    ConfigError
        If the labels are not on this machine, or have a raster attribute table.
    """
    if not is_local(labels):
        raise ConfigError(
            "a raster attribute table lies beside the labels, which are not on this machine.",
            where=labels,
            mend="Copy the labels here, or do without it: the Parquet table says the same.",
        )
    path = Path(f"{labels}{SUFFIX}")
    _kept(path, overwrite)
    return path


def too_many(n_segments: int) -> str:
    """Return, in a sentence, why there is no raster attribute table."""
    return (
        f"There are {n_segments:,} segments, too many for a raster attribute table: none is "
        f"written of more than {MOST_ROWS:,}, since programs read it as a whole."
    )


def write_attribute_table(
    table: Path, path: Path, *, overwrite: bool = False, leave_out: bool = False
) -> None:
    """Write the raster attribute table of labels.

    Parameters
    ----------
    table
        Table of statistics, a Parquet file of Swath.
    path
        File to write, see `place_beside`.
    overwrite
        True to replace a table that is there.
    leave_out
        True to write `LEFT_OUT` if there are more than `MOST_ROWS` segments.

    Raises
    ------
    ConfigError
        If there is such a table.
    DataError
        If there are more than `MOST_ROWS` segments, and it is not to be left out.
    StoreError
        If the file cannot be written.
    """
    kept = _kept(path, overwrite)
    with pyarrow.parquet.ParquetFile(table) as source:
        n_rows = source.metadata.num_rows
        if n_rows > MOST_ROWS:
            if leave_out:
                path.write_text(LEFT_OUT, encoding="utf-8")
                return
            raise DataError(
                too_many(n_rows), where=str(path), mend="Join the Parquet table by id instead."
            )
        temporary = temporary_beside(path)
        try:
            with temporary.open("w", encoding="utf-8") as file:
                for text in _document(source, kept):
                    file.write(text)
            temporary.replace(path)
        except OSError as error:
            raise StoreError(
                f"the raster attribute table cannot be written: {error.strerror}.", where=str(path)
            ) from error
        finally:
            temporary.unlink(missing_ok=True)


def _kept(path: Path, overwrite: bool) -> ElementTree.Element:
    """Return what a file already says besides a raster attribute table of the first band."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return ElementTree.Element("PAMDataset")
    except OSError as error:
        raise StoreError(f"the file cannot be read: {error.strerror}.", where=str(path)) from error
    if "<!DOCTYPE" in text:
        raise _foreign(path)
    try:
        root = ElementTree.parse(io.StringIO(text)).getroot()  # noqa: S314 - no entities: see above
    except ElementTree.ParseError:
        raise _foreign(path) from None
    for band in root.findall("PAMRasterBand"):
        for found in band.findall("GDALRasterAttributeTable"):
            if not overwrite:
                raise ConfigError(
                    "the labels have a raster attribute table.",
                    where=str(path),
                    mend="Ask for overwrite.",
                )
            band.remove(found)
    return root


def _foreign(path: Path) -> ConfigError:
    return ConfigError(
        "the file is not one of GDAL's.", where=str(path), mend="Move it out of the way."
    )


def _document(source: Any, kept: ElementTree.Element) -> Iterator[str]:
    """Yield the text of the file, piece by piece."""
    bands = {band.get("band"): band for band in kept.findall("PAMRasterBand")}
    first = bands.pop("1", ElementTree.Element("PAMRasterBand", band="1"))
    others = [each for each in kept if each is not first]
    yield "<PAMDataset>\n"
    yield from (ElementTree.tostring(each, "unicode") for each in others)
    yield '<PAMRasterBand band="1">\n'
    yield from (ElementTree.tostring(each, "unicode") for each in first)
    yield '<GDALRasterAttributeTable tableType="thematic">\n'
    fields = [field for field in source.schema_arrow if _is_number(field)]
    names = [field.name for field in fields if field.name not in ("id", "n_pixels")]
    value = _INTEGER if _largest_id(source) < 2**31 else _REAL  # GDAL's integers have 32 bits
    heads = [("Value", value, _MIN_MAX), ("Histogram", _REAL, _PIXEL_COUNT)]
    heads += [
        (name, _INTEGER, usage)
        for name, usage in zip(
            ("Red", "Green", "Blue", "Alpha"), (_RED, _GREEN, _BLUE, _ALPHA), strict=True
        )
    ]
    heads += [(name, _REAL, _GENERIC) for name in names]
    for index, (name, kind, usage) in enumerate(heads):
        yield (
            f'<FieldDefn index="{index}"><Name>{escape(name)}</Name><Type>{kind}</Type>'
            f"<Usage>{usage}</Usage></FieldDefn>\n"
        )
    row = 0
    for batch in source.iter_batches(columns=["id", "n_pixels", *names]):
        for text in _rows(batch, names):
            yield f'<Row index="{row}">{text}</Row>\n'
            row += 1
    yield "</GDALRasterAttributeTable>\n</PAMRasterBand>\n</PAMDataset>\n"


def _largest_id(source: Any) -> int:
    """Return the id of the last row; 0 if there is none."""
    if source.metadata.num_rows == 0:
        return 0
    last = source.read_row_group(source.metadata.num_row_groups - 1, columns=["id"])
    return int(last["id"][-1].as_py())


def _is_number(field: Any) -> bool:
    return bool(pyarrow.types.is_integer(field.type) or pyarrow.types.is_floating(field.type))


def _rows(batch: Any, names: list[str]) -> Iterator[str]:
    ids = batch.column("id").to_numpy(zero_copy_only=False)
    columns = [ids.tolist(), batch.column("n_pixels").to_pylist()]
    columns += [colour.tolist() for colour in colours_of(ids).T]
    columns.append([255] * len(ids))
    columns += [batch.column(name).to_pylist() for name in names]
    for values in zip(*columns, strict=True):
        yield "".join(f"<F>{'' if value is None else value!r}</F>" for value in values)
