"""The loop of training, for any task: steps, validation, best epoch, state on disk.

Not here: what a loss or a target is; the task gives a `Learner`. One idea: what happens in a step
depends on the state of model and optimiser and on the number of the step alone, so a training that
was killed goes on as if nothing had happened. The number of threads is part of that state: it
decides the order in which torch sums up, hence the last digits.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from logging import Logger
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from swath.errors import ConfigError, RunError
from swath.learn.checkpoint import Position, load_state, save_state, write_tensors
from swath.learn.schedule import learning_rate_at
from swath.learn.spec import Precision, TrainOptions

Progress = Callable[..., None]

MOMENTUM = 0.9  # of sgd


class Learner(Protocol):
    """What a task gives to the loop."""

    model: nn.Module

    def n_batches(self, epoch: int) -> int:
        """Return the number of steps of an epoch."""
        ...

    def batches(self, epoch: int, first: int) -> Generator[tuple[Tensor, Any]]:
        """Yield (images, targets) of an epoch from the step `first` on, on the device."""
        ...

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss of a batch."""
        ...

    def validate(self) -> dict[str, float]:
        """Return numbers over the validation chips, among them the monitored one."""
        ...


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes
    ----------
    history
        One row of numbers per epoch, the epoch counted from 1.
    best_epoch
        The epoch, from 1, whose weights are the result.
    best
        File with these weights.
    """

    history: list[dict[str, float]]
    best_epoch: int
    best: Path


@dataclass
class Trainer:
    """Trains a learner's model.

    Attributes
    ----------
    learner
        Model, batches, loss and validation.
    options
        How to train.
    device
        Where the model is.
    state_dir
        Folder for the state; a state found there is gone on from.
    checkpoint_seconds
        Longest time between two states within an epoch; every epoch also ends with one.
    progress
        Called with (done, total) steps and numbers.
    log
        One line per epoch.
    """

    learner: Learner
    options: TrainOptions
    device: torch.device
    state_dir: Path
    checkpoint_seconds: float
    progress: Progress
    log: Logger

    def fit(self) -> Trained:
        """Train to the end, or until nothing gets better; return the best epoch.

        Raises
        ------
        RunError
            If the loss is no longer a finite number.

        Notes
        -----
        A training that goes on uses as many threads of torch as it began with, whatever the
        process was given, and leaves that number set; `swath.learn.device.torch_settings` puts
        back the old one.
        """
        model = self.learner.model
        optimizer = make_optimizer(model, self.options)
        torch.manual_seed(self.options.seed)  # dropout; batches draw from their own generators
        position = load_state(self.state_dir, model, optimizer) or Position()
        self._keep_threads(position)
        if position.epoch or position.step:
            self.log.info("going on at epoch %d, step %d", position.epoch + 1, position.step + 1)
        while position.epoch < self.options.epochs and not self._is_stale(position):
            self._train_epoch(optimizer, position)
            self._finish_epoch(position)
            save_state(self.state_dir, model, optimizer, position)
            self._remove_old_weights(position)
        assert position.best_epoch is not None
        best = self._weights_file(position.best_epoch)
        return Trained(position.history, position.best_epoch + 1, best)

    def _keep_threads(self, position: Position) -> None:
        n_threads = torch.get_num_threads()
        if position.n_threads is None:
            position.n_threads = n_threads
        elif position.n_threads != n_threads:
            self.log.info("going on with %d threads, as it began", position.n_threads)
            torch.set_num_threads(position.n_threads)

    def _train_epoch(self, optimizer: Optimizer, position: Position) -> None:
        model = self.learner.model.train()
        n_steps = self.learner.n_batches(position.epoch)
        total = n_steps * self.options.epochs
        saved_at = time.monotonic()
        loss_sum = torch.tensor(position.loss_sum, dtype=torch.float64, device=self.device)
        with closing(self.learner.batches(position.epoch, position.step)) as batches:
            for images, targets in batches:
                done = position.epoch * n_steps + position.step
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate_at(done, total, self.options)
                optimizer.zero_grad(set_to_none=True)
                outputs = self._outputs(images)
                loss = self.learner.loss(outputs, targets)
                loss.backward()
                optimizer.step()
                loss_sum += loss.detach().double() * len(images)
                position.n_chips += len(images)
                position.step += 1
                self.progress(done + 1, total, epoch=position.epoch + 1)
                if time.monotonic() - saved_at >= self.checkpoint_seconds:
                    position.loss_sum = float(loss_sum)
                    save_state(self.state_dir, model, optimizer, position)
                    saved_at = time.monotonic()
        position.loss_sum = float(loss_sum)
        if not math.isfinite(position.loss_sum):
            raise RunError(
                f"the loss is {position.loss_sum} in epoch {position.epoch + 1}.",
                where="train",
                mend="Use a smaller train.learning_rate.",
            )

    def _outputs(self, images: Tensor) -> Any:
        try:
            with arithmetic(self.device, self.options.precision):
                return self.learner.model(images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"{len(images)} chip in a step is too few: batch normalisation finds no spread.",
                where="train.batch_size",
                mend="Use a batch_size of at least 2 and more than one training chip.",
            ) from error

    def _finish_epoch(self, position: Position) -> None:
        numbers = self.learner.validate()
        row = {
            "epoch": position.epoch + 1,
            "loss": position.loss_sum / position.n_chips,
            **{f"validation_{name}": value for name, value in numbers.items()},
        }
        position.history.append(row)
        self.log.info("%s", ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
        value = numbers[self.options.monitor]
        if is_better(value, position.best_value, lower=self.options.monitor == "loss"):
            position.best_epoch, position.best_value = position.epoch, value
            weights = self.learner.model.state_dict()
            write_tensors(self._weights_file(position.epoch), weights, {})
        position.epoch += 1
        position.step, position.n_chips, position.loss_sum = 0, 0, 0.0

    def _is_stale(self, position: Position) -> bool:
        patience = self.options.early_stopping_patience
        if patience is None or position.best_epoch is None:
            return False
        return position.epoch - 1 - position.best_epoch >= patience

    def _weights_file(self, epoch: int) -> Path:
        return self.state_dir / f"best-{epoch + 1:04d}.safetensors"

    def _remove_old_weights(self, position: Position) -> None:
        assert position.best_epoch is not None
        for path in self.state_dir.glob("best-*.safetensors"):
            if path != self._weights_file(position.best_epoch):
                path.unlink()


def is_better(value: float, best: float | None, *, lower: bool) -> bool:
    """Tell whether a monitored value beats the best so far; any number beats NaN.

    Parameters
    ----------
    value
        Of the latest epoch.
    best
        Of the best epoch before; None: there is none, so even NaN is the best.
    lower
        True if smaller is better.
    """
    if best is None or math.isnan(best):
        return best is None or not math.isnan(value)
    return value < best if lower else value > best


def make_optimizer(model: nn.Module, options: TrainOptions) -> Optimizer:
    """Return the optimiser that the options name, over all parameters."""
    rate, decay = options.learning_rate, options.weight_decay
    if options.optimizer == "sgd":
        return SGD(
            model.parameters(), lr=rate, momentum=MOMENTUM, weight_decay=decay, nesterov=True
        )
    kind = AdamW if options.optimizer == "adamw" else Adam
    return kind(model.parameters(), lr=rate, weight_decay=decay)


def arithmetic(
    device: torch.device, precision: Precision
) -> contextlib.AbstractContextManager[object]:
    """Return the context in which a forward pass runs."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
