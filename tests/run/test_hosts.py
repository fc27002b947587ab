"""Instances of a job as an array: which is which, and how they end together."""

from __future__ import annotations

import json
import threading

import pytest

from swath.errors import ConfigError
from swath.run.folder import RunFolder
from swath.run.hosts import (
    FILES,
    OPT_ML,
    failures,
    forget_failures,
    host_index,
    host_name,
    note_failure,
    wait_for_others,
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("n", [1, 12])
def test_hosts_of_a_job_have_an_index_each(tmp_path, monkeypatch, name, n):
    monkeypatch.setenv(OPT_ML, str(tmp_path))
    hosts = [f"algo-{i + 1}" for i in range(n)]
    (tmp_path / name).parent.mkdir(parents=True)
    found = {}
    for host in hosts:
        (tmp_path / name).write_text(json.dumps({"current_host": host, "hosts": hosts}))
        found[host_index()] = host
    assert found == {i: host_name(i, n) for i in range(n)}
    assert sorted(found.values()) == sorted(hosts)


def test_what_is_no_job_of_sagemaker_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv(OPT_ML, str(tmp_path))
    with pytest.raises(ConfigError, match=r"no config/resourceconfig\.json"):
        host_index()


def test_host_that_failed_waits_until_all_others_have_ended(tmp_path):
    folder = RunFolder.create(tmp_path)
    note_failure(folder, "a")
    note_failure(folder, "b")
    forget_failures(folder, {"b"})
    assert failures(folder) == {"a"}
    waiting = threading.Thread(target=wait_for_others, args=(folder, ["a", "b", "c"]))
    waiting.start()
    folder.mark_done("b")
    waiting.join(0.5)
    assert waiting.is_alive()
    note_failure(folder, "c")
    waiting.join(10)
    assert not waiting.is_alive()


def test_assignment_may_come_in_parts(swath_cli, tmp_path):
    place = f"{tmp_path}/root/runs/r1/commands/chip-1.json"
    answer = swath_cli("run-command", place[:20], place[20:40], place[40:])
    assert f"there is no assignment {place}" in answer.err
