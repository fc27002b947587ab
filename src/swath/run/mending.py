"""Mending: what is submitted again after a round has ended, and what is given up.

Pure: a round and what became of its splits go in, what the next round starts from comes out. What
ran out of memory gets twice as much, what lost its machine another one, each as often as the user
allows; a command that failed is never tried again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from swath.run.rounds import Round, Standing
from swath.run.runner import Abilities, Cause, JobState, RunContext, Seen

_LIMITS = {Cause.MEMORY: "run.memory_retries", Cause.RECLAIMED: "run.reclaim_retries"}
MENDABLE = frozenset(_LIMITS)
"""Causes of failures after which a split may succeed in another round."""

_IDLE = "its job ended well, and its work is not done: was it a worker of Swath that ran?"

_SWEPT_AWAY = "swept away"
"""It never started though all that it reads is there: its array went down with others."""


def next_standing(
    now: Round,
    seen: Mapping[str, Seen],
    done: Collection[str],
    context: RunContext,
    abilities: Abilities,
) -> Standing | None:
    """Return what the next round starts from, or None if there is nothing to submit again.

    `seen` is what is `believed` of the splits of this one.

    What never started though all that it reads is there is submitted again, once. After something
    has failed for good there is another round only if the user keeps going.
    """
    ready = _ready(context, done)
    tries = {key: dict(counts) for key, counts in now.standing.tries.items()}
    given_up = dict(now.standing.given_up)
    again: dict[str, Seen] = {}
    for key, item in seen.items():
        if item.state is JobState.DONE or not (has_failed(item) or key in ready):
            continue
        why, limit = _SWEPT_AWAY, 1
        if has_failed(item):
            why = item.cause or Cause.WORK
            limit = context.settings.count(_LIMITS[why], 0) if why in _LIMITS else 0
        tried = tries.get(key, {}).get(why, 0)
        if tried < limit:
            tries.setdefault(key, {})[why] = tried + 1
            again[key] = item
        else:
            given_up[key] = item
    if not again or (given_up and not context.keep_going):
        return None
    return Standing(more_memory(now, again, abilities), tries, given_up)


def believed(seen: Mapping[str, Seen], done: Collection[str]) -> dict[str, Seen]:
    """Correct what a backend says by what is done: its jobs may end well without doing anything."""
    found = dict(seen)
    for key, item in seen.items():
        if key in done:
            found[key] = Seen(JobState.DONE)
        elif item.state is JobState.DONE:
            found[key] = Seen(JobState.FAILED, f"{item.reason} {_IDLE}".lstrip(), Cause.WORK)
    return found


def has_failed(item: Seen) -> bool:
    """Tell whether a split itself failed, rather than something before it."""
    return item.state is JobState.FAILED and item.cause is not Cause.UPSTREAM


def more_memory(now: Round, seen: Mapping[str, Seen], abilities: Abilities) -> dict[str, float]:
    """Return the GiB of the next round: twice as much for what ran out of memory."""
    asked = {key: job.resources.memory_gib for job in now.jobs for key in job.splits}
    memory = dict(now.standing.memory)
    for key, item in seen.items():
        if item.cause is Cause.MEMORY:
            memory[key] = 2 * (memory.get(key) or asked.get(key) or abilities.memory_gib)
    return memory


def wanted(context: RunContext, done: Collection[str], given_up: Collection[str]) -> set[str]:
    """Return the keys of what is still to be done, without what waits for what was given up."""
    splits = context.splits
    hopeless: set[int] = set()
    for i, split in enumerate(splits):
        if split.key in given_up or not hopeless.isdisjoint(split.upstream):
            hopeless.add(i)
    left = {split.key for i, split in enumerate(splits) if i not in hopeless}
    return left.difference(done)


def _ready(context: RunContext, done: Collection[str]) -> set[str]:
    """Return the keys of what is not done, though all that it reads is."""
    splits = context.splits
    return {
        split.key
        for split in splits
        if split.key not in done and all(splits[p].key in done for p in split.upstream)
    }
