"""The demo, from image to bundle, with every runner: the same bytes from one config file.

Image and labels lie on an S3, so that `root_uri` and the runner are the only differences. Every
split takes one thread: sums in another order round in another way, and training would give other
weights. Given those, all that follows is the same anyway.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from swath.run.folder import RunFolder, runs_of
from swath.store import open_store
from swath.testing.conformance import Place
from swath.testing.s3 import MotoServer

DEMO = Path(__file__).parents[2] / "examples" / "olinda"
BUCKET = "olinda"
KINDS = {"analyze", "chip", "train", "predict", "mosaic", "evaluate", "score", "bundle"}
CLOCKS = {("train", "model", "history")}
"""Outputs in which the time is written that something took."""


@pytest.fixture
def raw_uri(s3_bucket: str, moto_server: MotoServer) -> str:
    """Put image and labels into a bucket that has one name for all test processes."""
    client: Any = moto_server.client()
    client.create_bucket(Bucket=BUCKET)
    for name in ("L7_ETMs.tif", "labels.tif"):
        client.put_object(Bucket=BUCKET, Key=name, Body=(DEMO / name).read_bytes())
    return f"s3://{BUCKET}"


def digests(folder: RunFolder) -> dict[str, str]:
    """Return a hash of every output of a run."""
    found = {}
    for node in folder.read_plan()["nodes"]:
        for unit in node["units"]:
            for name, uri in unit["outputs"].items():
                if (node["kind"], unit["name"], name) not in CLOCKS:
                    data = open_store(uri).read(uri)
                    title = f"{node['kind']} {unit['name']} {name}"
                    found[title] = hashlib.sha256(data).hexdigest()
    return found


def agreed(folder: Path, runner: str, found: Mapping[str, str]) -> Mapping[str, str]:
    """Return what the first runner of this session found, whichever process tried it."""
    with (folder / "demo-digests.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if not text:
            file.write(json.dumps(dict(found)))
            return found
    first: Mapping[str, str] = json.loads(text)
    return first


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_demo_gives_the_same_bytes_with_every_runner(
    raw_uri: str, place: Place, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> None:
    words = ["run", place.runner, str(DEMO / "experiment.py"), "--splits", "2"]
    words += ["-a", "raw_uri", raw_uri, "-a", "root_uri", place.root_uri, "-a", "epochs", "1"]
    for setting in (*place.settings, "run.threads=1", "run.device=cpu"):
        words += ["--set", setting]
    ended = subprocess.run(
        [sys.executable, "-m", "swath", *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    (folder,) = runs_of(place.root_uri)
    found = digests(folder)
    assert {title.partition(" ")[0] for title in found} == KINDS
    base = tmp_path_factory.getbasetemp()
    first = agreed(base if worker_id == "master" else base.parent, place.runner, found)
    assert {title for title in found if found[title] != first.get(title)} == set()
    assert set(found) == set(first)
