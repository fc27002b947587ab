"""What the runners on AWS share: clients, the errors of AWS in our words, tags.

Not for object stores, see `swath.store`. boto3 is loaded when the first client is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import swath
from swath.errors import ConfigError, ForbiddenError, RunError, ThrottledError
from swath.optional import require
from swath.settings import Settings

ATTEMPTS = 12
"""Tries of one request that is throttled or lost; with the pauses between, some two minutes."""

_THROTTLED = re.compile("Throttl|TooManyRequests|RequestLimitExceeded|SlowDown")
_FORBIDDEN = re.compile("AccessDenied|Unauthorized|Forbidden|NotAuthorized")
_CREDENTIALS = re.compile("ExpiredToken|InvalidClientTokenId|UnrecognizedClient|SignatureDoesNot")


def client(service: str, settings: Settings) -> Any:
    """Return a client of one service of AWS.

    Raises
    ------
    MissingExtraError
        If boto3 is not installed.
    ConfigError
        If there is no region, or no such profile.
    """
    boto3 = require("boto3", extra="aws", purpose="by the runners on AWS")
    config = require("botocore.config", extra="aws", purpose="by the runners on AWS").Config(
        # Standard: exponential pauses with jitter, for throttling and lost connections alike.
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        user_agent_extra=f"swath/{swath.__version__}",
    )
    with asked("the AWS configuration"):
        session = boto3.Session(
            profile_name=settings["aws.profile"], region_name=settings["aws.region"]
        )
        return session.client(service, config=config)


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
    """
    exceptions = require("botocore.exceptions", extra="aws", purpose="by the runners on AWS")
    try:
        yield
    except exceptions.ClientError as error:
        raise _told(what, error.response.get("Error", {}), error.operation_name) from error
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
    except exceptions.BotoCoreError as error:
        raise RunError(f"{what}: {error}") from error


def _told(what: str, answer: dict[str, str], operation: str) -> Exception:
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
    return RunError(text)


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
