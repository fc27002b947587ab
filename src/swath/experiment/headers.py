"""Headers of images, remembered below the root, so that a second plan opens no image.

A header is kept with the identity of its file and asked for again when that has changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from swath.errors import DataError, NotFoundError, StoreError
from swath.plan.identity import source_identities
from swath.raster.header import Header, headers_in_child
from swath.raster.spec import split_header_key
from swath.store import join, normalise, open_store

FILE = "headers.json"


def known_headers(root: str, keys: Iterable[str]) -> dict[str, Header | DataError]:
    """Return a header, or the error that says why there is none, for each key.

    Parameters
    ----------
    root
        URI under which headers are remembered.
    keys
        See `swath.raster.header.headers_in_child`.
    """
    store, uri = open_store(root), join(root, FILE)
    try:
        remembered: Mapping[str, Any] = json.loads(store.read(uri))
    except (NotFoundError, ValueError):
        remembered = {}
    if not isinstance(remembered, dict):
        remembered = {}  # damaged: it is a memory, no more
    found: dict[str, Header | DataError] = {}
    files = {key: normalise(split_header_key(key)[0]) for key in keys}
    sources = source_identities(files.values())
    identities = {key: sources[file] for key, file in files.items()}
    for key, identity in identities.items():
        entry = remembered.get(key)
        if entry is not None and entry["identity"] == identity != "name":
            found[key] = Header.from_json(entry["header"])
    missing = [key for key in identities if key not in found]
    if missing:
        found |= headers_in_child(missing)
        new = {
            key: {"identity": identities[key], "header": header.to_json()}
            for key in missing
            if isinstance(header := found[key], Header)
        }
        if new:
            _remember(root, {**remembered, **new})
    return found


def _remember(root: str, entries: Mapping[str, Any]) -> None:
    try:
        open_store(root).write(join(root, FILE), json.dumps(entries).encode())
    except StoreError:
        return  # a root that cannot be written to is refused with a better message later
