"""Google's and Azure's stores on loopback, as far as the suite of stores asks them.

Google's XML interface is that of S3 under other names of headers, so a server translates these and
passes requests on to an S3. Azure's is its own, and a dictionary answers it. Neither checks who
asks.
"""

from __future__ import annotations

import base64
import email.utils
import re
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Reply = tuple[int, dict[str, str], bytes]
Answer = Callable[[str, str, Mapping[str, str], bytes], Reply]
"""From method, path with query, headers by lower-case name, and body."""


class CloudServer:
    """An HTTP server on loopback that answers by a function.

    Attributes
    ----------
    url
        Its address.
    environment
        Variables with which clients find it.
    """

    def __init__(self, answer: Answer, environment: Callable[[str], dict[str, str]]) -> None:
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.environment = environment(self.url)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet
    answer: Answer

    def _reply(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        status, told, data = self.answer(self.command, self.path, headers, body)
        self.send_response_only(status)
        for name, value in told.items():
            self.send_header(name, value)
        if "Content-Length" not in told:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def __getattr__(self, name: str) -> Callable[[], None]:
        if name.startswith("do_"):
            return self._reply
        raise AttributeError(name)


def google_before(s3_url: str) -> CloudServer:
    """Return a server that speaks as Google does and has an S3 do the work.

    Parameters
    ----------
    s3_url
        Address of the S3, which has the bucket and takes requests without a signature.
    """
    upstream = urlsplit(s3_url).netloc

    def answer(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        sent = {}
        for name, value in headers.items():
            if name == "x-goog-if-generation-match" and value == "0":
                sent["if-none-match"] = "*"
            elif name not in ("host", "content-length"):
                sent[name.replace("x-goog-", "x-amz-")] = value
        connection = HTTPConnection(upstream)
        try:  # moto takes a bucket's name as it is written, and Google's clients write %2D for -
            connection.request(method, path.replace("%2D", "-"), body, sent)
            found = connection.getresponse()
            told = {name.replace("x-amz-", "x-goog-"): value for name, value in found.getheaders()}
            data = found.read()
        finally:
            connection.close()
        dropped = ("Transfer-Encoding", "Connection", "Date", "Server")
        return found.status, {n: v for n, v in told.items() if n not in dropped}, data

    return CloudServer(answer, lambda url: {"GOOGLE_BASE_URL": url, "GOOGLE_BEARER_TOKEN": "any"})


def azure() -> CloudServer:
    """Return a server with a container of blobs, whatever it is called."""
    key = base64.b64encode(b"any").decode()
    account = {"AZURE_STORAGE_ACCOUNT_NAME": "account", "AZURE_STORAGE_ACCOUNT_KEY": key}
    return CloudServer(_Blobs().answer, lambda url: {"AZURE_ENDPOINT": url, **account})


class _Blobs:
    """One container of blobs."""

    def __init__(self) -> None:
        self._blobs: dict[str, tuple[bytes, dict[str, str]]] = {}
        self._blocks: dict[tuple[str, str], bytes] = {}
        self._serial = 0
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        parts = urlsplit(path)
        name = unquote(parts.path).partition("/")[2].partition("/")[2]
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        with self._lock:
            if query.get("comp") == "list":
                return self._list(query.get("prefix", ""), query.get("delimiter"))
            if query.get("comp") == "batch":
                return self._batch(body.decode())
            if method == "PUT":
                return self._put(name, query, headers, body)
            if name not in self._blobs:
                return 404, {}, b"<Error><Code>BlobNotFound</Code></Error>"
            if method == "DELETE":
                del self._blobs[name]
                return 202, {}, b""
            return self._get(name, headers)

    def _put(
        self, name: str, query: Mapping[str, str], headers: Mapping[str, str], body: bytes
    ) -> Reply:
        if query.get("comp") == "block":
            self._blocks[name, query["blockid"]] = body
            return 201, {}, b""
        if query.get("comp") == "blocklist":
            ids = re.findall(r"<\w+>([^<]+)</\w+>", body.decode())
            body = b"".join(self._blocks.pop((name, each)) for each in ids)
        elif "x-ms-copy-source" in headers:
            source = unquote(urlsplit(headers["x-ms-copy-source"]).path).split("/", 2)[2]
            if source not in self._blobs:
                return 404, {}, b"<Error><Code>BlobNotFound</Code></Error>"
            body = self._blobs[source][0]
        elif headers.get("if-none-match") == "*" and name in self._blobs:
            return 409, {}, b"<Error><Code>BlobAlreadyExists</Code></Error>"
        self._serial += 1
        told = {key: value for key, value in headers.items() if key.startswith("x-ms-meta-")}
        told["ETag"] = f'"0x{self._serial:X}"'
        told["Last-Modified"] = email.utils.formatdate(usegmt=True)
        self._blobs[name] = body, told
        return (202 if "x-ms-copy-source" in headers else 201), told, b""

    def _get(self, name: str, headers: Mapping[str, str]) -> Reply:
        data, told = self._blobs[name]
        if headers.get("if-match", told["ETag"]) != told["ETag"]:
            return 412, {}, b""
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        if asked is None:
            return 200, told | {"Content-Length": str(len(data))}, data
        first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
        part = data[first : last + 1]
        return 206, told | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, part

    def _list(self, prefix: str, delimiter: str | None) -> Reply:
        rows: dict[str, str] = {}
        for name, (data, told) in sorted(self._blobs.items()):
            if not name.startswith(prefix):
                continue
            below = name.removeprefix(prefix)
            if delimiter and delimiter in below:
                folder = escape(prefix + below.partition(delimiter)[0] + delimiter)
                rows[folder] = f"<BlobPrefix><Name>{folder}</Name></BlobPrefix>"
                continue
            rows[name] = (
                f"<Blob><Name>{escape(name)}</Name><Properties>"
                f"<Last-Modified>{told['Last-Modified']}</Last-Modified>"
                f"<Etag>{told['ETag'].strip(chr(34))}</Etag>"
                f"<Content-Length>{len(data)}</Content-Length><Content-Type>a/b</Content-Type>"
                "</Properties></Blob>"
            )
        text = f"<EnumerationResults><Blobs>{''.join(rows.values())}</Blobs><NextMarker/>"
        return 200, {"Content-Type": "application/xml"}, f"{text}</EnumerationResults>".encode()

    def _batch(self, text: str) -> Reply:
        rows = []
        for index, path in enumerate(re.findall(r"DELETE (\S+) HTTP", text)):
            name = unquote(urlsplit(path).path).partition("/")[2].partition("/")[2]
            code = "404 Not Found" if self._blobs.pop(name, None) is None else "202 Accepted"
            rows.append(
                f"--answers\r\nContent-Type: application/http\r\nContent-ID: {index}\r\n\r\n"
                f"HTTP/1.1 {code}\r\nx-ms-request-id: {index}\r\n\r\n\r\n"
            )
        body = "".join(rows) + "--answers--\r\n"
        return 202, {"Content-Type": "multipart/mixed; boundary=answers"}, body.encode()
