"""A whole run while its store answers errors, asks to come slower and drops connections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swath.run.folder import runs_of
from swath.store import join, open_store
from swath.testing.conformance import Diamond, Place
from swath.testing.diamond import total
from swath.testing.faults import FAULTS, FaultyProxy
from swath.testing.s3 import MotoServer

SHARE = 0.15
"""Share of the requests that fail."""


def test_run_over_a_failing_store_ends_right(
    s3_bucket: str, moto_server: MotoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"s3://{s3_bucket}/root"
    (tmp_path / "faults").mkdir()
    diamond = Diamond(Place("local", root), tmp_path / "faults")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with FaultyProxy(moto_server.url, share=SHARE, seed=3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        code, said = diamond.run()
        counts = proxy.counts()
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server.url)
    assert code == 0, said
    assert set(FAULTS) <= set(counts), "every kind of fault met a request"
    outputs = json.loads(open_store(root).read(join(root, "experiments/diamond/outputs.json")))
    assert open_store(root).read(outputs["total.txt"]) == str(total(6)).encode()
    (folder,) = runs_of(root)
    assert folder.done() == {split["key"] for split in folder.read_plan()["splits"]}
    # What a request had done whose answer was lost is not done again under another name.
    store = open_store(root)
    parts = [join(root, name) for name, _ in store.list(root) if "/records/" in name]
    done = [json.loads(line)["fingerprint"] for p in parts for line in store.read(p).splitlines()]
    assert len(done) == len(set(done)) == 3 * 6 + 1
