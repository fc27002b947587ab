"""The state of a training on disk: everything that is needed to go on exactly where it stopped.

Not the finished model (`swath.learn.description`). One idea: one file, written under another name
and renamed, holds tensors as safetensors and the rest as JSON in its metadata; no pickle, so a
state from elsewhere runs no code.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from swath.store.local import flush_to_disk

LOG = logging.getLogger(__name__)
FILE = "state.safetensors"


@dataclass
class Position:
    """Where a training is.

    Attributes
    ----------
    epoch, step
        The next step to take, both from 0; `step` counts within the epoch.
    loss_sum, n_chips
        Of this epoch so far: the sum of losses times chips, and chips seen.
    history
        One row of numbers per finished epoch.
    best_epoch, best_value
        The best epoch so far by the monitored value; None before the first.
    n_threads
        Threads that torch summed up with from the first step on; None: not known.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    n_chips: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    best_value: float | None = None
    n_threads: int | None = None


def save_state(folder: Path, model: nn.Module, optimizer: Optimizer, position: Position) -> None:
    """Write the state of a training, atomically: a kill leaves the old state or the new one."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    tensors["random.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random.cuda"] = torch.cuda.get_rng_state()
    write_tensors(folder / FILE, tensors, {"position": json.dumps(asdict(position))})


def load_state(folder: Path, model: nn.Module, optimizer: Optimizer) -> Position | None:
    """Bring a training back to where `save_state` left it; None if there is no state.

    A file that cannot be read, as after a loss of power, is removed with a warning: it would make
    every further attempt fail, and what it held can be computed again.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            position = Position(**json.loads(file.metadata()["position"]))
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no dict
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        LOG.warning("%s cannot be read (%s): training starts from the beginning", path, error)
        path.unlink()
        return None
    model.load_state_dict(_below("model.", tensors))
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for key, value in _below("optimizer.", tensors).items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = _laid_out_like(parameters[int(index)], value)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    torch.set_rng_state(tensors["random.cpu"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])
    return position


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """Give a moment the memory format of its parameter: another one is rounded otherwise."""
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file under another name, then rename it.

    Parameters
    ----------
    path
        File to replace.
    tensors
        Name to tensor, on any device and in any memory format; values are written in C order.
    metadata
        Text to go with them.
    """
    plain = {
        name: value.detach().to("cpu", memory_format=torch.contiguous_format).contiguous().clone()
        for name, value in tensors.items()
    }
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    save_file(plain, partial, metadata=metadata)
    flush_to_disk(partial)  # else a loss of power may leave the name without the bytes
    partial.replace(path)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
