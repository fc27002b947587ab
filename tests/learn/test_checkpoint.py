"""A state on disk is whole, or it is not there."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from swath.learn.checkpoint import FILE, Position, load_state, save_state, write_tensors


def _training() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return model, optimizer


@pytest.mark.parametrize("damage", ["empty", "truncated", "zeros", "no position"])
def test_a_state_that_cannot_be_read_is_discarded_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    """After a loss of power every further attempt failed on it."""
    save_state(tmp_path, *_training(), Position(epoch=3))
    path = tmp_path / FILE
    whole = path.read_bytes()
    if damage == "no position":
        save_file({"x": torch.zeros(1)}, path)
    else:
        part = {"empty": b"", "truncated": whole[:-8], "zeros": bytes(len(whole))}[damage]
        path.write_bytes(part)
    model, optimizer = _training()
    before = [each.clone() for each in model.parameters()]
    with caplog.at_level(logging.WARNING, "swath"):
        assert load_state(tmp_path, model, optimizer) is None
    assert "cannot be read" in caplog.text
    assert "training starts from the beginning" in caplog.text
    assert not path.exists()
    assert all(map(torch.equal, before, model.parameters()))


def test_a_whole_state_is_taken_up(tmp_path: Path) -> None:
    model, optimizer = _training()
    save_state(tmp_path, model, optimizer, Position(epoch=3, step=2))
    other, its_optimizer = _training()
    assert load_state(tmp_path, other, its_optimizer) == Position(epoch=3, step=2)
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_tensors_are_on_disk_before_they_get_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, fsync, flushed = tmp_path / "weights.safetensors", os.fsync, []

    def noted(descriptor: int) -> None:
        assert not path.exists()
        flushed.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    write_tensors(path, {"x": torch.ones(2)}, {})
    assert flushed == [path.stat().st_ino]
    assert load_file(path)["x"].tolist() == [1, 1]
