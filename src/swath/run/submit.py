"""Submit a run to a backend that orders jobs itself, follow it, and mend what can be mended.

The client may be killed anywhere: what it submitted is written down (`swath.run.rounds`), so the
next one goes on from there and submits nothing twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from swath.errors import ThrottledError, UnansweredError
from swath.run.interrupt import interruptible, stopped
from swath.run.jobs import Job, jobs_of
from swath.run.mending import MENDABLE, believed, has_failed, more_memory, next_standing, wanted
from swath.run.rounds import Round, Standing, ids_of, last_round, note_id, write_round
from swath.run.runner import (
    Abilities,
    Finding,
    JobState,
    Outcome,
    RunContext,
    Seen,
    SubmittedBackend,
    outcome_of,
)
from swath.run.splits import RunSplit
from swath.run.watch import Watch, going_on, refusals

PATIENT = 6
"""A backend that cannot answer is asked again after up to this many times the usual pause."""

_LOG = logging.getLogger(__name__)


class SubmittedRunner:
    """A runner made of a backend that takes the whole graph."""

    def __init__(self, backend: SubmittedBackend) -> None:
        self._backend = backend
        self._has_submitted = False

    @property
    def abilities(self) -> Abilities:
        """Those of the backend."""
        return self._backend.abilities

    def findings(self, splits: Sequence[RunSplit]) -> Iterator[Finding]:
        """Check what the backend needs."""
        return self._backend.findings(splits)

    def requests(self, context: RunContext) -> list[dict[str, Any]]:
        """Return the requests of the first round."""
        return self._backend.requests(context, self._jobs(context, 0, Standing()))

    def start(self, context: RunContext) -> None:
        """Submit what is not done and not on its way.

        What is left of a round that was broken off is submitted as it was written down, unless some
        of it was stopped. Once all of a round has ended, what is not done becomes a new one.
        """
        now = last_round(context.folder)
        if now is None:
            self._submit_new(context, 0, Standing())
            return
        ids = self._ids(context, now)
        seen = self._look(context, now, ids)
        is_going_on = not any(
            item.state in {JobState.FAILED, JobState.GONE} for item in seen.values()
        )
        if len(ids) < len(now.jobs) and is_going_on:
            self._submit(context, now, ids)
        elif all(item.has_ended for item in seen.values()):
            memory = more_memory(now, {**now.standing.given_up, **seen}, self.abilities)
            self._submit_new(context, now.number + 1, Standing(memory))

    def follow(self, context: RunContext) -> Outcome:
        """Pass on events until every job has ended; submit again what may succeed then.

        Raises
        ------
        RunError
            If this client cannot follow any more, and the jobs go on.
        """
        follower = _Follower(self._backend, context)
        with (
            going_on(context.folder, has_started=lambda: self._has_submitted),
            interruptible(lambda: self.cancel(context)),
        ):
            while True:
                now = self._complete(context)
                ended = follower.until_ended(now)
                done = context.folder.done()
                seen = believed(ended, done)
                again = next_standing(now, seen, done, context, self.abilities)
                if again is None:
                    break
                self._submit_new(context, now.number + 1, again)
        known = {**now.standing.given_up, **seen}
        failed = [key for key, item in known.items() if has_failed(item)]
        return outcome_of(context.splits, done, failed, known)

    def _complete(self, context: RunContext) -> Round:
        """Return the last round, after submitting what an earlier client had not come to."""
        now = last_round(context.folder)
        if now is None:
            return self._submit_new(context, 0, Standing())
        self._has_submitted = True  # or an earlier client has
        if len(ids_of(context.folder, now.jobs)) < len(now.jobs):
            self._submit(context, now, self._ids(context, now))
        return now

    def look(self, context: RunContext) -> Mapping[str, Seen]:
        """Ask the backend about the last round."""
        now = last_round(context.folder)
        if now is None:
            return {}
        return self._look(context, now, ids_of(context.folder, now.jobs))

    def cancel(self, context: RunContext) -> None:
        """Stop every job of the last round, those found by name only included."""
        now = last_round(context.folder)
        if now is None:
            return
        ids = self._ids(context, now)
        jobs = [job for job in now.jobs if job.name in ids]
        self._backend.cancel(context, jobs, ids, only_waiting=False)

    def logs(self, context: RunContext, key: str) -> str:
        """Ask the backend for the output of a split in the last round."""
        now = last_round(context.folder)
        job = next((job for job in now.jobs if key in job.splits), None) if now else None
        if now is None or job is None:
            return ""
        return self._backend.logs(context, ids_of(context.folder, now.jobs), job, key)

    def _look(self, context: RunContext, now: Round, ids: Mapping[str, str]) -> dict[str, Seen]:
        return self._backend.look(context, [job for job in now.jobs if job.name in ids], ids)

    def _jobs(self, context: RunContext, number: int, standing: Standing) -> list[Job]:
        abilities = self.abilities
        return jobs_of(
            context.splits,
            prefix=f"{context.folder.id}-r{number}",
            wanted=wanted(context, context.folder.done(), standing.given_up),
            memory=standing.memory,
            array_size=abilities.array_size,
            has_array_edges=abilities.has_array_edges,
            max_after=abilities.max_after,
        )

    def _submit_new(self, context: RunContext, number: int, standing: Standing) -> Round:
        context.confirm()
        new = Round(number, tuple(self._jobs(context, number, standing)), standing)
        write_round(context.folder, new)
        self._submit(context, new, {})
        return new

    def _submit(self, context: RunContext, now: Round, known: Mapping[str, str]) -> None:
        context.confirm()
        missing = [job for job in now.jobs if job.name not in known]
        self._has_submitted |= bool(known)
        submitted = iter(self._backend.submit(context, missing, known))
        while True:
            with refusals():
                pair = next(submitted, None)
            if pair is None:
                return
            name, job_id = pair
            self._has_submitted = True
            note_id(context.folder, name, job_id)

    def _ids(self, context: RunContext, now: Round) -> dict[str, str]:
        """Return the ids of all that was submitted, also of what nobody came to note."""
        ids = ids_of(context.folder, now.jobs)
        missing = {job.name for job in now.jobs} - set(ids)
        for name, job_id in self._backend.find(context, missing).items() if missing else ():
            note_id(context.folder, name, job_id)
            ids[name] = job_id
        return ids


class _Follower:
    """Looks at the jobs of a round until all have ended."""

    def __init__(self, backend: SubmittedBackend, context: RunContext) -> None:
        self._backend = backend
        self._context = context
        self._watch = Watch(context)
        self._stopped: int | None = None
        self._is_answered = True

    def until_ended(self, now: Round) -> dict[str, Seen]:
        """Return what became of every split of the round."""
        context, poll_s = self._context, self._backend.abilities.poll_s
        ids = ids_of(context.folder, now.jobs)
        pause = poll_s / 8  # short runs are told soon
        while True:
            seen = self._look(now, ids)
            has_ended = seen is not None and all(item.has_ended for item in seen.values())
            if self._watch.is_cancelled(at_once=has_ended):
                self._backend.cancel(context, now.jobs, ids, only_waiting=False)
                raise stopped()
            if seen is not None and has_ended:
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
                has_failed(item) and item.cause not in MENDABLE for item in seen.values()
            )
            if is_hopeless and not context.keep_going and self._stopped != now.number:
                backend.cancel(context, now.jobs, ids, only_waiting=True)
                self._stopped = now.number
        except (ThrottledError, UnansweredError) as error:
            if self._is_answered:
                _LOG.warning("the jobs go on, and are asked after again soon: %s", error)
            self._is_answered = False
            return None
        self._is_answered = True
        return seen
