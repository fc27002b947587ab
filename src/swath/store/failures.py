"""What an error of the store's library means, as one of ours.

The one place where foreign errors of object stores are read. The library tells most of them apart
by class, the rest by the status and the code that the service answered; only the text has these.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from swath.errors import ForbiddenError, NotFoundError, StoreError, ThrottledError
from swath.optional import require

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_URL_SECRETS = re.compile(r"(?<=://)[^/@\s]+@|\?[^\s\"<>)]+")
_DETAIL = "\n\nDebug source"

_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_SLOWER = ("SlowDown", "TooManyRequests", "RequestLimitExceeded", "ServerBusy", "Throttling")
_NO_LOGIN = (
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    # machines of clouds are asked for credentials there, and nobody answers elsewhere
    "169.254.",
    "metadata.google.internal",
    "token request",
    "credentials",
)
_WRONG_REGION = ("PermanentRedirect", "redirect without LOCATION", "AuthorizationHeaderMalformed")
_PASSING = (
    # of the network
    "error sending request",
    "HTTP error",
    "error decoding response body",
    "error reading a body",
    "connection",
    "timed out",
    # an answer that was cut off
    "list response",
    "bulk delete response",
    # of the service, which asks to send it again
    "ConditionalRequestConflict",
    "OperationAborted",
    "RequestTimeout",
    "IncompleteBody",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "NoSuchUpload",
)


class Failure(NamedTuple):
    """What went wrong, and whether it may go right the next time.

    Attributes
    ----------
    error
        To raise.
    passing
        Whether to try again.
    """

    error: StoreError
    passing: bool


class BrokenTransferError(StoreError):
    """Not all bytes arrived, or not those that were sent; trying again may help."""


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return the errors that `failure` understands."""
    library = require("obstore.exceptions", extra="cloud", purpose="for stores that are not local")
    return library.BaseError, FileNotFoundError, StoreError


def shown(uri: str) -> str:
    """Return a URI without what may be secret: a password, or the signature in a query."""
    if "?" not in uri and "@" not in uri:
        return uri
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return uri
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "...", "")) if parts.query else uri


def failure(error: Exception, uri: str) -> Failure:
    """Tell what an error that the library raised for `uri` means.

    Parameters
    ----------
    error
        One of `foreign_errors()`; obstore reports what is missing by the built-in error.
    uri
        The object or folder, with its scheme.
    """
    if isinstance(error, StoreError):
        return Failure(error, isinstance(error, BrokenTransferError))
    text = str(error).partition(_DETAIL)[0]
    reason = _URL_SECRETS.sub("", " ".join(text.split()))
    name = shown(uri)
    found = _STATUS.search(text)
    status = int(found[1]) if found else None
    kind = type(error).__name__

    def says(words: tuple[str, ...]) -> bool:
        return any(word in text for word in words)

    if says(("NoSuchUpload",)):
        return Failure(StoreError(f"the upload of {name} was lost ({reason})."), passing=True)
    if kind == "PreconditionError":  # parts are asked for by the ETag of the first answer
        return Failure(BrokenTransferError(f"{name} changed while it was read."), passing=True)
    if status == 404 or isinstance(error, FileNotFoundError):
        return Failure(_missing(name, bucket=says(_NO_BUCKET)), passing=False)
    if status == 429 or (status == 503 and not says(("InternalError",))) or says(_SLOWER):
        return Failure(_throttled(name, text), passing=True)
    if says(_NO_LOGIN):
        return Failure(_not_logged_in(name, reason), passing=False)
    denied = kind in ("PermissionDeniedError", "UnauthenticatedError") or status in (401, 403)
    if denied or says(("AccessDenied",)):
        return Failure(_forbidden(name, text), passing=False)
    if says(_WRONG_REGION):
        return Failure(
            StoreError(
                f"{name} is in another region ({reason}).",
                mend="Set AWS_REGION, or the setting aws.region, to the bucket's region.",
            ),
            passing=False,
        )
    passing = status is not None and (status >= 500 or status == 408)
    mend = "Check the network and the endpoint." if status is None else None
    return Failure(
        StoreError(f"{name} could not be used: {reason}.", mend=mend), passing or says(_PASSING)
    )


def _missing(name: str, *, bucket: bool) -> NotFoundError:
    if bucket:
        return NotFoundError(
            f"there is no {name}: its bucket does not exist.",
            mend="Correct the name of the bucket, or make it.",
        )
    return NotFoundError(f"there is no {name}.", mend="Check the URI.")


def _forbidden(name: str, text: str) -> ForbiddenError:
    found = _CODE.search(text)
    said = f" ({found[1]})" if found else ""
    return ForbiddenError(
        f"{name} may not be used: access is denied{said}.",
        mend="Give credentials that may use it. Where a bucket may not be listed, S3 says this of "
        "an object that does not exist, too.",
    )


def _not_logged_in(name: str, reason: str) -> ForbiddenError:
    return ForbiddenError(
        f"{name} may not be used: no valid credentials were found ({reason}).",
        mend='Log in again, or set store.anonymous = "yes" for data that is public.',
    )


def _throttled(name: str, text: str) -> ThrottledError:
    found = _CODE.search(text)
    return ThrottledError(
        f"the service of {name} asks to come slower ({found[1] if found else 'busy'}).",
        mend="Use fewer splits at once, or set store.patience_s higher.",
    )
