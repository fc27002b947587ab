"""What is checked before anything is submitted to Slurm: programs, partitions, sizes of nodes.

Each check yields findings and raises nothing, so that one look tells all that has to be mended.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from swath.errors import SwathError
from swath.plan.command import Resources
from swath.run.runner import Finding, Severity
from swath.run.runners.slurm_programs import call
from swath.run.runners.slurm_request import (
    SCRIPT,
    cpus_of,
    mib,
    minutes,
    options_of,
    partition_of,
    python_of,
)
from swath.run.splits import RunSplit
from swath.settings import Settings

SINFO = ("sinfo", "--noheader", "--all", "--exact", "--format=%P|%a|%c|%m|%G|%l")
"""Command that tells of each size of node in each partition."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One size of node in a partition.

    Attributes
    ----------
    partition
        Its name.
    is_default
        True if jobs go there that name none.
    is_up
        True if it starts jobs.
    cpus, memory_mib, gpus
        Of one node.
    longest_minutes
        Limit of the partition; None: unlimited.
    """

    partition: str
    is_default: bool
    is_up: bool
    cpus: int
    memory_mib: int
    gpus: int
    longest_minutes: int | None


def offers_in(text: str) -> list[Offer]:
    """Read what `SINFO` prints."""
    found = []
    for line in text.splitlines():
        name, up, cpus, memory, gres, longest = line.split("|", 5)
        offer = Offer(
            partition=name.removesuffix("*"),
            is_default=name.endswith("*"),
            is_up=up == "up",
            cpus=_number(cpus),
            memory_mib=_number(memory),
            gpus=gpus_in(gres),
            longest_minutes=minutes_in(longest),
        )
        found.append(offer)
    return found


def gpus_in(gres: str) -> int:
    """Count the GPUs of generic resources as sinfo writes them.

    Examples
    --------
    >>> gpus_in("gpu:a100:4(S:0-1),gpu:t4:2,mps:400"), gpus_in("(null)")
    (6, 0)
    """
    plain = re.sub(r"\([^)]*\)", "", gres).split(",")
    counts = (re.fullmatch(r"gpu(?::[^:]+)*?(?::(\d+))?", item) for item in plain)
    return sum(int(count[1] or 1) for count in counts if count)


def minutes_in(limit: str) -> int | None:
    """Return a time limit in minutes, from ``[[days-]hours:]minutes:seconds``; None: unlimited.

    Examples
    --------
    >>> minutes_in("2-12:00:00"), minutes_in("30:00"), minutes_in("infinite")
    (3600, 30, None)
    """
    if not re.fullmatch(r"(\d+-)?[\d:]+", limit):
        return None
    days, _, clock = limit.rpartition("-")
    hours, minute, _ = [0, *map(int, clock.split(":"))][-3:]
    return int(days or 0) * 1440 + hours * 60 + minute


def _number(text: str) -> int:
    """Return the least of a range of nodes alike but for this, which sinfo writes ``64+``."""
    return int(text.rstrip("+"))


def files_finding(settings: Settings) -> Finding:
    """Say what is taken for granted: nobody here can look at the disks of the nodes."""
    if settings.is_on("slurm.shared_files"):
        text = "nodes are taken to see the files of this machine, Swath among them"
    else:
        text = f"nodes are taken to have Swath for {python_of(settings)}, and none of our files"
    return Finding(Severity.FINE, f"{text} (slurm.shared_files)")


def partition_findings(
    splits: Sequence[RunSplit], offers: Sequence[Offer], settings: Settings
) -> Iterator[Finding]:
    """Check that there are the partitions, and that some node of theirs can hold each split."""
    for kind, needs in _needs(splits, settings):
        named, setting = partition_of(kind, needs.gpus, settings)
        chosen = named.split(",") if named else [o.partition for o in offers if o.is_default]
        there = [offer for offer in offers if offer.partition in chosen]
        if named and (strange := set(chosen) - {offer.partition for offer in there}):
            known = ", ".join(dict.fromkeys(offer.partition for offer in offers))
            yield Finding(
                Severity.ERROR,
                f"there is no partition {min(strange)!r}; Slurm has {known}.",
                f"Correct the setting {setting}.",
            )
        elif there:
            yield from _size_findings(kind, needs, there, setting, settings)


def _needs(splits: Sequence[RunSplit], settings: Settings) -> list[tuple[str, Resources]]:
    """Return each kind with what a split of it needs; without splits, of what settings name."""
    found: list[tuple[str, Resources]] = [("", Resources())]
    if splits:
        found = [(split.kind, split.resources) for split in splits]
    elif settings["slurm.gpu_partition"] is not None:
        found.append(("", Resources(gpus=1)))
    return list(dict.fromkeys(found))


def _size_findings(
    kind: str, needs: Resources, there: Sequence[Offer], setting: str, settings: Settings
) -> Iterator[Finding]:
    names = ", ".join(dict.fromkeys(repr(offer.partition) for offer in there))
    what, own = f"{kind or 'a split'} asks for", f"commands.{kind}" if kind else "slurm"
    if not any(offer.is_up for offer in there):
        yield Finding(
            Severity.WARNING, f"partition {names} is down: what is submitted there waits."
        )
    most = max(offer.gpus for offer in there)
    if needs.gpus > most:
        yield Finding(
            Severity.ERROR,
            f"{what} {needs.gpus} GPU, and nodes of partition {names} have {most or 'none'}.",
            f"Name a partition with GPUs as {setting}, or set run.device=cpu.",
        )
    most, cpus = max(offer.cpus for offer in there), cpus_of(needs, settings)
    if cpus > most:
        yield Finding(
            Severity.ERROR,
            f"{what} {cpus} cores, and nodes of partition {names} have {most} at most.",
            f"Lower {own}.cpus, or set {setting} to another partition.",
        )
    most, gib = max(offer.memory_mib for offer in there), _memory_gib(needs, settings)
    if mib(gib) > most:
        yield Finding(
            Severity.ERROR,
            f"{what} {gib:g} GiB, and nodes of partition {names} have {most / 1024:.1f} at most.",
            f"Lower {own}.memory_gib, or set {setting} to another partition.",
        )
    limits = [offer.longest_minutes for offer in there]
    limit_s = needs.time_limit_s or settings.count("slurm.time_limit_s", 0)
    longest = max(limit or 0 for limit in limits)
    if None not in limits and minutes(limit_s) > longest:
        yield Finding(
            Severity.ERROR,
            f"{what} {minutes(limit_s)} minutes, and partition {names} gives {longest} at most.",
            f"Lower {own}.time_limit_s, or set {setting} to another partition.",
        )


def _memory_gib(needs: Resources, settings: Settings) -> float:
    return needs.memory_gib or settings.count("slurm.memory_gib", 0)


def trial_findings(splits: Sequence[RunSplit], settings: Settings) -> Iterator[Finding]:
    """Let Slurm say what it would do with such jobs: it knows accounts and the site's rules."""
    for kind, needs in _needs(splits, settings):
        words = ["sbatch", "--test-only", "--output=/dev/null"]
        try:
            call(*words, *options_of(kind, needs, settings), script=SCRIPT)
        except SwathError as error:
            yield Finding(
                Severity.ERROR,
                f"Slurm refuses {f'splits of {kind}' if kind else 'jobs'}: {error.what}",
                error.mend or "Correct the settings slurm.account, slurm.qos, slurm.partition.",
            )
