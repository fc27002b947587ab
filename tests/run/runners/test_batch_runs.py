"""Whole runs on AWS Batch and S3 on loopback: the command line, real workers, killed clients."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import swath
from swath.store import open_store
from swath.testing import FakeBatch

SETTINGS = {
    "SWATH_BATCH_CPU_QUEUE": "cpu",
    "SWATH_BATCH_GPU_QUEUE": "gpu",
    "SWATH_BATCH_CPU_DEFINITION": "worker",
    "SWATH_BATCH_GPU_DEFINITION": "worker-gpu",
    "SWATH_AWS_POLL_S": "1",
}
N_KILLS = 10
N_STEPS = 24


@pytest.fixture
def batch(s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeBatch]:
    image = f"registry/swath:{swath.__version__}"
    role = {"jobRoleArn": "arn:aws:iam::123456789012:role/worker"}
    with FakeBatch() as fake:
        fake.add_queue("cpu", slots=4)
        fake.add_queue("gpu", slots=4, gpus=4, instance_types=["g5"])
        fake.add_definition("worker", image=image, properties=role)
        fake.add_definition("worker-gpu", image=image, gpus=1, properties=role)
        places = {
            "AWS_ENDPOINT_URL_BATCH": fake.endpoint,
            "PYTHONPATH": str(Path(__file__).parent),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        for name, value in (places | SETTINGS).items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
def land_cover(batch: FakeBatch, s3_bucket: str) -> tuple[str, ...]:
    """Return the words of the example of the documentation, with its scenes on S3."""
    raw = f"s3://{s3_bucket}/raw"
    for name in "abcdefgh":
        open_store(raw).write(f"{raw}/{name}.txt", (name * 3).encode())
    places = ("-a", "raw_uri", raw, "-a", "root_uri", f"s3://{s3_bucket}/root")
    return ("run", "batch", "land_cover", *places, "--splits", "5")


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "swath", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run(*words: str) -> tuple[int, str, str]:
    process = start(*words)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def read_result(root: str, experiment: str, name: str) -> bytes:
    place = f"{root}/experiments/{experiment}/outputs.json"
    uri = json.loads(open_store(place).read(place))[name]
    return open_store(uri).read(uri)


def by_kind(requests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {item["tags"]["swath-kind"]: item for item in requests}
    assert len(found) == len(requests)
    return found


def test_chip_is_an_array_train_waits_for_it_and_predict_is_an_array_after_train(
    batch: FakeBatch, land_cover: tuple[str, ...], s3_bucket: str
) -> None:
    code, out, err = run(*land_cover, "--dry-run", "--json")
    assert code == 0, err
    assert batch.count("SubmitJob") == 0
    shown = by_kind(json.loads(out))

    code, _, err = run(*land_cover)
    assert code == 0, err
    sent = by_kind(batch.received("SubmitJob"))
    assert list(shown) == list(sent) == ["chip", "train", "predict"]
    sizes = {kind: item.get("arrayProperties", {}).get("size") for kind, item in sent.items()}
    assert sizes == {"chip": 5, "train": None, "predict": 5}
    queues = {kind: (item["jobQueue"], item["jobDefinition"]) for kind, item in sent.items()}
    assert queues == {
        "chip": ("cpu", "worker"),
        "train": ("gpu", "worker-gpu"),
        "predict": ("gpu", "worker-gpu"),
    }
    names = [
        [batch.job(edge["jobId"])["jobName"] for edge in item["dependsOn"]]
        for item in sent.values()
    ]
    assert names == [[], [sent["chip"]["jobName"]], [sent["train"]["jobName"]]]
    placeholders = [str(item["dependsOn"]) for item in shown.values()]
    assert placeholders[0] == "[]"
    assert re.search("'<id of .*-chip-.*>'", placeholders[1])
    assert re.search("'<id of .*-train-.*>'", placeholders[2])
    assert anonymous(shown) == anonymous(sent)
    assert read_result(f"s3://{s3_bucket}/root", "land-cover", "a.txt") == b"AAA"


def anonymous(requests: dict[str, dict[str, Any]]) -> str:
    """Return requests without their dependencies and the id of their run."""
    bare = [{**item, "dependsOn": []} for item in requests.values()]
    return re.sub(r"\d{8}-\d{6}-[0-9a-f]{5}", "RUN", json.dumps(bare))


def test_failed_chip_fails_its_dependants_with_the_reason_shown_by_status(
    batch: FakeBatch, land_cover: tuple[str, ...], s3_bucket: str
) -> None:
    raw = f"s3://{s3_bucket}/raw/c.txt"
    open_store(raw).write(raw, b"bad")
    code, _, err = run(*land_cover, "--keep-going")
    assert code == 1
    assert "chip c: ValueError: scene c cannot be read" in err
    assert "6 splits that depend on it did not start" in err
    folder = re.search(r"s3://\S+/runs/[\w-]+", err)
    assert folder is not None
    code, out, _ = run("status", folder[0])
    assert "failed: chip c: ValueError: scene c cannot be read" in out
    assert re.search(r"waiting: train \(train-\S+\): Dependent Job failed \([\w-]+\)", out)
    assert re.search(r"waiting: predict \(5 splits\): Dependent Job failed \([\w-]+\)", out)

    open_store(raw).write(raw, b"ccc")
    code, _, err = run(*land_cover)
    assert code == 0, err
    again = by_kind(batch.received("SubmitJob")[3:])
    assert "arrayProperties" not in again["chip"], "only the scene that had failed"


@pytest.mark.slow
def test_client_killed_again_and_again_while_it_submits_submits_nothing_twice(
    batch: FakeBatch, s3_bucket: str, tmp_path: Path
) -> None:
    rng = random.Random(20261121)
    batch.throttle_share(0.5, "SubmitJob", seed=20261121)  # so that there is time between two jobs
    go = tmp_path / "go"
    root = f"s3://{s3_bucket}/root"
    words = ("run", "batch", "steps", "-a", "root_uri", root, "-a", "go", str(go))

    def n_submitted() -> int:
        return len(batch.received("SubmitJob"))

    for number in range(N_KILLS):
        # The first are killed before they submit anything, the others after another job or two.
        wanted = n_submitted() + (0 if number < 2 else rng.randint(1, 2))
        patience_s = rng.random() * (2.0 if number < 2 else 0.02)
        client = start(*words)
        try:
            while n_submitted() < wanted:
                assert client.poll() is None, client.communicate()
                time.sleep(0.001)
            time.sleep(patience_s)
        finally:
            client.kill()
            client.communicate()
    assert N_KILLS - 2 <= n_submitted() < N_STEPS
    go.touch()
    batch.heal()
    code, _, err = run(*words)
    assert code == 0, err
    names = Counter(item["jobName"] for item in batch.received("SubmitJob"))
    assert len(names) == N_STEPS
    assert set(names.values()) == {1}
    assert read_result(root, "steps", "count.txt") == b"6"  # 23, 11, 5, 2, 1, 0
