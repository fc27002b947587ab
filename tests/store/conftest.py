"""A web server on loopback whose answers a test chooses, and an S3 behind a faulty proxy."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import pytest

from swath.testing.faults import FaultyProxy
from swath.testing.s3 import MotoServer


class Web:
    """A web server: files by path, and answers that are no files."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, tuple[int, str]] = {}
        """Path to status and body; of ``"HEAD /a"`` for this method only."""
        self.always: tuple[int, str] | None = None
        """Status and body of whatever is asked for."""
        self.after: dict[str, Callable[[], object]] = {}
        """Path to what is done, once, before what is there is sent."""
        self.tells_version = True
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        handler = type("Handler", (_Handler,), {"web": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Web:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def requests(self, path: str) -> list[str]:
        """Return the methods of the requests for a path."""
        return [method for method, seen, _ in self.seen if unquote(seen).partition("?")[0] == path]


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.web.seen.append((self.command, self.path, dict(self.headers.items())))
        answers = self.web.answers
        answer = self.web.always or answers.get(f"{self.command} {path}") or answers.get(path)
        if answer:
            self._answer(answer[0], answer[1].encode())
        elif path in self.web.files:
            content = self.web.files[path]
            self.web.after.pop(path, lambda: None)()
            with suppress(BrokenPipeError, ConnectionResetError):  # who has seen enough goes away
                self._answer(200, content)
        else:
            self._answer(404, b"")

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):  # every method is answered alike
            return self.do_GET
        raise AttributeError(name)

    def _answer(self, status: int, body: bytes) -> None:
        tag = hashlib.sha1(body).hexdigest()
        if status == 200 and self.headers.get("If-Match", f'"{tag}"') != f'"{tag}"':
            status, body = 412, b""
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        total = len(body)
        if status == 200 and last:
            status, body = 206, body[int(first) : int(last) + 1]
        self.send_response_only(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.send_header("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT")
        if self.web.tells_version:
            self.send_header("ETag", f'"{tag}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def web() -> Iterator[Web]:
    """Return a web server."""
    with Web() as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores give up after a second of waiting."""
    monkeypatch.setenv("SWATH_STORE_PATIENCE_S", "1")


@pytest.fixture
def faulty_s3(
    moto_server: MotoServer, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[FaultyProxy, str]]]:
    """Return a function that puts a proxy before the S3, and returns it with a folder there."""
    proxies: list[FaultyProxy] = []

    def start(**options: Any) -> tuple[FaultyProxy, str]:
        proxy = FaultyProxy(moto_server.url, **options).__enter__()
        proxies.append(proxy)
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        return proxy, f"s3://{s3_bucket}/root"

    yield start
    for proxy in proxies:
        proxy.__exit__(None, None, None)
