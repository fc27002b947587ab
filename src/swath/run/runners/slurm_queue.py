"""What Slurm knows of jobs, asked by its programs: the queue, and accounts where they are kept.

States are those of the manual page of squeue, section "Job state codes".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from swath.run.runners.slurm_programs import SlurmRefusedError, call

Place = tuple[str, int | None]
"""Id of a job, and the index of an element if it is an array."""

SQUEUE = (
    "squeue",
    "--noheader",
    "--all",
    "--array",
    "--states=all",
    "--Format=ArrayJobID:|,ArrayTaskID:|,State:|,Reason:|,NodeList:|,exit_code:|,TimeLimit:|,Name:",
)
"""Command that tells of all elements of jobs, and of those that ended some minutes ago."""

SACCT = (
    "sacct",
    "--noheader",
    "--allocations",
    "--parsable2",
    "--format=JobID,State,Reason,NodeList,ExitCode,Timelimit,JobName",
)
"""Command that tells of all that has ever ended, where the cluster keeps accounts."""

WAITING = frozenset(
    {
        "CONFIGURING",
        "PENDING",
        "REQUEUED",
        "REQUEUE_FED",
        "REQUEUE_HOLD",
        "RESV_DEL_HOLD",
        "SPECIAL_EXIT",
    }
)
ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "TIMEOUT",
    }
)
_ONE_CALL = 500
"""Ids that one call takes."""


@dataclass(frozen=True, slots=True)
class Record:
    """What Slurm says of one job, or of one element of an array.

    Attributes
    ----------
    job_id, index
        Of the job or array, and of the element; None if it is no array.
    name
        Of the job.
    state, reason
        In Slurm's words.
    nodes
        Where it ran; empty if it never started.
    exit_code, signal
        How its process ended.
    time_limit
        As Slurm writes it.
    """

    job_id: str
    index: int | None
    name: str
    state: str
    reason: str
    nodes: str
    exit_code: int
    signal: int
    time_limit: str

    @property
    def place(self) -> Place:
        """Its job and index."""
        return self.job_id, self.index

    @property
    def is_waiting(self) -> bool:
        """True if it has not started, or is to start again."""
        return self.state in WAITING

    @property
    def has_ended(self) -> bool:
        """True if nothing more will come of it."""
        return self.state in ENDED


def queued(text: str) -> Iterator[Record]:
    """Yield what `SQUEUE` prints."""
    for line in text.splitlines():
        job_id, index, state, reason, nodes, code, limit, name = line.split("|", 7)
        exit_code, signal = _ending(code)
        yield Record(
            job_id=job_id,
            index=int(index) if index.isdecimal() else None,
            name=name.strip(),
            state=state,
            reason=reason,
            nodes=nodes,
            exit_code=exit_code,
            signal=signal,
            time_limit=limit,
        )


def accounted(text: str) -> Iterator[Record]:
    """Yield what `SACCT` prints of elements that have started or ended."""
    for line in text.splitlines():
        place, state, reason, nodes, code, limit, name = line.split("|", 6)
        job_id, _, index = place.partition("_")
        if not (job_id + index).isdecimal():  # several that wait, in one line
            continue
        exit_code, signal = _ending(code)
        yield Record(
            job_id=job_id,
            index=int(index) if index else None,
            name=name,
            state=state.partition(" ")[0],  # "CANCELLED by 1000"
            reason=reason,
            nodes="" if nodes == "None assigned" else nodes,
            exit_code=exit_code,
            signal=signal,
            time_limit=limit,
        )


def _ending(code: str) -> tuple[int, int]:
    """Return exit code and signal, from ``code:signal`` or a status as of wait(2)."""
    exit_code, colon, signal = code.partition(":")
    if colon:
        return int(exit_code), int(signal)
    return int(code) >> 8, int(code) & 0x7F


def name_of(place: Place) -> str:
    """Return a job or an element as Slurm writes it.

    Examples
    --------
    >>> name_of(("12", 3)), name_of(("12", None))
    ('12_3', '12')
    """
    job_id, index = place
    return job_id if index is None else f"{job_id}_{index}"


class Queue:
    """The queue with what it has told before: Slurm forgets jobs minutes after they ended.

    How many, its option MinJobAge says: 5 unless somebody changed it.
    """

    def __init__(self) -> None:
        self._ended: dict[Place, Record] = {}
        self._forgotten: set[Place] = set()

    def known(self, own: Mapping[Place, Record], wanted: set[Place]) -> dict[Place, Record]:
        """Return what is known of some elements, without those that Slurm has forgotten.

        Parameters
        ----------
        own
            What `own_records` has told.
        wanted
            What to look for: there, in what was told before, among the jobs of other users, and in
            the accounts.
        """
        known = {place: own[place] for place in wanted & own.keys()}
        known |= {place: self._ended[place] for place in wanted & self._ended.keys() - known.keys()}
        for ask in (_of_all_users, _accounts):
            if missing := wanted - known.keys() - self._forgotten:
                found = ask({job_id for job_id, _ in missing})
                known |= {record.place: record for record in found if record.place in missing}
        self._forgotten |= wanted - known.keys()
        self._ended |= {place: record for place, record in known.items() if record.has_ended}
        return known


def own_records() -> list[Record]:
    """Return what Slurm says of all jobs of this user."""
    return list(queued(call(*SQUEUE, "--me")))


def cancel(job_ids: Collection[str], *, only_waiting: bool) -> None:
    """Cancel jobs, or only those of their elements that have not started."""
    words = ["scancel", "--quiet", *(["--state=PENDING"] if only_waiting else [])]
    for some in _parts(job_ids):
        with suppress(SlurmRefusedError):  # it ended meanwhile
            call(*words, *some)


def _of_all_users(job_ids: Collection[str]) -> list[Record]:
    return _of_some(SQUEUE, job_ids, queued)


def _accounts(job_ids: Collection[str]) -> list[Record]:
    return _of_some(SACCT, job_ids, accounted)


def _of_some(
    command: Sequence[str], job_ids: Collection[str], read: Callable[[str], Iterator[Record]]
) -> list[Record]:
    found: list[Record] = []
    for some in _parts(job_ids):
        with suppress(SlurmRefusedError):  # there are no such jobs, or no accounts
            found += read(call(*command, f"--jobs={','.join(some)}"))
    return found


def _parts(job_ids: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(job_ids, key=int)
    for start in range(0, len(ordered), _ONE_CALL):
        yield ordered[start : start + _ONE_CALL]
