"""An AWS service on loopback: what is known, validation, faults, records; not what it does.

A fake derives from `FakeService` and names a function for each operation that it knows. Routes,
shapes and protocol come from botocore's service model, so a client of boto3 needs nothing but the
endpoint. All functions of one fake are called under one lock, `changed`, which is also notified
when a job changes its state: tests wait for a state without polling.
"""

from __future__ import annotations

import atexit
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Self

from swath.testing.model import Json, ServiceModel
from swath.testing.protocol import Server, ServiceError


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
        self._server: Server | None = None

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
        self._server = Server(self.model, self.answer)
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
