"""CloudWatch Logs, as far as it serves what containers printed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swath.testing.model import Json
from swath.testing.paging import page
from swath.testing.protocol import ACCOUNT, REGION, ServiceError
from swath.testing.service import FakeService

LARGEST_ANSWER = 10_000
"""Events that one answer of GetLogEvents may hold."""


@dataclass(frozen=True)
class _Stream:
    path: Path
    created_ms: int


class LogBook:
    """The streams of log groups, each a file that one container prints to.

    Parameters
    ----------
    folder
        Where the files lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._streams: dict[tuple[str, str], _Stream] = {}

    def open(self, group: str, stream: str) -> Path:
        """Return the file for a new stream."""
        path = self._folder / "logs" / group.strip("/") / f"{stream}.txt"
        self._streams[group, stream] = _Stream(path, int(time.time() * 1000))
        return path

    def text(self, group: str, stream: str) -> str:
        """Return what was printed so far, nothing if there is no such stream yet."""
        found = self._streams.get((group, stream))
        if found is None or not found.path.exists():
            return ""
        return found.path.read_text(errors="replace")

    def streams(self, group: str) -> list[tuple[str, int]]:
        """Return name and time of creation, milliseconds since the epoch, of a group's streams."""
        return [
            (name, stream.created_ms)
            for (of, name), stream in list(self._streams.items())
            if of == group
        ]

    def created_ms(self, group: str, stream: str) -> int:
        """Return when a stream was opened, in milliseconds since the epoch."""
        return self._streams[group, stream].created_ms


class FakeLogs(FakeService):
    """CloudWatch Logs over the books of other fakes; endpoint ``AWS_ENDPOINT_URL_CLOUDWATCH_LOGS``.

    GetLogEvents and DescribeLogStreams. Each line is one event; all events of a stream bear the
    time at which its container started.

    Parameters
    ----------
    *books
        The `logs` of other fakes.
    """

    service = "logs"
    invalid = "InvalidParameterException"

    def __init__(self, *books: LogBook) -> None:
        super().__init__()
        self.handlers = {
            "GetLogEvents": self._get_events,
            "DescribeLogStreams": self._describe_streams,
        }
        self._books = books

    def _get_events(self, request: Json) -> Json:
        group, stream = _group(request), request["logStreamName"]
        book = self._find(lambda book: any(name == stream for name, _ in book.streams(group)))
        if book is None:
            raise ServiceError(
                "ResourceNotFoundException", "The specified log stream does not exist."
            )
        lines = book.text(group, stream).splitlines()
        start, end = _window(request, len(lines))
        time_ms = book.created_ms(group, stream)
        return {
            "events": [
                {"timestamp": time_ms, "ingestionTime": time_ms, "message": line}
                for line in lines[start:end]
            ],
            "nextForwardToken": f"f/{end}",
            "nextBackwardToken": f"b/{start}",
        }

    def _describe_streams(self, request: Json) -> Json:
        group = _group(request)
        prefix = request.get("logStreamNamePrefix", "")
        found = sorted(
            (name, created)
            for book in self._books
            for name, created in book.streams(group)
            if name.startswith(prefix)
        )
        if not found and self._find(lambda book: bool(book.streams(group))) is None:
            raise ServiceError(
                "ResourceNotFoundException", "The specified log group does not exist."
            )
        streams, token = page(
            found, request.get("nextToken"), request.get("limit", 50), invalid=self.invalid
        )
        answer: Json = {
            "logStreams": [
                {
                    "logStreamName": name,
                    "creationTime": created,
                    "firstEventTimestamp": created,
                    "arn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:{name}",
                }
                for name, created in streams
            ]
        }
        return answer if token is None else answer | {"nextToken": token}

    def _find(self, holds: Callable[[LogBook], bool]) -> LogBook | None:
        return next((book for book in self._books if holds(book)), None)


def _group(request: Json) -> str:
    name = request.get("logGroupName")
    if name is None:
        raise ServiceError("InvalidParameterException", "logGroupName must be given")
    return str(name)


def _window(request: Json, n_lines: int) -> tuple[int, int]:
    """Return which lines, half-open, a request is answered with.

    Without a token the last ones come, or the first if asked from the head. At the end of a stream
    the forward token stays the same, which is how a client knows that it has all.
    """
    limit = request.get("limit", LARGEST_ANSWER)
    token = request.get("nextToken")
    if token is None:
        start = 0 if request.get("startFromHead") else max(n_lines - limit, 0)
        return start, min(start + limit, n_lines)
    direction, _, number = token.partition("/")
    if direction not in {"f", "b"} or not number.isdecimal():
        raise ServiceError("InvalidParameterException", "The specified nextToken is invalid.")
    at = min(int(number), n_lines)
    return (at, min(at + limit, n_lines)) if direction == "f" else (max(at - limit, 0), at)
