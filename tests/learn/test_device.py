"""The device is what the worker's option says, and a name that means nothing is refused."""

from __future__ import annotations

import pytest
import torch

from swath.errors import ConfigError
from swath.learn.device import device_of


def test_the_option_decides_the_device() -> None:
    assert device_of({"device": "cpu"}) == torch.device("cpu")
    found = "cuda" if torch.cuda.is_available() else "cpu"
    assert device_of({}) == device_of({"device": "auto"}) == torch.device(found)


@pytest.mark.parametrize("name", ["gpu", "cuda:", "CPU", "cuda:x", ""])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"run.device: {name!r} is no device. Use auto, cpu"):
        device_of({"device": name})


def test_a_gpu_that_is_not_there_is_refused() -> None:
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    what = f"there is no 'cuda:{n_gpus}'" if n_gpus else "there is no GPU that torch can use"
    with pytest.raises(ConfigError, match=what):
        device_of({"device": f"cuda:{n_gpus}"})
