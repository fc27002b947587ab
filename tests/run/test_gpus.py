"""Devices and who has them."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import pytest

from swath.run.gpus import take_devices


@pytest.fixture(autouse=True)
def one_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def release(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def test_device_is_waited_for_until_it_is_given_back():
    first = take_devices(1)
    second: list[int] = []
    waiting = threading.Thread(target=lambda: second.extend(take_devices(1, poll_s=0.01)))
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive()
    release(first)
    waiting.join(10)
    assert second
    release(second)


def test_jobs_of_slurm_that_all_call_their_device_0_do_not_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
):
    held = []
    for job in ("17", "18"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        held += take_devices(1)
    assert len(held) == 2
    release(held)


def test_without_devices_nothing_is_taken(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert take_devices(1) == []
