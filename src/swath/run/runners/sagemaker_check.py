"""What is checked before a pipeline is made: limits, role, images, instance types.

Each check yields findings and raises nothing, so that one look tells all that has to be mended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from swath.plan.command import Resources
from swath.run import aws_access
from swath.run.runner import Finding, Severity
from swath.run.runners.sagemaker_request import INSTANCES, LONGEST_S, instance_of
from swath.run.splits import RunSplit
from swath.settings import Settings

SERVICE = "sagemaker.amazonaws.com"

_MOST = {"sagemaker.instances": INSTANCES, "sagemaker.attempts": 20, "sagemaker.volume_gib": 16384}
_INSTANCE = re.compile(r"ml\.(?P<family>[a-z]+\d+[a-z-]*)\.(?:(?P<times>\d*)x)?large")
_WITH_GPUS = re.compile(r"ml\.[gp]\d")
_GIB_PER_CORE = {"c": 2, "m": 4, "r": 8, "g4dn": 4, "g5": 4, "g6": 4}
"""Memory of the families that keep to one measure, from the tables of EC2 instance types."""


def limit_findings(splits: Sequence[RunSplit], settings: Settings) -> Iterator[Finding]:
    """Check counts and time limits."""
    for name, most in _MOST.items():
        if settings.count(name, 1) > most:
            yield Finding(
                Severity.ERROR,
                f"{name} is {settings[name]}; SageMaker takes at most {most}.",
                "Lower it.",
            )
    usual = settings.count("sagemaker.time_limit_s", 86_400)
    for kind, resources in _asked(splits).items():
        longest = LONGEST_S["Training" if resources.gpus else "Processing"]
        limit_s = resources.time_limit_s or usual
        if limit_s > longest:
            yield Finding(
                Severity.ERROR,
                f"{kind} may run {limit_s} s; jobs of SageMaker run at most {longest} s.",
                f"Lower commands.{kind}.time_limit_s or sagemaker.time_limit_s.",
            )


def role_findings(settings: Settings, *, is_asked: bool) -> Iterator[Finding]:
    """Check the role of pipelines and jobs."""
    if settings["sagemaker.role"] is None:
        yield aws_access.missing("sagemaker.role", "by pipelines and jobs")
    else:
        yield aws_access.role_finding(settings, "sagemaker.role", SERVICE, is_asked=is_asked)


def image_findings(
    splits: Sequence[RunSplit], settings: Settings, *, is_asked: bool
) -> Iterator[Finding]:
    """Check the images that these splits need; without any, those that are set."""
    needed = {
        "sagemaker.cpu_image": [split for split in splits if not split.resources.gpus],
        "sagemaker.gpu_image": [split for split in splits if split.resources.gpus],
    }
    for name, users in needed.items():
        if settings[name] is not None and (users or not splits):
            yield from aws_access.image_findings(
                settings, name, is_asked=is_asked, same_region=True
            )
        elif users or (not splits and name == "sagemaker.cpu_image"):
            yield aws_access.missing(name, f"for {users[0].kind if users else 'jobs'}")


def instance_findings(
    client: Any, splits: Sequence[RunSplit], settings: Settings
) -> Iterator[Finding]:
    """Check that there are the instance types, and that they have what splits ask for."""
    known = {
        kind: list(client.meta.service_model.shape_for(f"{kind}InstanceType").enum)
        for kind in LONGEST_S
    }
    for kind, resources in (_asked(splits) or {"": Resources()}).items():
        name = instance_of(kind, resources.gpus, settings)
        what = "Training" if resources.gpus else "Processing"
        if name not in known[what]:
            close = get_close_matches(name, known[what], n=1)
            yield Finding(
                Severity.ERROR,
                f"there is no instance type {name!r} for {what.lower()} jobs of SageMaker.",
                (f"Did you mean {close[0]}?" if close else "Write it as ml.m5.xlarge.")
                + " If it is new, install a newer boto3.",
            )
            continue
        yield from _size_findings(kind, name, resources)


def _size_findings(kind: str, name: str, resources: Resources) -> Iterator[Finding]:
    mend = f"Set commands.{kind}.instance to another type, or ask for less."
    if resources.gpus and not _WITH_GPUS.match(name):
        yield Finding(
            Severity.ERROR,
            f"{kind} asks for a GPU, and instances of type {name} have none.",
            f"Set sagemaker.gpu_instance or commands.{kind}.instance to one that has, for example "
            "ml.g4dn.xlarge, or set run.device=cpu.",
        )
    cores, memory_gib = offer_of(name)
    if cores is not None and (resources.cpus or 0) > cores:
        said = f"{kind} asks for {resources.cpus} cores, and {name} has {cores}."
        yield Finding(Severity.ERROR, said, mend)
    if memory_gib is not None and (resources.memory_gib or 0) > memory_gib:
        said = f"{kind} asks for {resources.memory_gib:g} GiB, and {name} has {memory_gib}."
        yield Finding(Severity.ERROR, said, mend)


def offer_of(name: str) -> tuple[int | None, int | None]:
    """Return cores and GiB of an instance type, as far as its name tells them.

    Examples
    --------
    >>> offer_of("ml.m5.2xlarge"), offer_of("ml.r5.large"), offer_of("ml.p3.2xlarge")
    ((8, 32), (2, 16), (8, None))
    >>> offer_of("ml.t3.medium")
    (None, None)
    """
    found = _INSTANCE.fullmatch(name)
    if found is None:
        return None, None
    cores = 2 if found["times"] is None else 4 * int(found["times"] or 1)
    family = found["family"]
    per_core = _GIB_PER_CORE.get(family, _GIB_PER_CORE.get(re.sub(r"\d.*", "", family)))
    return cores, None if per_core is None else cores * per_core


def _asked(splits: Sequence[RunSplit]) -> dict[str, Resources]:
    """Return what each kind of command asks for."""
    return {split.kind: split.resources for split in splits}
