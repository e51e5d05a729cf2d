"""What the schedule sets in the optimizer before each step: learning rates and momentum."""

from __future__ import annotations

import torch
from torch import nn

from facezoo.errors import ConfigError
from facezoo.training.optim import separate_biases
from facezoo.training.schedules import Schedule


class Pace:
    """Sets learning rates and momentum by progress alone, so that a resumed run needs no state.

    Where the schedule warms up the learning rate of the biases, they get groups of their own in the
    optimizer, behind the others.

    Args:
        model: the model that is trained.
        optimizer: over its parameters; its learning rates and momentum are those that the schedule
            scales or moves to.
        schedule: what to set at which progress.

    Raises:
        ConfigError: see ``check_pace``.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule
    ) -> None:
        check_pace(optimizer, schedule)
        self.optimizer = optimizer
        self.schedule = schedule
        common = len(optimizer.param_groups)
        if schedule.warmup_bias_lr is not None:
            common = separate_biases(model, optimizer)
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._bias_starts: list[float | None] = [None] * len(self._rates)
        if schedule.warmup_bias_lr is not None:
            lr = optimizer.defaults["lr"]
            for number in range(common, len(self._rates)):  # a part that is slow starts slowly too
                self._bias_starts[number] = schedule.warmup_bias_lr * self._rates[number] / lr
        self._momentum = _momentum(optimizer)

    def set(self, progress: float) -> None:
        """Sets what belongs to a step.

        Args:
            progress: share of the run that is done, 0 to 1.
        """
        schedule, factor = self.schedule, self.schedule.factor(progress)
        groups = zip(self.optimizer.param_groups, self._rates, self._bias_starts, strict=True)
        for group, rate, start in groups:
            group["lr"] = rate * factor
            if start is not None and progress < schedule.warmup:
                group["lr"] = schedule.warmed_up(start, rate, progress)
            if schedule.warmup_momentum is not None:
                value = schedule.warmed_up(schedule.warmup_momentum, self._momentum, progress)
                _set_momentum(group, value)


def check_pace(optimizer: torch.optim.Optimizer, schedule: Schedule) -> None:
    """Checks that an optimizer has what a schedule is to warm up.

    Args:
        optimizer: its class and settings count, its parameters do not.
        schedule: what to set.

    Raises:
        ConfigError: momentum is to warm up, but the optimizer has none; or the learning rate of the
            biases, but that which it moves to is 0. One sentence for each.
    """
    problems = []
    if schedule.warmup_momentum is not None and not _momentum(optimizer):
        problems.append(
            f"schedule.warmup_momentum is {schedule.warmup_momentum}, but "
            f"{type(optimizer).__name__} has no momentum to warm up: give "
            "optimizer.momentum, or leave it out."
        )
    if schedule.warmup_bias_lr is not None and not optimizer.defaults["lr"]:
        problems.append(
            f"schedule.warmup_bias_lr is {schedule.warmup_bias_lr}, but optimizer.lr is 0, so that "
            "nothing is learned behind the warm-up: give optimizer.lr above 0, or leave it out."
        )
    if problems:
        raise ConfigError(problems)


def _momentum(optimizer: torch.optim.Optimizer) -> float:
    """Returns the momentum of an optimizer, Adam's first beta, or 0 where there is neither."""
    defaults = optimizer.defaults
    return defaults["betas"][0] if "betas" in defaults else defaults.get("momentum", 0.0)


def _set_momentum(group: dict, value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value
