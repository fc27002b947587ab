"""Records: the lines of JSON that say which units are done.

Splits write records in parts: whole small files, put at once, never appended to. A unit without a
record is not done, whatever lies in its folder. Parts of killed splits stay valid, and parts of two
runs in one root live beside each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from swath.errors import StoreError
from swath.store import Store, join

FOLDER = "records"
SIDECAR = ".swath.json"
"""Suffix of the file beside a pinned output that names the fingerprint that it was made for."""


@dataclass(frozen=True, slots=True)
class Record:
    """One finished unit.

    Attributes
    ----------
    fingerprint
        Of the unit.
    unit
        Its name.
    outputs
        Output name to (URI, size in bytes).
    started
        Seconds since 1970, UTC.
    seconds
        Wall time.
    peak_memory_bytes
        Largest resident memory of the process so far.
    host
        Name of the machine.
    run
        Id of the run that did it.
    note
        Free text: where outputs were taken over from, for example.
    redone
        True if it was run though it was done. What was made from the result before has to be made
        again, even by a later run, if this one is killed in between.
    """

    fingerprint: str
    unit: str
    outputs: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    started: float = 0.0
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    host: str = ""
    run: str = ""
    note: str = ""
    redone: bool = False

    def to_line(self) -> str:
        """Return the record as one line of JSON, without the line end."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Read the JSON of `to_line`; unknown fields of later versions are passed over."""
        outputs = {name: (uri, size) for name, (uri, size) in data["outputs"].items()}
        return cls(**{name: data[name] for name in _FIELDS & data.keys()} | {"outputs": outputs})


_FIELDS = frozenset(Record.__dataclass_fields__)


def sidecar(fingerprint: str, unit: str) -> bytes:
    """Return the content of the file beside a pinned output."""
    return json.dumps({"fingerprint": fingerprint, "unit": unit}).encode()


def command_folder(root: str, kind: str, params_key: str) -> str:
    """Return the folder that holds the outputs and records of a command."""
    return join(root, kind, params_key)


def part_uri(folder: str, writer: str, number: int) -> str:
    """Return the URI of one part; `writer` is unique for the run and split."""
    return join(folder, FOLDER, f"{writer}.{number:05d}.jsonl")


def write_part(
    store: Store, folder: str, writer: str, number: int, records: Iterable[Record]
) -> None:
    """Put one part of records, at once."""
    text = "".join(record.to_line() + "\n" for record in records)
    store.write(part_uri(folder, writer, number), text.encode())


def read_all(store: Store, folder: str) -> dict[str, Record]:
    """Read every part in the folder of a command."""
    place = join(folder, FOLDER)
    # Not what lies deeper: a unit may be named records/x.
    names = (path for path, _ in store.list(place) if "/" not in path and path.endswith(".jsonl"))
    return read_parts(store, (join(place, name) for name in sorted(names)))


def read_parts(store: Store, uris: Iterable[str]) -> dict[str, Record]:
    """Read parts; the latest record of a fingerprint wins.

    Raises
    ------
    StoreError
        For a part that is not what we write, with its name.
    """
    found: dict[str, Record] = {}
    for uri in uris:
        try:
            # All lines as one list: the parser is called once for each part, not for each line.
            items = json.loads(b"[" + b",".join(store.read(uri).splitlines()) + b"]")
            records = [Record.from_json(item) for item in items]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(
                f"it is no part of records: {error}.",
                where=uri,
                mend="Delete it; the units that it told of are done again.",
            ) from error
        for record in records:
            other = found.get(record.fingerprint)
            if other is None or other.started <= record.started:
                found[record.fingerprint] = record
    return found
