"""An AWS service on loopback: HTTP, the protocol, validation, faults; not what it does.

A fake derives from `FakeService` and names a function for each operation that it knows. Routes,
shapes and protocol come from botocore's service model, so a client of boto3 needs nothing but the
endpoint. All functions of one fake are called under one lock, `changed`, which is also notified
when a job changes its state: tests wait for a state without polling.
"""

from __future__ import annotations

import atexit
import json
import random
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self

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


@dataclass(frozen=True)
class Request:
    """One request that a fake got, kept for assertions.

    Attributes
    ----------
    operation
        ``"SubmitJob"``.
    parameters
        As the client gave them.
    time
        Seconds since the epoch.
    error
        Code of the error that was answered, None if all went well.
    """

    service: str
    operation: str
    parameters: Json
    time: float
    error: str | None


@dataclass
class _Fault:
    """The next `n` calls of some operations fail, or each one with a chance."""

    error: ServiceError
    operations: frozenset[str]  # empty: all of them
    n: int | None = None
    share: float = 1.0
    random: random.Random = field(default_factory=random.Random)

    def strikes(self, operation: str) -> bool:
        if (self.operations and operation not in self.operations) or self.n == 0:
            return False
        if self.n is None:
            return self.random.random() < self.share
        self.n -= 1
        return True


Handler = Callable[[Json], Json]


class FakeService:
    """A service of AWS on a free port of loopback; a context manager.

    A fake sets `handlers`: for each operation that it knows, the function from parameters to
    answer.
    """

    service: ClassVar[str]
    """Name of the service model of botocore."""
    invalid: ClassVar[str] = "ValidationException"
    """Code of the error for parameters that the model does not allow."""
    throttling: ClassVar[tuple[str, int]] = ("ThrottlingException", 400)
    """Code and HTTP status by which the service asks a client to come slower."""

    def __init__(self) -> None:
        self.model = ServiceModel(self.service)
        self.changed = threading.Condition(threading.RLock())
        self.requests: list[Request] = []
        self.handlers: Mapping[str, Handler] = {}
        self._faults: list[_Fault] = []
        self._lost_answers: dict[str, int] = {}
        self._server: _Server | None = None

    # ------------------------------------------------------------ start and end

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Listen on a free port."""
        self._server = _Server(self)
        self._server.start()
        atexit.register(self.close)

    def close(self) -> None:
        """Stop listening and end the connections; what a fake runs ends with it."""
        if self._server is not None:
            self._server.end()
            self._server = None
            atexit.unregister(self.close)

    @property
    def endpoint(self) -> str:
        """URL for `endpoint_url` of boto3."""
        if self._server is None:
            raise RuntimeError(f"{type(self).__name__} is not started: use it in a `with`.")
        return f"http://127.0.0.1:{self._server.server_port}"

    # ------------------------------------------------------------ for tests

    def count(self, *operations: str) -> int:
        """Return how many requests came, of some operations or of all."""
        with self.changed:
            return sum(
                1 for item in self.requests if not operations or item.operation in operations
            )

    def received(self, operation: str) -> list[Json]:
        """Return the parameters of each request of an operation that was answered well."""
        with self.changed:
            return [
                item.parameters
                for item in self.requests
                if item.operation == operation and item.error is None
            ]

    def throttle_next(self, *operations: str, n: int = 1) -> None:
        """Let the next `n` calls of these operations, or of all, ask the client to come slower."""
        self.fail_next(*operations, n=n, error=self._throttled())

    def throttle_share(self, share: float, *operations: str, seed: int = 0) -> None:
        """Throttle a random share, 0 to 1, of the calls of these operations, or of all."""
        fault = _Fault(self._throttled(), frozenset(operations), None, share, random.Random(seed))
        with self.changed:
            self._faults.append(fault)

    def fail_next(self, *operations: str, n: int = 1, error: ServiceError) -> None:
        """Let the next `n` calls of these operations, or of all, be answered with an error."""
        with self.changed:
            self._faults.append(_Fault(error, frozenset(operations), n))

    def lose_answers(self, operation: str, n: int = 1) -> None:
        """Let the next `n` calls do their work, and then drop the connection unanswered."""
        with self.changed:
            self._lost_answers[operation] = self._lost_answers.get(operation, 0) + n

    def heal(self) -> None:
        """Forget all faults."""
        with self.changed:
            self._faults.clear()
            self._lost_answers.clear()

    def _throttled(self) -> ServiceError:
        code, status = self.throttling
        return ServiceError(code, "Rate exceeded", status)

    # ------------------------------------------------------------ requests

    def answer(self, operation: str, parameters: Json) -> Json | None:
        """Check and carry out one request; None if its answer is to get lost.

        Raises
        ------
        ServiceError
            Whatever is to be answered in place of a result.
        """
        with self.changed:
            error = None
            try:
                return self._answer(operation, parameters)
            except ServiceError as raised:
                error = raised.code
                raise
            finally:
                request = Request(self.service, operation, parameters, time.time(), error)
                self.requests.append(request)
                self.changed.notify_all()

    def _answer(self, operation: str, parameters: Json) -> Json | None:
        for fault in self._faults:
            if fault.strikes(operation):
                raise fault.error.with_traceback(None)
        handler = self.handlers.get(operation)
        if handler is None:
            raise ServiceError(
                "NotImplementedByFake",
                f"{type(self).__name__} does not know {operation}; it knows "
                f"{', '.join(sorted(self.handlers))}.",
                501,
            )
        problems = self.model.request_problems(operation, parameters)
        if problems:
            raise ServiceError(
                self.invalid,
                f"{len(problems)} validation error{'s' * (len(problems) > 1)} detected: "
                + "; ".join(problems),
            )
        answer = handler(parameters)
        problems = self.model.answer_problems(operation, answer)
        if problems:
            raise RuntimeError(f"{operation} answered what it may not: {'; '.join(problems)}")
        if self._lost_answers.get(operation, 0):
            self._lost_answers[operation] -= 1
            return None
        return answer


class _Server(ThreadingHTTPServer):
    """Threads for requests, and an end that leaves none of them behind."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fake: FakeService) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake
        rest = fake.model.metadata["protocol"].startswith("rest")
        self.routes: list[Route] = fake.model.routes() if rest else []
        self._connections: set[socket.socket] = set()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.05,), name=f"fake {fake.service}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client closed it first

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
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


class _Handler(BaseHTTPRequestHandler):
    """One connection: the protocols rest-json and json 1.1."""

    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, else Nagle's algorithm holds the body for 40 ms

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            operation, labels = self._operation()
            answer = self.server.fake.answer(operation, _parsed(body) | labels)
        except ServiceError as error:
            self._send(error.status, {"message": str(error)}, error.code)
            return
        if answer is None:
            self.close_connection = True
        else:
            self._send(200, answer)

    def _operation(self) -> tuple[str, dict[str, str]]:
        """Return which operation is called, and the parameters that are in its path."""
        service = self.server.fake.model
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
