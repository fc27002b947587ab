"""Watching a run whose store is away for a while, or for good."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from swath.errors import (
    ConfigError,
    ForbiddenError,
    InterruptedRunError,
    RunError,
    StoreError,
    SwathError,
    TakenOverError,
    ThrottledError,
)
from swath.run.events import Event, EventWriter
from swath.run.folder import CANCELLED, RunFolder
from swath.run.runner import RunContext
from swath.run.watch import Watch, going_on
from swath.settings import load_settings


class Away:
    """A store that cannot be read a number of times."""

    def __init__(self, inner: Any, error: StoreError, n_times: int) -> None:
        self._inner = inner
        self._error = error
        self.n_left = n_times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def list(self, uri: str) -> Iterator[Any]:
        if self.n_left > 0:
            self.n_left -= 1
            raise self._error
        return self._inner.list(uri)


SLOWER = ThrottledError("the service asks to come slower.")


def run_of(error: StoreError, n_times: int) -> tuple[RunContext, list[Event]]:
    """Return a run with one event, whose store is away."""
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    writer = EventWriter(folder, "s")
    writer.write("done")
    writer.close()
    folder.store = Away(folder.store, error, n_times)
    told: list[Event] = []
    settings = load_settings(environment={})
    return RunContext(folder, (), settings, False, told.append), told


def test_store_that_is_away_for_a_while_is_told_of_once_and_nothing_is_lost(caplog):
    context, told = run_of(SLOWER, 3)
    watch = Watch(context, look_s=0.001)
    with caplog.at_level(logging.WARNING):
        while context.folder.store.n_left or not told:
            assert not watch.is_cancelled()
            time.sleep(0.001)
    assert [event.what for event in told] == ["done"]
    (said,) = caplog.messages
    assert "the run goes on" in said
    assert SLOWER.what in said


def test_look_at_once_waits_for_the_store():
    context, told = run_of(SLOWER, 3)
    context.folder.write(CANCELLED, {})
    assert Watch(context, look_s=0.001).is_cancelled(at_once=True)
    assert len(told) == 1


def test_store_that_stays_away_ends_the_watching():
    context, _ = run_of(SLOWER, 10**9)
    watch = Watch(context, look_s=0.001, away_s=0.05)
    with pytest.raises(ThrottledError):
        watch.is_cancelled(at_once=True)


def test_store_that_may_not_be_read_is_not_asked_again():
    context, _ = run_of(ForbiddenError("not yours"), 1)
    with pytest.raises(ForbiddenError):
        Watch(context).is_cancelled(at_once=True)


def test_events_that_cannot_be_passed_on_at_the_end_do_no_harm():
    context, told = run_of(ForbiddenError("not yours"), 1)
    Watch(context).pass_on()
    assert told == []


@pytest.mark.parametrize("error", [SLOWER, ConfigError("expired", mend="Log in.")])
def test_error_of_a_client_whose_work_goes_on_says_so(error):
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    with pytest.raises(RunError) as caught, going_on(folder, has_started=lambda: True):
        raise error
    assert caught.value.exit_code == 1
    assert caught.value.__cause__ is error
    assert error.what in str(caught.value)
    assert (error.mend or "") in str(caught.value)
    assert f"The jobs of the run go on; follow them with: swath wait {folder.uri}" in str(
        caught.value
    )


@pytest.mark.parametrize(
    ("error", "has_started"),
    [(ConfigError("x"), False), (InterruptedRunError("x"), True), (TakenOverError("x"), True)],
)
def test_error_of_a_client_that_started_nothing_or_was_stopped_stays_as_it_is(error, has_started):
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    with pytest.raises(SwathError) as caught, going_on(folder, has_started=lambda: has_started):
        raise error
    assert caught.value is error


def test_how_to_follow_the_jobs_is_said_once():
    folder = RunFolder.create(f"memory://{uuid4().hex}/root")
    mend = f"Follow it with: swath wait {folder.uri}"
    with pytest.raises(RunError) as caught, going_on(folder, has_started=lambda: True):
        raise RunError("another client goes on.", mend=mend)
    assert caught.value.mend == mend
