"""The protocols of AWS over HTTP, rest-json and json 1.1: a server on loopback, and its errors."""

from __future__ import annotations

import json
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Collection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from swath.testing.model import Json, Route, ServiceModel

REGION = "us-east-1"
ACCOUNT = "123456789012"


class ServiceError(Exception):
    """An error that a service answers; botocore raises it under its code.

    Parameters
    ----------
    code
        ``"ClientException"``, ``"ThrottlingException"`` and so on.
    message
        What boto3 shows.
    status
        Of HTTP. botocore tries again by itself after 429, 500, 502, 503, 504 and some codes.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def refuse_beyond(known: Collection[str], given: Json, where: str) -> None:
    """Refuse members that AWS knows and the fake would otherwise silently ignore.

    Raises
    ------
    ServiceError
        If `given` has members that are not `known`.
    """
    beyond = sorted(given.keys() - set(known))
    if beyond:
        raise ServiceError(
            "NotImplementedByFake", f"The fake does not know {', '.join(beyond)} of {where}.", 501
        )


class Server(ThreadingHTTPServer):
    """Listens on a free port of loopback; threads for connections, and an end without leftovers.

    Parameters
    ----------
    model
        Of the service.
    answer
        Carries out an operation with its parameters; None if the answer is to get lost.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: ServiceModel, answer: Callable[[str, Json], Json | None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.model = model
        self.answer = answer
        rest = model.metadata["protocol"].startswith("rest")
        self.routes: list[Route] = model.routes() if rest else []
        self._connections: set[socket.socket] = set()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name=f"fake {model.name}", daemon=True
        )

    def start(self) -> None:
        """Answer requests, in threads of their own."""
        self._thread.start()

    def end(self) -> None:
        """Listen no more, and end all connections."""
        self.shutdown()
        self.server_close()
        self._thread.join()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client closed it first

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection, and keep it to end it."""
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """End a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print the traceback of an error of ours; a client may go when it likes."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _parsed(body: bytes) -> Json:
    try:
        parameters = json.loads(body or b"{}")
    except ValueError as error:
        raise ServiceError("SerializationException", f"no JSON: {error}") from None
    if not isinstance(parameters, dict):
        raise ServiceError("SerializationException", "parameters are no JSON object")
    return parameters


class Handler(BaseHTTPRequestHandler):
    """One connection: the protocols rest-json and json 1.1."""

    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, else Nagle's algorithm holds the body for 40 ms

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            operation, labels = self._operation()
            answer = self.server.answer(operation, _parsed(body) | labels)
        except ServiceError as error:
            self._send(error.status, {"message": str(error)}, error.code)
            return
        if answer is None:
            self.close_connection = True
        else:
            self._send(200, answer)

    def _operation(self) -> tuple[str, dict[str, str]]:
        """Return which operation is called, and the parameters that are in its path."""
        service = self.server.model
        path = self.path.partition("?")[0]
        if self.server.routes:
            for route in self.server.routes:
                found = route.path.fullmatch(path)
                if found and route.method == self.command:
                    return route.operation, found.groupdict()
        else:
            target = self.headers.get("X-Amz-Target", "")
            prefix, _, operation = target.rpartition(".")
            if prefix == service.metadata["targetPrefix"] and operation in service.operations:
                return operation, {}
        raise ServiceError(
            "UnknownOperationException", f"{service.name} has no {self.command} {path}", 404
        )

    def _send(self, status: int, body: Json, code: str | None = None) -> None:
        if code is not None:  # where the two protocols look for it
            body = {"__type": code, **body}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        if code is not None:
            self.send_header("x-amzn-ErrorType", code)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - names of http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep quiet: requests are kept, and errors go to the client."""
