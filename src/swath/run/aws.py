"""What the runners on AWS share: clients, the errors of AWS in our words, tags, what is checked.

Not for object stores, see `swath.store`. boto3 is loaded when the first client is made.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import swath
from swath.errors import (
    ConfigError,
    ForbiddenError,
    RunError,
    SwathError,
    ThrottledError,
    UnansweredError,
)
from swath.optional import require
from swath.run.runner import Finding, Severity
from swath.settings import Settings

ATTEMPTS = 12
"""Tries of one request that is throttled or lost; with the pauses between, some two minutes."""

LONGEST_PAUSE_S = 20.0
"""Longest pause between two of them, in seconds."""

_THROTTLED = re.compile("Throttl|TooManyRequests|RequestLimitExceeded|SlowDown")
_FORBIDDEN = re.compile("AccessDenied|Unauthorized|Forbidden|NotAuthorized")
_CREDENTIALS = re.compile("ExpiredToken|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNot")
_VERSION_IN_TAG = re.compile(r"[^@]*:v?(\d+\.\d+(?:\.\w+)*)(?:-[\w.-]*)?")
_making = threading.Lock()
"""Sessions of boto3 are not safe in several threads, their clients are."""


def _region(settings: Settings) -> str | None:
    """Return the region that somebody set; boto3 itself does not look at AWS_REGION."""
    chosen = settings["aws.region"] or os.environ.get("AWS_REGION")
    return None if chosen is None else str(chosen)


def client(service: str, settings: Settings, *, attempts: int = ATTEMPTS) -> Any:
    """Return a client of one service of AWS.

    Parameters
    ----------
    service
        As boto3 names it.
    settings
        Say region and profile.
    attempts
        Tries of one request; 1 for one that must not be carried out twice.

    Raises
    ------
    MissingExtraError
        If boto3 is not installed.
    ConfigError
        If there is no region, or no such profile.
    """
    require("boto3", extra="aws", purpose="by the runners on AWS")
    config = require("botocore.config", extra="aws", purpose="by the runners on AWS").Config(
        # Standard: exponential pauses with jitter, for throttling and lost connections alike.
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra=f"swath/{swath.__version__}",
    )
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with asked("the AWS configuration"), _making:
        session = _session(
            settings["aws.profile"], _region(settings), tuple(sorted(variables.items()))
        )
        return session.client(service, config=config)


@lru_cache(maxsize=4)
def _session(
    profile: str | None,
    region: str | None,
    variables: tuple[tuple[str, str], ...],  # noqa: ARG001 - read when it is made, kept by it
) -> Any:
    """Return the session of all clients with these settings, in this environment.

    A role is assumed and a code asked for once, and descriptions of services are read once.
    """
    boto3 = require("boto3", extra="aws", purpose="by the runners on AWS")
    return boto3.Session(profile_name=profile, region_name=region)


@contextmanager
def asked(what: str) -> Iterator[None]:
    """Turn the errors of AWS into ours.

    Parameters
    ----------
    what
        What AWS is asked for, as the begin of a sentence.

    Raises
    ------
    ConfigError
        Without credentials, region or profile, or with credentials that are not valid.
    ForbiddenError, ThrottledError, RunError
        As AWS answers.
    UnansweredError
        If AWS answers nothing, or that something broke on its side.
    """
    exceptions = require("botocore.exceptions", extra="aws", purpose="by the runners on AWS")
    try:
        yield
    except exceptions.ClientError as error:
        raise _told(what, error.response, error.operation_name) from error
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise ConfigError(
            f"{what}: there are no AWS credentials.",
            mend="Log in (aws sso login), name a profile with --set aws.profile=NAME, or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        ) from error
    except exceptions.NoRegionError as error:
        raise ConfigError(
            f"{what}: no AWS region is set.", mend="Set it with --set aws.region=NAME."
        ) from error
    except exceptions.ProfileNotFound as error:
        raise ConfigError(f"{what}: {error}.", mend="Correct the setting aws.profile.") from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        raise UnansweredError(f"{what}: {error}", mend="Try again later.") from error
    except exceptions.BotoCoreError as error:
        raise RunError(f"{what}: {error}") from error


def _told(what: str, response: dict[str, Any], operation: str) -> SwathError:
    answer, status = response.get("Error", {}), response["ResponseMetadata"]["HTTPStatusCode"]
    code, message = answer.get("Code", ""), answer.get("Message", "")
    text = f"{what}: {operation} answers {code}: {message}"
    if _THROTTLED.search(code):
        return ThrottledError(text, mend="Try again later; what was submitted is known.")
    if _CREDENTIALS.search(code):
        return ConfigError(text, mend="Renew the credentials, for example with: aws sso login")
    if _FORBIDDEN.search(code):
        return ForbiddenError(
            text, mend=f"Let your user do {operation}; deploy/aws/template.yaml has a policy."
        )
    if status >= 500 and status != 501:
        return UnansweredError(text, mend="Try again later.")
    return RunError(text)


def pages(client: Any, operation: str, key: str, what: str, **parameters: Any) -> Iterator[Any]:
    """Yield the items of a list that AWS tells page by page.

    Parameters
    ----------
    client
        Of the service.
    operation
        As the method of the client is named.
    key
        Of the list in each answer.
    what
        See `asked`.
    """
    answers = iter(client.get_paginator(operation).paginate(**parameters))
    while True:
        with asked(what):
            answer = next(answers, None)
        if answer is None:
            return
        yield from answer[key]


def log_text(settings: Settings, group: str, stream: str) -> str:
    """Return all that CloudWatch Logs has of a stream; empty if there is none.

    Raises
    ------
    ForbiddenError
        If this user may not read it.
    """
    service = client("logs", settings)
    lines: list[str] = []
    token: dict[str, str] = {}
    while True:
        with asked(f"the log stream {stream} of {group}"):
            try:
                answer = service.get_log_events(
                    logGroupName=group, logStreamName=stream, startFromHead=True, **token
                )
            except service.exceptions.ResourceNotFoundException:
                return ""
        lines += [event["message"] + "\n" for event in answer["events"]]
        if answer["nextForwardToken"] == token.get("nextToken"):
            return "".join(lines)  # the end: the token does not move any more
        token = {"nextToken": answer["nextForwardToken"]}


def newest_stream(settings: Settings, group: str, prefix: str) -> str | None:
    """Return the last name of the log streams that begin so; None if there are none.

    Raises
    ------
    ForbiddenError
        If this user may not list them.
    """
    service = client("logs", settings)
    with asked(f"the log streams {prefix}* of {group}"):
        try:
            answer = service.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)
        except service.exceptions.ResourceNotFoundException:
            return None
    return max((item["logStreamName"] for item in answer["logStreams"]), default=None)


def identity_finding(settings: Settings) -> Finding:
    """Find out who AWS takes us for, in which region."""
    try:
        service = client("sts", settings)
        with asked("the AWS credentials"):
            arn = service.get_caller_identity()["Arn"]
    except SwathError as error:
        return Finding(Severity.ERROR, error.what, error.mend or "")
    return Finding(Severity.FINE, f"AWS knows us as {arn}; region {service.meta.region_name}")


def version_finding(what: str, image: str, environment: Mapping[str, str]) -> Finding:
    """Compare the Swath of an image with ours; a worker refuses assignments of another version.

    Parameters
    ----------
    what
        What names the image, as the begin of a sentence.
    image
        Its name. A tag that begins with a version is taken for that of Swath.
    environment
        Variables that its containers get; ``SWATH_VERSION`` is believed before the tag.
    """
    tag = _VERSION_IN_TAG.fullmatch(image)
    found = environment.get("SWATH_VERSION") or (tag[1] if tag else None)
    if found is None:
        return Finding(
            Severity.WARNING,
            f"{what} does not tell which Swath is in the image {image}.",
            f"Tag images with the version of Swath, here {swath.__version__}, or set the variable "
            "SWATH_VERSION there.",
        )
    if found != swath.__version__:
        return Finding(
            Severity.ERROR,
            f"{what} has Swath {found} (image {image}), and this is Swath {swath.__version__}.",
            "Name an image of this version there, or install that version here. If the tag means "
            "something else, set the variable SWATH_VERSION there.",
        )
    return Finding(Severity.FINE, f"{what}: image {image}, Swath {found}")


def tags(settings: Settings) -> dict[str, str]:
    """Return the tags of what is started, those of the user and ours.

    Raises
    ------
    ConfigError
        If the setting is not ``name=value,name=value``.
    """
    found = {"swath": swath.__version__}
    text = settings["aws.tags"]
    for part in str(text).split(",") if text else ():
        name, equals, value = part.strip().partition("=")
        if not equals or not name:
            raise ConfigError(f"aws.tags is {text!r}.", mend="Write name=value,name=value.")
        found[name] = value
    return found
