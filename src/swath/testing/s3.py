"""An S3 on loopback, by moto's server in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import IO, Self

from swath.errors import RunError
from swath.optional import require

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""What clients of the server are given; it takes any."""

_READY = re.compile(rb"Running on (http://127\.0\.0\.1:\d+)")
_START_S = 60


class MotoServer:
    """Moto's server: S3 and whatever else of AWS moto imitates, on a free port.

    Examples
    --------
    >>> with MotoServer() as server:
    ...     variables = server.environment(bucket="imagery")
    >>> sorted(variables)[:2]
    ['AWS_ACCESS_KEY_ID', 'AWS_DEFAULT_REGION']
    """

    def __init__(self) -> None:
        require("moto.server", extra="testing", purpose="for an S3 on this machine")
        self.url = ""
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + _START_S
        while not self.url:
            self._log.seek(0)
            said = self._log.read()
            if found := _READY.search(said):
                self.url = found[1].decode()
            elif self._process.poll() is not None or time.monotonic() > deadline:
                raise RunError(f"moto's server did not start: {said[-2000:].decode()}")
            else:
                time.sleep(0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._log.close()

    def client(self, service: str = "s3") -> object:
        """Return boto3's client of one of its services."""
        boto3 = require("boto3", extra="testing", purpose="for an S3 on this machine")
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def environment(self, bucket: str) -> dict[str, str]:
        """Make a bucket, and return the environment variables with which it is reached."""
        client = self.client()
        client.create_bucket(Bucket=bucket)  # type: ignore[attr-defined]
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url}
