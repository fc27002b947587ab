"""What a request to AWS may look like, read from botocore's service model.

botocore itself checks types, required members and minima, and leaves the rest to the service. Here
the rest is checked too: enums, maxima, patterns, members that do not exist. Limits that stand only
in AWS's documentation are not in the model; each fake adds its own.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from swath.optional import require

Json = dict[str, Any]
"""One object of JSON: a request, an answer, or a part of one."""


@dataclass(frozen=True)
class Route:
    """Where an operation of a REST service is reached."""

    method: str
    path: re.Pattern[str]
    operation: str


class ServiceModel:
    """Operations and shapes of one AWS service.

    Parameters
    ----------
    name
        As botocore has it: ``"batch"``, ``"ecs"``, ``"sagemaker"``, ``"logs"``.

    Raises
    ------
    MissingExtraError
        If botocore is not installed.
    """

    def __init__(self, name: str) -> None:
        model = _load(name)
        self.name = name
        self.metadata: Json = model["metadata"]
        self.operations: dict[str, Json] = model["operations"]
        self._shapes: dict[str, Json] = model["shapes"]

    def routes(self) -> list[Route]:
        """Return the routes of a REST service; labels of a path are named groups."""
        return [
            Route(item["http"]["method"], _path_pattern(item["http"]["requestUri"]), name)
            for name, item in self.operations.items()
        ]

    def request_problems(self, operation: str, request: object) -> list[str]:
        """Return what is wrong with the parameters of an operation, in the words of AWS."""
        shape = self.operations[operation].get("input")
        if shape is None:
            return [] if request == {} else ["The operation takes no parameters"]
        return self.problems(shape["shape"], request)

    def problems(self, shape: str, value: object) -> list[str]:
        """Return what is wrong with a value of a shape, an empty list if nothing is."""
        return list(self._check(shape, value, ""))

    def answer_problems(self, operation: str, answer: object) -> list[str]:
        """Return what is wrong with an answer; members that AWS calls required may be missing."""
        shape = self.operations[operation].get("output")
        if shape is None:
            return [] if answer == {} else ["The operation answers nothing"]
        return [
            problem
            for problem in self.problems(shape["shape"], answer)
            if not problem.endswith(_MISSING)
        ]

    def _check(self, name: str, value: object, path: str) -> Iterator[str]:
        shape = self._shapes[name]
        kind = shape["type"]
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            yield f"Value at '{path}' must be of type {kind}, not {type(value).__name__}"
        elif isinstance(value, dict):
            if kind == "structure":
                yield from self._check_structure(shape, value, path)
            else:
                yield from _check_size(shape, len(value), path, value, "entries")
                for key, item in value.items():
                    yield from self._check(shape["key"]["shape"], key, f"{path}.key")
                    yield from self._check(shape["value"]["shape"], item, f"{path}.{key}")
        elif isinstance(value, list):
            yield from _check_size(shape, len(value), path, value, "members")
            for index, item in enumerate(value):
                yield from self._check(shape["member"]["shape"], item, f"{path}[{index}]")
        elif isinstance(value, str):
            yield from _check_text(shape, value, path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _check_size(shape, value, path, value, None)

    def _check_structure(self, shape: Json, value: Json, path: str) -> Iterator[str]:
        if shape.get("document"):
            return
        prefix = f"{path}." if path else ""
        members: Json = shape.get("members", {})
        for name in shape.get("required", ()):
            if value.get(name) is None:
                yield f"Value null at '{prefix}{name}' {_MISSING}"
        if shape.get("union") and len(value) != 1:
            yield f"Value at '{path}' must have exactly one of {', '.join(members)}"
        for name, item in value.items():
            if name not in members:
                yield f"Unknown member '{name}' at '{path or 'the request'}'"
            elif item is not None:
                yield from self._check(members[name]["shape"], item, prefix + name)


@cache
def _load(name: str) -> Json:
    loaders = require("botocore.loaders", extra="testing", purpose="for the fakes of AWS")
    model: Json = loaders.Loader().load_service_model(name, "service-2")
    return model


_MISSING = "failed to satisfy constraint: Member must not be null"

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "blob": str,
    "character": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float, str),
}


def _check_text(shape: Json, value: str, path: str) -> Iterator[str]:
    enum = shape.get("enum")
    if enum is not None and value not in enum:
        yield _failed(value, path, f"satisfy enum value set: [{', '.join(enum)}]")
    yield from _check_size(shape, len(value), path, value, "characters")
    pattern = shape.get("pattern")
    if pattern is not None and not compiled(pattern).fullmatch(value):
        yield _failed(value, path, f"satisfy regular expression pattern: {pattern}")


def _check_size(
    shape: Json, size: float, path: str, value: object, counted: str | None
) -> Iterator[str]:
    what = f"have {counted}" if counted else "have value"
    if "min" in shape and size < shape["min"]:
        yield _failed(value, path, f"{what} greater than or equal to {shape['min']}")
    if "max" in shape and size > shape["max"]:
        yield _failed(value, path, f"{what} less than or equal to {shape['max']}")


def _failed(value: object, path: str, constraint: str) -> str:
    told = repr(value)
    told = told if len(told) <= 200 else f"{told[:200]}..."
    return f"Value {told} at '{path}' failed to satisfy constraint: Member must {constraint}"


def _path_pattern(uri: str) -> re.Pattern[str]:
    """Return the pattern of a path template such as ``/v1/tags/{resourceArn}``."""
    parts = re.split(r"\{(\w+)\+?\}", uri.partition("?")[0])
    text = "".join(
        f"(?P<{part}>.+)" if index % 2 else re.escape(part) for index, part in enumerate(parts)
    )
    return re.compile(text)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    r"""Return a pattern of the model, written for Java, for `re`.

    ``\p{L}`` and the like, which `re` does not know, become the ranges of that Unicode category.
    """
    text = pattern.replace(r"\p{Alnum}", "a-zA-Z0-9")
    text = text.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010ffff")  # surrogates
    return re.compile(re.sub(r"\\p\{(\w)\}", lambda found: _ranges(found[1]), text), re.ASCII)


@cache
def _ranges(category: str) -> str:
    """Return the code points of a Unicode category as the inside of a character class."""
    text = []
    first = None
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and unicodedata.category(chr(code))[0] == category
        if inside and first is None:
            first = code
        elif not inside and first is not None:
            text.append(f"\\U{first:08x}-\\U{code - 1:08x}")
            first = None
    return "".join(text)
