"""Vector files as declared."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from swath.vector import VectorFile


def test_path_is_kept_as_text_and_survives_json() -> None:
    file = VectorFile(uri=Path("a/b.gpkg"), layer="roads")
    assert file.uri == "a/b.gpkg"
    assert VectorFile.from_json(file.to_json()) == file


def test_empty_path_is_refused() -> None:
    with pytest.raises(ValidationError, match="uri"):
        VectorFile(uri="")
