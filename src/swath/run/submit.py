"""Submit a run to a backend that orders jobs itself, follow it, and mend what can be mended.

The client may be killed anywhere: what it submitted is written down (`swath.run.rounds`), so the
next one goes on from there and submits nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from swath.errors import ThrottledError, UnansweredError
from swath.run.events import EventReader
from swath.run.folder import CANCELLED
from swath.run.interrupt import interruptible, stopped
from swath.run.jobs import Job, jobs_of
from swath.run.rounds import Round, ids_of, last_round, note_id, write_round
from swath.run.runner import (
    Abilities,
    Cause,
    Finding,
    JobState,
    Outcome,
    RunContext,
    Seen,
    SubmittedBackend,
    outcome_of,
)
from swath.run.splits import RunSplit

MENDABLE = frozenset({Cause.MEMORY, Cause.RECLAIMED})
"""Causes of failures after which a split may succeed in another round."""

PATIENT = 6
"""A backend that cannot answer is asked again after up to this many times the usual pause."""


class SubmittedRunner:
    """A runner made of a backend that takes the whole graph."""

    def __init__(self, backend: SubmittedBackend) -> None:
        self._backend = backend

    @property
    def abilities(self) -> Abilities:
        """Those of the backend."""
        return self._backend.abilities

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """Check what the backend needs."""
        return self._backend.findings(splits)

    def requests(self, context: RunContext) -> list[dict[str, Any]]:
        """Return the requests of the first round."""
        return self._backend.requests(context, self._jobs(context, 0))

    def start(self, context: RunContext) -> None:
        """Submit what is not done, in a new round, or what is left of a round that was broken off.

        A round is over when all of its jobs were submitted and have ended.
        """
        now = last_round(context.folder)
        if now is not None and len(ids_of(context.folder, now.jobs)) < len(now.jobs):
            self._submit(context, now, is_again=True)
        elif now is None:
            self._submit_new(context, 0, {})
        else:
            seen = self._backend.look(context, now.jobs, ids_of(context.folder, now.jobs))
            if all(item.has_ended for item in seen.values()):
                self._submit_new(context, now.number + 1, _more_memory(now, seen, self.abilities))

    def follow(self, context: RunContext) -> Outcome:
        """Pass on events until every job has ended; give memory to what ran out of it."""
        follower = _Follower(self._backend, context)
        tries = _Tries(context, self.abilities)
        with interruptible(lambda: self.cancel(context)):
            while True:
                self.start_broken_off(context)
                now = last_round(context.folder)
                assert now is not None
                seen = follower.until_ended(now)
                done = context.folder.done()
                again = tries.mendable(now, seen, done, keep_going=context.keep_going)
                if again is None:
                    break
                self._submit_new(context, now.number + 1, again)
        failed = [k for k, s in seen.items() if s.state is JobState.FAILED and k not in done]
        return outcome_of(context.splits, done, failed, seen)

    def start_broken_off(self, context: RunContext) -> None:
        """Submit what an earlier client had written down and not submitted."""
        now = last_round(context.folder)
        if now is None or len(ids_of(context.folder, now.jobs)) < len(now.jobs):
            self.start(context)

    def look(self, context: RunContext) -> Mapping[str, Seen]:
        """Ask the backend about the last round."""
        now = last_round(context.folder)
        if now is None:
            return {}
        ids = ids_of(context.folder, now.jobs)
        return self._backend.look(context, [job for job in now.jobs if job.name in ids], ids)

    def cancel(self, context: RunContext) -> None:
        """Stop every job of the last round, those found by name only included."""
        now = last_round(context.folder)
        if now is None:
            return
        ids = ids_of(context.folder, now.jobs)
        left = {job.name for job in now.jobs} - set(ids)
        ids |= self._backend.find(context, left) if left else {}
        jobs = [job for job in now.jobs if job.name in ids]
        self._backend.cancel(context, jobs, ids, only_waiting=False)

    def logs(self, context: RunContext, key: str) -> str:
        """Ask the backend for the output of a split in the last round."""
        now = last_round(context.folder)
        job = next((job for job in now.jobs if key in job.splits), None) if now else None
        if now is None or job is None:
            return ""
        return self._backend.logs(context, ids_of(context.folder, now.jobs), job, key)

    def _jobs(
        self, context: RunContext, number: int, memory: Mapping[str, float] | None = None
    ) -> list[Job]:
        abilities, done = self._backend.abilities, context.folder.done()
        return jobs_of(
            context.splits,
            prefix=f"{context.folder.id}-r{number}",
            wanted={split.key for split in context.splits} - done,
            memory=memory,
            array_size=abilities.array_size,
            has_array_edges=abilities.has_array_edges,
            max_after=abilities.max_after,
        )

    def _submit_new(self, context: RunContext, number: int, memory: Mapping[str, float]) -> None:
        new = Round(number, tuple(self._jobs(context, number, memory)), dict(memory))
        write_round(context.folder, new)
        self._submit(context, new, is_again=False)

    def _submit(self, context: RunContext, now: Round, *, is_again: bool) -> None:
        known = ids_of(context.folder, now.jobs)
        missing = [job for job in now.jobs if job.name not in known]
        if is_again and missing:
            for name, job_id in self._backend.find(context, {job.name for job in missing}).items():
                note_id(context.folder, name, job_id)
                known[name] = job_id
            missing = [job for job in missing if job.name not in known]
        for name, job_id in self._backend.submit(context, missing, known):
            note_id(context.folder, name, job_id)


def _more_memory(now: Round, seen: Mapping[str, Seen], abilities: Abilities) -> dict[str, float]:
    """Return the GiB of the next round: twice as much for what ran out of memory."""
    resources = {key: job.resources for job in now.jobs for key in job.splits}
    memory = dict(now.memory)
    for key, item in seen.items():
        if item.cause is Cause.MEMORY:
            had = memory.get(key) or resources[key].memory_gib or abilities.memory_gib
            memory[key] = 2 * had
    return memory


class _Follower:
    """Looks at the jobs of a round until all have ended."""

    def __init__(self, backend: SubmittedBackend, context: RunContext) -> None:
        self._backend = backend
        self._context = context
        self._reader = EventReader(context.folder)
        self._stopped: int | None = None

    def until_ended(self, now: Round) -> dict[str, Seen]:
        """Return what became of every split of the round."""
        context, poll_s = self._context, self._backend.abilities.poll_s
        ids = ids_of(context.folder, now.jobs)
        pause = poll_s / 8  # short runs are told soon
        while True:
            seen = self._look(now, ids)
            for event in self._reader.new():
                context.emit(event)
            if context.folder.has(CANCELLED):
                self._backend.cancel(context, now.jobs, ids, only_waiting=False)
                raise stopped()
            if seen is not None and all(item.has_ended for item in seen.values()):
                return seen
            time.sleep(pause)
            pause = min(2 * pause, poll_s if seen is not None else PATIENT * poll_s)

    def _look(self, now: Round, ids: Mapping[str, str]) -> dict[str, Seen] | None:
        """Ask the backend, and start nothing more once a failure cannot be mended.

        Returns
        -------
        dict or None
            None while the backend cannot answer, which does not end a run.
        """
        context, backend = self._context, self._backend
        try:
            seen = backend.look(context, now.jobs, ids)
            is_hopeless = any(
                item.state is JobState.FAILED and item.cause not in MENDABLE
                for item in seen.values()
            )
            if is_hopeless and not context.keep_going and self._stopped != now.number:
                backend.cancel(context, now.jobs, ids, only_waiting=True)
                self._stopped = now.number
        except (ThrottledError, UnansweredError):
            return None
        return seen


@dataclass
class _Tries:
    """How often splits were submitted again by this client, and with how much memory."""

    context: RunContext
    abilities: Abilities
    memory: dict[str, int] = field(default_factory=dict)
    reclaimed: dict[str, int] = field(default_factory=dict)

    def mendable(
        self, now: Round, seen: Mapping[str, Seen], done: set[str], *, keep_going: bool
    ) -> dict[str, float] | None:
        """Return the memory of the next round, or None if there is nothing to submit again.

        What ran out of memory gets twice as much, and what lost its machine another one. Where the
        user keeps going, so does what never started though all that it reads from is there.
        """
        settings = self.context.settings
        limits = {
            Cause.MEMORY: (self.memory, settings.count("run.memory_retries", 2)),
            Cause.RECLAIMED: (self.reclaimed, settings.count("run.reclaim_retries", 5)),
        }
        mended: dict[str, Seen] = {}
        hopeless = False
        for key, item in seen.items():
            if item.state is not JobState.FAILED or key in done:
                continue
            tried, limit = limits.get(item.cause or Cause.WORK, ({}, 0))
            if tried.get(key, 0) >= limit:
                hopeless = True
                continue
            tried[key] = tried.get(key, 0) + 1
            mended[key] = item
        if hopeless and not keep_going:
            return None
        if not mended and not (keep_going and self._are_ready(seen, done)):
            return None
        return _more_memory(now, mended, self.abilities)

    def _are_ready(self, seen: Mapping[str, Seen], done: set[str]) -> bool:
        splits = self.context.splits
        return any(
            seen[split.key].state is JobState.GONE
            and all(splits[p].key in done for p in split.upstream)
            for split in splits
            if split.key in seen and split.key not in done
        )
