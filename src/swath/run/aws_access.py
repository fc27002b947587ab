"""Whether roles and images are there that AWS is to use for us; who may not ask is only warned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from swath.errors import SwathError
from swath.run import aws
from swath.run.runner import Finding, Severity
from swath.settings import Settings, key_of

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/(?:.*/)?([\w+=,.@-]{1,64})")
_IMAGE = re.compile(
    r"(?P<registry>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?/"
    r"(?P<repository>[^:@]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:\w+))?"
)
"""An image in a private registry of ECR."""


def role_finding(settings: Settings, name: str, service: str, *, is_asked: bool) -> Finding:
    """Check a role that a setting names: that it is there, and which service may take it.

    Parameters
    ----------
    settings
        Of the user.
    name
        Of the setting.
    service
        That is to take the role: ``"sagemaker.amazonaws.com"``.
    is_asked
        False to look at the name only, without credentials.
    """
    arn = settings.text(name)
    found = _ROLE.fullmatch(arn)
    if found is None:
        mend = "Write arn:aws:iam::<account>:role/<name>."
        return Finding(Severity.ERROR, f"{name} is {arn!r}, which is no ARN of a role.", mend)
    if not is_asked:
        return Finding(Severity.FINE, f"{name} is {arn}")
    client = aws.client("iam", settings)
    try:
        with aws.asked("IAM"):
            try:
                trusted = client.get_role(RoleName=found[1])["Role"]["AssumeRolePolicyDocument"]
            except client.exceptions.NoSuchEntityException:
                mend = f"Correct {name}; deploy/aws/template.yaml makes roles."
                return Finding(Severity.ERROR, f"there is no role {arn}.", mend)
    except SwathError as error:
        return unchecked(f"the role {arn}", error)
    if service not in json.dumps(trusted, default=str):
        return Finding(
            Severity.WARNING,
            f"{name}: the trust policy of {arn} does not name {service}.",
            f"Let {service} assume it.",
        )
    return Finding(Severity.FINE, f"{name} is {arn}")


def image_findings(
    settings: Settings, name: str, *, is_asked: bool, same_region: bool = False
) -> Iterator[Finding]:
    """Check an image that a setting names: its version, and whether it is there if it is on ECR.

    Parameters
    ----------
    settings
        Of the user.
    name
        Of the setting.
    is_asked
        False to look at the name only, without credentials.
    same_region
        True if the service takes images of its own region only.
    """
    image = settings.text(name)
    yield aws.version_finding(name, image, {})
    if is_asked:
        yield from registry_findings(settings, name, image, same_region=same_region)


def registry_findings(
    settings: Settings, what: str, image: str, *, same_region: bool = False
) -> Iterator[Finding]:
    """Check that an image is there, if it is on ECR; nothing is said if it is.

    Parameters
    ----------
    settings
        Of the user.
    what
        What names the image, as the begin of a sentence.
    image
        Its name.
    same_region
        True if the service takes images of its own region only.
    """
    found = _IMAGE.fullmatch(image)
    if found is None:
        return
    client = aws.client("ecr", settings)
    here = client.meta.region_name
    if found["region"] != here:
        if same_region:
            yield Finding(
                Severity.ERROR,
                f"{what} is in {found['region']}, and the jobs are to run in {here}.",
                f"Push the image to {here}, or correct aws.region.",
            )
        return
    try:
        with aws.asked("ECR"):
            is_there = _is_there(client, found)
    except SwathError as error:
        yield unchecked(f"the image {image}", error)
        return
    if not is_there:
        yield Finding(
            Severity.ERROR,
            f"{what}: there is no image {image}.",
            "Push it, as docs/deploy.md says, or correct the setting.",
        )


def _is_there(client: Any, found: re.Match[str]) -> bool:
    wanted = {"imageTag": found["tag"] or "latest"}
    if found["digest"] is not None:
        wanted = {"imageDigest": found["digest"]}
    try:
        client.describe_images(
            registryId=found["registry"], repositoryName=found["repository"], imageIds=[wanted]
        )
    except (
        client.exceptions.RepositoryNotFoundException,
        client.exceptions.ImageNotFoundException,
    ):
        return False
    return True


def unchecked(what: str, error: SwathError) -> Finding:
    """Warn of something that could not be checked."""
    return Finding(Severity.WARNING, f"{what} could not be checked: {error.what}", error.mend or "")


def missing(name: str, purpose: str) -> Finding:
    """Tell of a setting that is missing.

    Parameters
    ----------
    name
        Of the setting.
    purpose
        What it is needed for, as the end of "is needed ...".
    """
    return Finding(
        Severity.ERROR,
        f"the setting {name} is missing; it is needed {purpose}.",
        f"Set it in swath.toml, as {key_of(name).variable}, or with --set {name}=...",
    )
