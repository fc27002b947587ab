"""Runs that outlive their clients: --detach, wait, logs --follow, cancel, retry, and kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swath.run.events import EventReader
from swath.run.folder import OUTCOME, RUN, RunFolder, runs_of
from swath.run.lease import client_of, is_in_hand, is_locked
from swath.run.life import CLIENT_LOG, Life, cancel

RUNNERS = ("inprocess", "local")


class Lives:
    """Runs of the shop whose second text waits for the file `go`, and their clients."""

    def __init__(self, shop: Any, swath_cli: Callable[..., Any]) -> None:
        self.shop = shop
        self.swath = swath_cli
        self.clients: list[subprocess.Popen[str]] = []
        shop.text("two", "wait\n")

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a client of its own."""
        client = subprocess.Popen(
            [sys.executable, "-m", "swath", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.shop.folder,
        )
        self.clients.append(client)
        return client

    def run(self, runner: str, *more: object) -> subprocess.Popen[str]:
        return self.start("run", runner, *self.shop.arguments("--splits", "2", *more))

    def detach(self, runner: str) -> str:
        """Start a run that goes on without us; return what its first client said."""
        code, out, err = ended(self.run(runner, "--detach"))
        assert code == 0, err
        return out

    def go(self) -> None:
        (self.shop.folder / "go").touch()

    @property
    def folder(self) -> RunFolder:
        return list(runs_of(self.shop.root))[-1]

    def units(self, what: str) -> Counter[str]:
        """Count events of units over all runs."""
        events = [e for folder in runs_of(self.shop.root) for e in EventReader(folder).new()]
        return Counter(e.data["unit"] for e in events if e.what == what)

    def wait_for_two(self) -> None:
        """Return when the second text is being waited for, and the first one is done."""
        until(lambda: list(runs_of(self.shop.root)))
        until(lambda: self.units("progress")["two"] and self.units("unit_done")["one"])

    def end(self) -> None:
        self.go()
        for client in self.clients:
            client.kill()
            client.communicate()
        for folder in runs_of(self.shop.root):
            cancel(folder)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def ended(client: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = client.communicate(timeout=60)
    return client.returncode, out, err


@pytest.fixture
def lives(shop: Any, swath_cli: Callable[..., Any]) -> Iterator[Lives]:
    made = Lives(shop, swath_cli)
    yield made
    made.end()


def state(lives: Lives) -> str:
    return str(json.loads(lives.swath("status", lives.folder.uri, "--json").out)["state"])


# ------------------------------------------------------------------ detached


@pytest.mark.parametrize("runner", RUNNERS)
def test_detached_run_goes_on_and_is_waited_for(lives: Lives, runner: str) -> None:
    out = lives.detach(runner)
    uri = lives.folder.uri
    assert f"goes on by itself. See swath status {uri}" in out
    lives.wait_for_two()
    assert state(lives) == "running"
    lives.go()
    answer = lives.swath("wait", uri)
    assert answer.exit_code == 0, answer.err
    link = lives.shop.root / "experiments" / "copies" / "all.txt"
    assert str(link) in answer.out
    assert link.read_text() == "1 first\n1 wait\n"
    assert state(lives) == "done"
    again = lives.swath("wait", uri, "--json")
    assert (again.exit_code, len(json.loads(again.out)["done"])) == (0, 3)
    assert set(lives.units("unit_done").values()) == {1}


@pytest.mark.parametrize("runner", RUNNERS)
def test_detached_run_that_fails_fails_who_waits(lives: Lives, runner: str) -> None:
    lives.shop.text("two", "fail\n")
    lives.detach(runner)
    answer = lives.swath("wait", lives.folder.uri)
    assert answer.exit_code == 1
    assert "copy two: ValueError: this text cannot be copied" in answer.err
    assert f"swath retry {lives.folder.uri}" in answer.err


def test_client_in_the_background_says_what_it_does_in_a_log(lives: Lives) -> None:
    lives.detach("inprocess")
    lives.wait_for_two()
    assert is_in_hand(lives.folder)
    assert lives.folder.read(RUN)["detached"] is True
    assert "copy one done" in (lives.folder.path / CLIENT_LOG).read_text()


def test_detached_run_is_followed_by_the_next_run_and_not_ended(lives: Lives) -> None:
    lives.detach("local")
    lives.wait_for_two()
    client = lives.run("local")
    until(lambda: is_in_hand(lives.folder))
    lives.go()
    code, out, err = ended(client)
    assert code == 0, err
    assert f"run {lives.folder.id} is still going on; following it" in err
    assert "all.txt" in out
    assert len(list(runs_of(lives.shop.root))) == 1
    assert lives.units("unit_done") == {"one": 1, "two": 1, "all": 1}


def test_run_whose_client_works_in_the_background_is_refused_to_a_second_one(lives: Lives) -> None:
    lives.detach("inprocess")
    lives.wait_for_two()
    answer = lives.shop.run()
    assert answer.exit_code == 2
    assert "is being run now" in answer.err


@pytest.mark.parametrize("runner", RUNNERS)
def test_detached_run_is_cancelled_and_tried_again(lives: Lives, runner: str) -> None:
    lives.detach(runner)
    lives.wait_for_two()
    uri = lives.folder.uri
    assert "was stopped" in lives.swath("cancel", uri).out
    assert not is_in_hand(lives.folder)
    assert not is_locked(lives.folder, "alive")
    assert state(lives) == "stopped"
    answer = lives.swath("wait", uri)
    assert answer.exit_code == 130
    assert "was stopped" in answer.err
    lives.go()
    again = lives.swath("retry", uri)
    assert again.exit_code == 0, again.err
    assert lives.units("unit_done") == {"one": 1, "two": 1, "all": 1}


# ------------------------------------------------------------------ clients that are killed


def test_background_client_that_was_killed_is_replaced_by_who_waits(lives: Lives) -> None:
    lives.detach("inprocess")
    lives.wait_for_two()
    pid = client_of(lives.folder)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_in_hand(lives.folder))
    assert state(lives) == "stopped"
    lives.go()
    answer = lives.swath("wait", lives.folder.uri)
    assert answer.exit_code == 0, answer.err
    assert lives.units("unit_done") == {"one": 1, "two": 1, "all": 1}


def test_run_whose_client_was_killed_is_taken_up_by_who_waits(lives: Lives) -> None:
    client = lives.run("local")
    lives.wait_for_two()
    client.kill()
    client.wait()
    assert state(lives) == "running"
    lives.go()
    answer = lives.swath("wait", lives.folder.uri)
    assert answer.exit_code == 0, answer.err
    assert lives.units("unit_done") == {"one": 1, "two": 1, "all": 1}


@pytest.mark.parametrize("runner", RUNNERS)
def test_two_clients_wait_at_once_and_hear_the_same(lives: Lives, runner: str) -> None:
    lives.detach(runner)
    lives.wait_for_two()
    clients = [lives.start("wait", lives.folder.uri, "--json") for _ in range(2)]
    time.sleep(0.5)
    lives.go()
    (code, one, err), (other_code, other, _) = map(ended, clients)
    assert (code, other_code) == (0, 0), err
    told = [json.loads(text) | {"done": None} for text in (one, other)]
    assert told[0] == told[1]
    assert lives.units("unit_done") == {"one": 1, "two": 1, "all": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_waiting_does_not_stop_the_run(lives: Lives, number: signal.Signals) -> None:
    lives.detach("local")
    lives.wait_for_two()
    client = lives.start("wait", lives.folder.uri)
    until(lambda: client_of(lives.folder) == client.pid and is_in_hand(lives.folder))
    client.send_signal(number)
    code, _, err = ended(client)
    assert code == 130
    assert f"the run goes on; swath cancel {lives.folder.uri} stops it." in err
    assert state(lives) == "running"
    lives.go()
    assert lives.swath("wait", lives.folder.uri).exit_code == 0


def test_who_works_while_waiting_stops_the_work_on_ctrl_c(lives: Lives) -> None:
    lives.detach("inprocess")
    lives.wait_for_two()
    os.kill(client_of(lives.folder) or 0, signal.SIGKILL)
    until(lambda: not is_in_hand(lives.folder))
    client = lives.start("wait", lives.folder.uri)
    until(lambda: is_in_hand(lives.folder) and lives.units("progress")["two"] == 2)
    client.send_signal(signal.SIGINT)
    code, _, err = ended(client)
    assert code == 130
    assert "was interrupted" in err
    assert state(lives) == "stopped"


# ------------------------------------------------------------------ retry


@pytest.mark.parametrize("runner", RUNNERS)
def test_retry_runs_only_what_failed_and_tells_only_of_itself(lives: Lives, runner: str) -> None:
    lives.shop.text("two", "wait\n")
    text = lives.shop.config.read_text()
    broken = text.replace('if "fail" in text:', 'if "wait" in text and not (HERE / "go").exists():')
    lives.shop.config.write_text(broken)
    assert lives.shop.run("--splits", "2", "--keep-going", runner=runner).exit_code == 1
    lives.go()
    answer = lives.swath("retry", "--root", lives.shop.root)
    assert answer.exit_code == 0, answer.err
    assert "all.txt" in answer.out
    told = [
        line.split("] ")[1].split(" in ")[0] for line in answer.err.splitlines() if "] " in line
    ]
    assert "copy two done" in told
    assert "together all done" in told
    assert "copy one done" not in told
    assert not any("FAILED" in line for line in told)
    assert lives.units("unit_done") == {"one": 1, "two": 1, "all": 1}
    assert len(list(runs_of(lives.shop.root))) == 1
    assert state(lives) == "done"
    again = lives.swath("retry", "--root", lives.shop.root)
    assert again.exit_code == 0
    assert f"everything of the run {lives.folder.id} is done already" in again.err
    assert "all.txt" in again.out
    assert lives.units("unit_done") == {"one": 1, "two": 1, "all": 1}


def test_retry_that_fails_again_says_why(lives: Lives) -> None:
    lives.shop.text("two", "fail\n")
    assert lives.shop.run().exit_code == 1
    answer = lives.swath("retry", lives.folder.uri)
    assert answer.exit_code == 1
    assert "copy two: ValueError: this text cannot be copied" in answer.err
    assert lives.units("unit_failed") == {"two": 2}


def test_retry_of_what_goes_on_is_refused(lives: Lives) -> None:
    lives.detach("local")
    answer = lives.swath("retry", lives.folder.uri)
    assert answer.exit_code == 2
    assert f"still going on.\n  where: {lives.folder.uri}" in answer.err
    assert f"swath wait {lives.folder.uri}" in answer.err


def test_retry_goes_on_without_its_client_too(lives: Lives) -> None:
    lives.detach("local")
    lives.wait_for_two()
    lives.swath("cancel", lives.folder.uri)
    code, out, _ = ended(lives.start("retry", lives.folder.uri, "--detach"))
    assert (code, "goes on by itself" in out) == (0, True)
    assert not lives.folder.has(OUTCOME)
    assert state(lives) == "running"
    lives.go()
    assert lives.swath("wait", lives.folder.uri).exit_code == 0


def test_split_that_did_not_start_in_a_retry_has_not_failed_in_it(lives: Lives) -> None:
    """What was stopped before is still to do; only what this attempt started can fail."""
    lives.shop.text("a-first", "wait\n")
    client = lives.run("local", "--set", "local.jobs=3", "--splits", "3")
    until(lambda: list(runs_of(lives.shop.root)))
    lives.wait_for_two()
    until(lambda: lives.units("progress")["a-first"] and len(lives.folder.done()) == 1)
    lives.swath("cancel", lives.folder.uri)
    ended(client)
    about = lives.folder.read(RUN)
    lives.folder.write(RUN, about | {"settings": about["settings"] | {"local.jobs": 1}})
    config = lives.shop.config.read_text()
    lives.shop.config.write_text(config.replace('if "fail" in text', 'if work.unit == "a-first"'))
    answer = lives.swath("retry", lives.folder.uri)
    assert answer.exit_code == 1
    assert "copy a-first: ValueError" in answer.err
    assert "copy two" not in answer.err
    assert "1 split that depends on it did not start" in answer.err
    assert "1 other split was not started after that; --keep-going would do it" in answer.err, (
        answer.err
    )


# ------------------------------------------------------------------ logs and workers


def test_logs_are_followed_line_by_line_to_the_end_of_the_run(lives: Lives) -> None:
    lives.detach("local")
    client = lives.start("logs", lives.folder.uri, "copy*", "--follow")
    lives.wait_for_two()
    time.sleep(0.5)
    assert client.poll() is None
    lives.go()
    code, out, err = ended(client)
    assert code == 0, err
    keys = {line.partition(" | ")[0] for line in out.splitlines()}
    assert {key.partition("-")[0] for key in keys} == {"copy"}
    assert len(keys) == 2
    assert sorted(line.rpartition("INFO ")[2] for line in out.splitlines()) == [
        "copying one",
        "copying two",
    ]


@pytest.fixture
def elsewhere(lives: Lives, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunFolder]:
    """Return a run of which all splits are done, on a Slurm that is not here."""
    lives.go()
    assert lives.shop.run("--splits", "2", runner="local").exit_code == 0
    folder = lives.folder
    folder.write(RUN, folder.read(RUN) | {"runner": "slurm"})
    empty_round = {"number": 0, "jobs": [], "memory": {}, "tries": {}, "given_up": {}}
    folder.write("rounds/0000.json", empty_round)
    outcome = folder.read(OUTCOME)
    folder.remove(OUTCOME)
    monkeypatch.setenv("PATH", str(lives.shop.folder))
    yield folder
    folder.write(OUTCOME, outcome)  # nobody can cancel it here


def test_status_tells_what_the_folder_knows_where_the_backend_cannot_be_asked(
    elsewhere: RunFolder, swath_cli: Any
) -> None:
    answer = swath_cli("status", elsewhere.uri)
    assert answer.exit_code == 0
    assert "warning: the backend cannot be asked" in answer.err
    assert "there is no squeue" in answer.err
    assert [line.split()[:2] for line in answer.out.splitlines()[2:]] == [
        ["copy", "2/2"],
        ["together", "1/1"],
    ]
    told = json.loads(swath_cli("status", elsewhere.uri, "--json").out)
    assert {split["state"] for split in told["splits"]} == {"done"}


def test_logs_are_followed_until_all_is_done_where_the_backend_cannot_be_asked(
    lives: Lives, elsewhere: RunFolder
) -> None:
    elsewhere.write(RUN, elsewhere.read(RUN) | {"settings": {"slurm.poll_s": 1}})
    last = max(elsewhere.done(), key=lambda key: key.startswith("together"))
    elsewhere.remove(f"done/{last}")
    client = lives.start("logs", elsewhere.uri, "copy*", "--follow")
    assert client.stderr is not None
    assert "there is no squeue" in client.stderr.readline()
    time.sleep(1.5)  # two looks
    assert client.poll() is None
    elsewhere.mark_done(last)
    code, out, err = ended(client)
    assert code == 0, err
    assert "squeue" not in err
    assert "copying one" in out


def test_logs_refuse_options_that_do_not_go_together(lives: Lives, swath_cli: Any) -> None:
    lives.go()
    assert lives.shop.run(runner="local").exit_code == 0
    for option in ("--json", "--backend"):
        answer = swath_cli("logs", lives.folder.uri, "--follow", option)
        assert answer.exit_code == 2
        assert "--follow prints lines" in answer.err
    assert swath_cli("logs", lives.folder.uri, "copy*", "--backend").out == ""
    assert "service kept nothing" in swath_cli("logs", lives.folder.uri, "--backend").err
    wrong = swath_cli("logs", lives.folder.uri, "cpoy*", "--backend")
    assert wrong.exit_code == 2
    assert "there are: copy-" in wrong.err


def test_doctor_tells_that_a_runner_without_needs_is_fine(swath_cli: Any) -> None:
    answer = swath_cli("doctor", "inprocess")
    assert answer.exit_code == 0
    assert answer.out.strip() == "ok  splits are done in this process, one after another"


def test_worker_of_another_version_refuses_and_the_status_says_so(lives: Lives) -> None:
    lives.go()
    lives.shop.run(runner="local")
    key = next(split.key for split in Life.of(lives.folder).context.splits)
    lives.folder.remove(f"done/{key}")
    place = Path(lives.folder.assignment_uri(key))
    place.write_text(json.dumps(json.loads(place.read_text()) | {"swath_version": "99.9"}))
    answer = lives.swath("run-command", place)
    assert answer.exit_code == 2
    assert "planned by Swath 99.9" in answer.err
    told = [e for e in EventReader(lives.folder).new() if e.split == key][-1]
    assert told.what == "failed"
    assert "Use one version" in told.data["error"]
    assert "planned by Swath 99.9" in lives.swath("status", lives.folder.uri).out


def test_split_whose_events_and_log_cannot_be_written_is_done(lives: Lives) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    lives.go()
    lives.shop.run(runner="local")
    folder = lives.folder
    key = next(split.key for split in Life.of(folder).context.splits)
    folder.remove(f"done/{key}")
    for place in (folder.path / "events" / f"{key}.jsonl", folder.path / "logs" / f"{key}.txt"):
        place.unlink()
        place.symlink_to("/dev/full")
    code, out, err = ended(lives.start("run-command", "--copy-output", folder.assignment_uri(key)))
    assert code == 0, err
    assert "events of a split are lost" in out
    assert f"some of the log of {key} is lost" in err
    assert key in folder.done()


def test_settings_of_a_run_are_those_of_its_later_clients(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives.go()
    monkeypatch.setenv("SWATH_COMMANDS_TOGETHER_CPUS", "3")
    more = ("--set", "commands.copy.memory_gib=5", "--set", "local.jobs=1")
    assert lives.shop.run(*more, runner="local").exit_code == 0
    monkeypatch.setenv("SWATH_COMMANDS_TOGETHER_CPUS", "7")
    life = Life.of(lives.folder)
    assert life.context.settings["local.jobs"] == 1
    found = {split.kind: split.resources for split in life.context.splits}
    assert found["copy"].memory_gib == 5.0
    assert found["together"].cpus == 3
