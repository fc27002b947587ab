"""Rounds: written before anything is submitted, by one client, and read back as they were."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest

from swath.errors import RunError
from swath.plan.command import Resources
from swath.run.folder import RunFolder
from swath.run.jobs import Edge, Job
from swath.run.rounds import (
    Round,
    Standing,
    array_uri,
    ids_of,
    last_round,
    note_id,
    write_round,
)
from swath.run.runner import Cause, JobState, Seen
from swath.run.worker_arguments import job_arguments

ARRAY = Job("r-a", "a", ("a-0", "a-1"), (), Resources(memory_gib=2.0))
SINGLE = Job("r-b", "b", ("b-0",), (Edge("r-a", is_each=False),), Resources(cpus=4, gpus=1))
RELAY = Job("r-b-after-0", "", (), (Edge("r-a", is_each=False),), Resources())
STANDING = Standing(
    memory={"a-0": 4.0},
    tries={"a-0": {"memory": 1}},
    given_up={
        "c-0": Seen(JobState.FAILED, "exit code 1", Cause.WORK),
        "d-0": Seen(JobState.GONE, "never"),
    },
)


@pytest.fixture(params=["disk", "store"])
def folder(request, tmp_path):
    root = tmp_path if request.param == "disk" else f"memory://{uuid4().hex}/root"
    return RunFolder.create(root)


def test_round_is_read_back_as_it_was_written_and_the_last_one_counts(folder):
    assert last_round(folder) is None
    rounds = [Round(n, (ARRAY, RELAY, SINGLE), STANDING if n else Standing()) for n in range(11)]
    for each in rounds:
        write_round(folder, each)
        assert last_round(folder) == each


def test_splits_of_an_array_lie_where_its_workers_look_for_them(folder):
    write_round(folder, Round(0, (ARRAY, RELAY, SINGLE)))
    assert json.loads(folder.store.read(array_uri(folder, ARRAY))) == ["a-0", "a-1"]
    assert job_arguments(folder, ARRAY, "INDEX")[-3:] == [
        "--array-index",
        "INDEX",
        array_uri(folder, ARRAY),
    ]
    assert job_arguments(folder, SINGLE, "INDEX")[-1] == folder.assignment_uri("b-0")
    assert not folder.store.exists(array_uri(folder, SINGLE))


def test_of_two_clients_one_writes_a_round(folder):
    write_round(folder, Round(0, (ARRAY,)))
    with pytest.raises(RunError, match="another client goes on with the run"):
        write_round(folder, Round(0, (SINGLE,)))
    assert last_round(folder).jobs == (ARRAY,)


def test_ids_are_those_of_the_jobs_of_a_round_as_far_as_they_are_noted(folder):
    assert ids_of(folder, [ARRAY]) == {}
    note_id(folder, "r-a", "id-1")
    note_id(folder, "of-another-round", "id-2")
    assert ids_of(folder, [ARRAY, SINGLE]) == {"r-a": "id-1"}
