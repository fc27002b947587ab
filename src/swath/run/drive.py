"""The loop that drives a backend: starts what is ready, waits, and goes on."""

from __future__ import annotations

from swath.errors import InterruptedRunError
from swath.run.runner import DrivenBackend, Outcome, RunContext, outcome_of


def drive(context: RunContext, backend: DrivenBackend, max_running: int) -> Outcome:
    """Run every split of the plan on `backend`, at most `max_running` at once.

    A split is started when all splits that it reads from are done. After a failure nothing new is
    started, or, to keep going, nothing that depends on it.

    Raises
    ------
    InterruptedRunError
        If the user interrupts; everything that was started is stopped.
    """
    splits = context.plan.splits
    waits_for = [set(split.upstream) for split in splits]
    number = {split.key: i for i, split in enumerate(splits)}
    consumers: list[list[int]] = [[] for _ in splits]
    for i, split in enumerate(splits):
        for producer in split.upstream:
            consumers[producer].append(i)
    ready = [i for i, producers in enumerate(waits_for) if not producers]
    running: set[int] = set()
    done: list[str] = []
    failed: list[str] = []
    try:
        while running or (ready and (context.keep_going or not failed)):
            while ready and len(running) < max_running and (context.keep_going or not failed):
                started = ready.pop(0)
                backend.start(splits[started].key)
                running.add(started)
            for key, succeeded in backend.wait().items():
                ended = number[key]
                running.remove(ended)
                if not succeeded:
                    failed.append(key)
                    continue
                done.append(key)
                for consumer in consumers[ended]:
                    waits_for[consumer].remove(ended)
                    if not waits_for[consumer]:
                        ready.append(consumer)
                ready.sort()
    except (KeyboardInterrupt, InterruptedRunError):
        backend.cancel()
        raise InterruptedRunError(
            "the run was interrupted; what was finished stays finished.",
            mend="Run again to go on.",
        ) from None
    return outcome_of(context.plan, done, failed)
