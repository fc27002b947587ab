"""An HTTP proxy that fails now and then, as services and networks do.

It stands between a client and a service on loopback that it knows nothing of. Faults are drawn from
a seeded generator, and counted, so that a test can tell that there were some.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

FAULTS = ("error", "slow_down", "refused", "lost", "cut")
"""What can happen to a request:

``error``
    500 Internal Server Error, and the service does not get it.
``slow_down``
    503 Slow Down, as S3 asks to come slower, and the service does not get it.
``refused``
    The connection ends before the service gets it.
``lost``
    The service carries it out, and the connection ends before the answer.
``cut``
    The connection ends in the middle of the answer's body.
"""

_XML = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{}</Code><Message>{}</Message></Error>"
_OF_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "date", "server"}
_NO_BODY = (204, 304)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came in, and what was done to it.

    Parameters
    ----------
    method, path
        As sent; the path with its query.
    headers
        By lower-case name.
    fault
        One of `FAULTS`, or None.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    fault: str | None


class FaultyProxy:
    """Forward HTTP requests to a service, and fail at some of them.

    Parameters
    ----------
    upstream
        Address of the service, ``"http://127.0.0.1:PORT"``.
    share
        Share of the requests that fail, 0 to 1.
    faults
        What happens to them, each alike often.
    seed
        Of the generator. With several clients at once the order of requests is not repeated, but
        how many of them fail is about the same.

    Attributes
    ----------
    url
        What clients are given in place of the service's address.

    Examples
    --------
    >>> with FaultyProxy("http://127.0.0.1:9", share=0.2) as proxy:
    ...     proxy.url.startswith("http://127.0.0.1:"), proxy.seen(), proxy.counts()
    (True, [], Counter())

    Notes
    -----
    It is a process of its own, so that it answers a library that waits for a network without
    letting other threads of Python run, as GDAL's bindings do here and there.
    """

    def __init__(
        self,
        upstream: str,
        *,
        share: float = 0.15,
        faults: tuple[str, ...] = FAULTS,
        seed: int = 0,
    ) -> None:
        self.url = ""
        self._how = {"upstream": upstream, "share": share, "faults": faults, "seed": seed}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "swath.testing.faults", json.dumps(self._how)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self._ask(None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.communicate()  # the end of its input ends it

    def seen(self) -> list[Seen]:
        """Return the requests since the start, or since they were forgotten."""
        return [Seen(**each) for each in self._ask("seen")]

    def counts(self) -> Counter[str]:
        """Return how many of them met which fault; ``"none"`` for those that were let through."""
        return Counter(each.fault or "none" for each in self.seen())

    def forget(self) -> None:
        """Forget the requests that were seen."""
        self._ask("forget")

    def restart(self, *, share: float, faults: tuple[str, ...] = FAULTS, seed: int = 0) -> None:
        """Forget the requests that were seen, and fail as asked from now on."""
        self._ask({"share": share, "faults": faults, "seed": seed})

    def _ask(self, question: object) -> Any:
        """Send a line to the process, unless it is to say where it listens; return its answer."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if question is not None:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class _Faults:
    """Draws faults, and notes what came in."""

    def __init__(self, share: float, faults: Sequence[str], seed: int) -> None:
        self._lock = threading.Lock()
        self._start(share, faults, seed)

    def _start(self, share: float, faults: Sequence[str], seed: int) -> None:
        self._share = share
        self._faults = faults
        self._random = random.Random(seed)
        self._seen: list[dict[str, Any]] = []

    def draw(self, method: str, path: str, headers: Mapping[str, str]) -> str | None:
        """Note a request, and return the fault that it meets."""
        lower = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            fails = self._random.random() < self._share
            fault = self._random.choice(self._faults) if fails else None
            self._seen.append({"method": method, "path": path, "headers": lower, "fault": fault})
        return fault

    def answer(self, question: Any) -> Any:
        """Answer what `FaultyProxy` asks."""
        with self._lock:
            if question == "seen":
                return list(self._seen)
            if question == "forget":
                self._seen.clear()
            else:
                self._start(**question)
        return None


def _forward(
    upstream: str, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of the service's answer."""
    connection = HTTPConnection(upstream, timeout=60)
    try:
        # The host stays the client's: requests may be signed with it.
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if name.lower() not in _OF_ONE_HOP:
                connection.putheader(name, value)
        connection.putheader("Connection", "close")
        connection.endheaders(body)
        answer = connection.getresponse()
        kept = [item for item in answer.getheaders() if item[0].lower() not in _OF_ONE_HOP]
        return answer.status, kept, answer.read()
    finally:
        connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave clients that went away alone."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet
    disable_nagle_algorithm = True
    faults: _Faults
    upstream: str

    def handle_one_request(self) -> None:
        """Answer one request of any method."""
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        headers = dict(self.headers.items())
        fault = self.faults.draw(self.command, self.path, headers)
        body = self._body()
        if fault == "error":
            self._answer(500, [], _XML.format("InternalError", "Please try again.").encode())
        elif fault == "slow_down":
            self._answer(503, [], _XML.format("SlowDown", "Reduce your request rate.").encode())
        elif fault == "refused":
            self._hang_up()
        else:
            answer = _forward(self.upstream, self.command, self.path, headers, body)
            if fault == "lost":
                self._hang_up()
            else:
                self._answer(*answer, cut=fault == "cut")
        self.wfile.flush()

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while n_bytes := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(n_bytes)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD" and status not in _NO_BODY:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            body = b""
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._hang_up()

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True


def main() -> None:
    """Serve, and answer lines of JSON on stdin by such lines on stdout, until stdin ends."""
    how = json.loads(sys.argv[1])
    faults = _Faults(how["share"], how["faults"], how["seed"])
    parts = {"faults": faults, "upstream": urlsplit(how["upstream"]).netloc}
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), parts))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    sys.stdout.write(json.dumps(f"http://127.0.0.1:{server.server_port}") + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(faults.answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
