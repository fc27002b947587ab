"""`run` and what looks at a run: results, failures, `status`, `logs`, `cancel`, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest


@pytest.fixture
def background(shop: Any) -> Iterator[Any]:
    """Return a function that starts a run of its own process, and a text that it waits for."""
    shop.text("two", "wait\n")
    started: list[subprocess.Popen[str]] = []

    def start(*more: object) -> subprocess.Popen[str]:
        arguments = map(str, ["run", "local", *shop.arguments("--splits", "2", *more)])
        # As a shell starts what goes to the background: deaf to Ctrl-C until it says otherwise.
        deaf = ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
        process = subprocess.Popen(
            [*deaf, sys.executable, "-m", "swath", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=shop.folder,
        )
        started.append(process)
        return process

    yield start
    (shop.folder / "go").touch()
    for process in started:
        process.kill()
        process.communicate()


def wait_for_copy_of_one(shop: Any) -> None:
    """Return when the first text is copied and on record, and the second one is waited for."""
    end = time.monotonic() + 60
    while not any('"unit_done",{"unit":"one"' in text for text in events(shop)):
        assert time.monotonic() < end
        time.sleep(0.02)
    while not any('"progress",{"unit":"two"' in text for text in events(shop)):
        assert time.monotonic() < end
        time.sleep(0.02)


def events(shop: Any) -> list[str]:
    return [path.read_text() for path in shop.root.glob("runs/*/events/*.jsonl")]


def living(group: int) -> list[str]:
    """Return the command lines of the processes of a group; what is only to be reaped is dead."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def test_run_prints_the_links_to_results_and_json_holds_them(shop: Any) -> None:
    answer = shop.run(runner="local")
    assert answer.exit_code == 0, answer.err
    link = shop.root / "experiments" / "copies" / "all.txt"
    assert answer.out.split("\n") == ["", "copies", "result   path", f"all.txt  {link}", ""]
    assert link.read_text() == "1 first\n1 second\n"
    told = json.loads(shop.run("--json").out)
    assert told == {
        "run": None,
        "done": [],
        "failed": [],
        "waiting": [],
        "results": {"copies": {"all.txt": str(link)}},
    }


def test_plain_lines_tell_each_finished_unit(shop: Any) -> None:
    lines = [line for line in shop.run().err.splitlines() if line.startswith("[")]
    assert [line.split("] ")[1].split(" in ")[0] for line in lines] == [
        "copy one 50 % loss 0.5",
        "copy one done",
        "copy two done",
        "together all done",
    ]


@pytest.mark.parametrize("runner", ["inprocess", "local"])
def test_failed_unit_is_named_with_reason_and_what_to_do(shop: Any, runner: str) -> None:
    shop.text("two", "fail\n")
    answer = shop.run(runner=runner)
    assert answer.exit_code == 1
    assert "copy two: ValueError: this text cannot be copied" in answer.err
    assert "1 split that depends on it did not start" in answer.err
    assert "swath logs" in answer.err
    shop.text("two", "better\n")
    again = shop.run(runner=runner)
    assert again.exit_code == 0
    assert "copy one" not in again.err.partition("run 2")[2]  # one was done before


@pytest.mark.parametrize("runner", ["inprocess", "local"])
def test_keep_going_finishes_what_does_not_depend_on_a_failure(shop: Any, runner: str) -> None:
    shop.text("a-first", "fail\n")
    assert shop.run("--splits", "3", "--set", "local.jobs=1", runner=runner).exit_code == 1
    assert list(shop.root.glob("copy/*/two-*/copy.txt")) == []
    answer = shop.run("--splits", "3", "--keep-going", runner=runner)
    assert answer.exit_code == 1
    assert "copy a-first" in answer.err
    assert sorted(path.parent.name[:3] for path in shop.root.glob("copy/*/*/copy.txt")) == [
        "one",
        "two",
    ]


def test_touch_takes_earlier_outputs_over(shop: Any, swath_cli: Any) -> None:
    assert shop.run().exit_code == 0
    shop.text("two", "no matter\n")
    answer = shop.run("--touch")
    assert (answer.exit_code, answer.out) == (0, "2 units taken over, 0 without earlier outputs.\n")
    again = shop.run()
    assert "nothing to run" in again.err
    link = shop.root / "experiments" / "copies" / "all.txt"
    assert link.read_text() == "1 first\n1 second\n"


def test_touch_without_earlier_outputs_says_what_is_left(shop: Any) -> None:
    answer = shop.run("--touch")
    assert answer.out.splitlines() == [
        "0 units taken over, 3 without earlier outputs.",
        "  copy one: still to run",
        "  copy two: still to run",
        "  together all: still to run",
    ]


def test_status_tells_of_every_kind_and_of_failures(shop: Any, swath_cli: Any) -> None:
    shop.text("two", "fail\n")
    shop.run("--splits", "2", "--keep-going", runner="local")
    answer = swath_cli("status", "--root", shop.root)
    assert answer.exit_code == 0
    head, _, copy, together, failed = answer.out.splitlines()
    assert head.endswith("(copies): failed")
    assert copy.split()[:4] == ["copy", "1/2", "1", "1"]  # one done, one failed
    assert together.split()[:3] == ["together", "0/1", "1"]  # one waiting
    assert failed == "failed: copy two: ValueError: this text cannot be copied"
    assert "Traceback" in swath_cli("status", "latest", "--root", shop.root, "-v").out
    told = json.loads(swath_cli("status", "--root", shop.root, "--json").out)
    assert told["state"] == "failed"
    assert sorted(split["state"] for split in told["splits"]) == ["done", "failed", "waiting"]


def test_logs_of_matching_splits_are_printed(shop: Any, swath_cli: Any) -> None:
    shop.text("two", "fail\n")
    shop.run(runner="local")
    answer = swath_cli("logs", "latest", "copy*", "--root", shop.root)
    assert answer.exit_code == 0
    assert "==> copy-" in answer.out
    assert "INFO copying one" in answer.out
    assert "ValueError: this text cannot be copied" in answer.out
    texts = json.loads(swath_cli("logs", "--root", shop.root, "--json").out)
    assert [key.split("-")[0] for key in texts] == ["copy"]
    wrong = swath_cli("logs", "latest", "cpoy*", "--root", shop.root)
    assert wrong.exit_code == 2
    assert "there are: copy-" in wrong.err


@pytest.mark.parametrize("command", ["status", "logs", "cancel"])
def test_unknown_run_is_refused_with_the_latest_ones(
    command: str, shop: Any, swath_cli: Any
) -> None:
    shop.run()
    (run,) = (shop.root / "runs").iterdir()
    answer = swath_cli(command, "no-such", "--root", shop.root)
    assert answer.exit_code == 2
    assert run.name in answer.err
    assert "--root" in swath_cli(command, "no-such").err


def test_cancel_stops_a_run_and_running_again_goes_on(
    shop: Any, background: Any, swath_cli: Any
) -> None:
    process = background()
    wait_for_copy_of_one(shop)
    assert "running" in swath_cli("status", "--root", shop.root).out
    busy = shop.run()
    assert busy.exit_code == 2
    assert "is being run now" in busy.err
    assert "swath cancel" in busy.err
    answer = swath_cli("cancel", "--root", shop.root)
    assert answer.exit_code == 0
    assert "was stopped" in answer.out
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "stopped" in swath_cli("status", "--root", shop.root).out.splitlines()[0]
    assert "not running" in swath_cli("cancel", "--root", shop.root).out
    told_again = json.loads(swath_cli("cancel", "--root", shop.root, "--json").out)
    assert told_again["stopped"] is False
    (shop.folder / "go").touch()
    again = shop.run()
    assert again.exit_code == 0
    assert "copy two done" in again.err
    assert "copy one done" not in again.err


def test_ctrl_c_stops_all_processes_exits_130_and_the_run_can_go_on(
    shop: Any, background: Any
) -> None:
    process = background()
    wait_for_copy_of_one(shop)
    (group,) = shop.root.glob("runs/*/group")
    workers = int(group.read_text().split()[0])
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted; what was finished stays finished" in told
    assert "Run again to go on." in told
    assert living(workers) == []
    (shop.folder / "go").touch()
    assert shop.run().exit_code == 0


def test_run_command_on_a_missing_file_says_so(swath_cli: Any, tmp_path: Path) -> None:
    answer = swath_cli("run-command", tmp_path / "no-such.json")
    assert answer.exit_code == 2
    assert answer.err.startswith(f"error: there is no assignment {tmp_path / 'no-such.json'}")


def test_run_command_of_a_done_split_does_nothing(shop: Any) -> None:
    assert shop.run(runner="local").exit_code == 0
    (first, *_) = sorted(shop.root.glob("runs/*/commands/copy*.json"))
    (output,) = shop.root.glob("copy/*/one-*/copy.txt")
    before = output.stat().st_mtime_ns
    worker = [sys.executable, "-m", "swath", "run-command", str(first)]
    assert subprocess.run(worker, check=False).returncode == 0
    assert output.stat().st_mtime_ns == before


def test_makefile_of_a_run_stands_on_its_own(shop: Any) -> None:
    assert shop.run(runner="local").exit_code == 0
    (run,) = (shop.root / "runs").iterdir()
    for path in (run / "done").iterdir():
        path.unlink()
    made = subprocess.run(["make", "-j2"], cwd=run, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert len(list((run / "done").iterdir())) == 2
