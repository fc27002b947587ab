"""Text in files is UTF-8 everywhere, also where the machine's own encoding is another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "swath"
FILES = [
    *SOURCE.glob("cli/*.py"),
    *SOURCE.glob("evaluate/*.py"),
    *SOURCE.glob("learn/*.py"),
    *SOURCE.glob("learn/*/*.py"),
    *SOURCE.glob("store/*.py"),
]
POSITION = {"read_text": 0, "write_text": 1, "open": 2}
"""Of `encoding` among the arguments of a `Path`'s method; `open` of text names it by keyword."""


def _says_encoding(call: ast.Call, method: str) -> bool:
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return True
    if method == "open":
        return bool(call.args) and "b" in ast.unparse(call.args[0])
    return len(call.args) > POSITION[method]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_every_text_file_is_opened_as_utf8(file: Path) -> None:
    unsaid = [
        f"{file}:{node.lineno}"
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in POSITION
        and ast.unparse(node.func.value) not in ("os", "archive")  # these open no text
        and not _says_encoding(node, node.func.attr)
    ]
    assert unsaid == []
