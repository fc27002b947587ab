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
_METADATA_SERVICE = re.compile(r"://(169\.254\.|metadata\.google)|token request")
_URL_SECRETS = re.compile(r"(?<=://)[^/@\s]+@|\?[^\s\"<>)]+")
_DETAIL = "\n\nDebug source"

_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
_SLOWER = {"SlowDown", "TooManyRequests", "RequestLimitExceeded", "ServerBusy", "Throttling"}
_NO_LOGIN = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
_DENIED = {"AccessDenied", "AllAccessDisabled"}
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed"}
_PASSING = {
    "ConditionalRequestConflict",
    "OperationAborted",
    "RequestTimeout",
    "IncompleteBody",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "NoSuchUpload",
}
_OF_THE_NETWORK = (
    "error sending request",
    "HTTP error",
    "error decoding response body",
    "error reading a body",
    "connection",
    "timed out",
    "list response",  # that was cut off
    "bulk delete response",
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


class ChangedError(StoreError):
    """An object is no longer the version that was asked for; only to begin anew helps."""


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
    return urlunsplit((parts.scheme, host, parts.path, "..." if parts.query else "", ""))


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
    # Not the words of the whole text: it names the object, which may be called anything.
    status = int(found[1]) if (found := _STATUS.search(text)) else None
    code = found[1] if (found := _CODE.search(text)) else ""
    reason = _URL_SECRETS.sub("", " ".join(text.split()))
    name, kind = shown(uri), type(error).__name__
    no_key = kind == "UnauthenticatedError" and status is None  # whoever gives them failed
    if no_key or _METADATA_SERVICE.search(text) or code in _NO_LOGIN:
        return Failure(_not_logged_in(name, reason), passing=False)
    if code in _PASSING:
        return Failure(StoreError(f"{name} could not be used: {reason}."), passing=True)
    if kind == "PreconditionError":
        return Failure(ChangedError(f"{name} changed while it was read."), passing=False)
    if status == 404 or isinstance(error, FileNotFoundError):
        return Failure(_missing(name, bucket=code in _NO_BUCKET), passing=False)
    if status == 429 or (status == 503 and code in ("", "ServiceUnavailable")) or code in _SLOWER:
        return Failure(_throttled(name, code), passing=True)
    if kind in ("PermissionDeniedError", "UnauthenticatedError") or code in _DENIED:
        return Failure(_forbidden(name, code), passing=False)
    if status in (401, 403, 405):
        return Failure(_forbidden(name, code), passing=False)
    if code in _WRONG_REGION or "redirect without LOCATION" in text:
        return Failure(_elsewhere(name, reason), passing=False)
    if status is not None:
        passing = status >= 500 or status == 408
        return Failure(StoreError(f"{name} could not be used: {reason}."), passing)
    told = StoreError(
        f"{name} could not be used: {reason}.", mend="Check the network and the endpoint."
    )
    tail = text.rpartition(" - ")[2]
    return Failure(told, any(words in tail for words in _OF_THE_NETWORK))


def _missing(name: str, *, bucket: bool) -> NotFoundError:
    if bucket:
        return NotFoundError(
            f"there is no {name}: its bucket does not exist.",
            mend="Correct the name of the bucket, or make it.",
        )
    return NotFoundError(f"there is no {name}.", mend="Check the URI.")


def _forbidden(name: str, code: str) -> ForbiddenError:
    return ForbiddenError(
        f"{name} may not be used: access is denied ({code or 'without a reason'}).",
        mend="Give credentials that may use it. Where a bucket may not be listed, S3 says this of "
        "an object that does not exist, too.",
    )


def _not_logged_in(name: str, reason: str) -> ForbiddenError:
    return ForbiddenError(
        f"{name} may not be used: no valid credentials were found ({reason}).",
        mend='Log in again, or set store.anonymous = "yes" for data that is public.',
    )


def _throttled(name: str, code: str) -> ThrottledError:
    return ThrottledError(
        f"the service of {name} asks to come slower ({code or 'busy'}).",
        mend="Use fewer splits at once, or set store.patience_s higher.",
    )


def _elsewhere(name: str, reason: str) -> StoreError:
    return StoreError(
        f"{name} is in another region ({reason}).",
        mend="Set AWS_REGION, or the setting aws.region, to the bucket's region.",
    )
