"""Learning-rate schedules: a factor of the base rate by progress, and what sets it in an optimizer.

Progress is the share of the run that is done, 0 to 1, so that a schedule says the same for 100
steps and for 100,000. The trainer asks at the middle of each step: neither the first nor the last
step has a factor of zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from facezoo.errors import ConfigError
from facezoo.registry import SCHEDULES
from facezoo.training.optim import separate_biases


class Schedule:
    """Base of the schedules: a linear warm-up, then ``decay``.

    During the warm-up, momentum and the learning rate of the biases may move as well, as in YOLOv5.

    Args:
        warmup: share of the run over which the factor rises linearly from 0 to 1.
        warmup_momentum: momentum at the start of the warm-up (for Adam and its relatives the first
            beta), which moves linearly to the optimizer's own; None leaves it as it is.
        warmup_bias_lr: learning rate of the biases at the start of the warm-up, which moves
            linearly to the optimizer's own; None lets it rise from 0 like the others.

    Raises:
        ConfigError: a number is out of range, or something is to warm up in a warm-up of no steps.
    """

    def __init__(
        self,
        warmup: float = 0.0,
        warmup_momentum: float | None = None,
        warmup_bias_lr: float | None = None,
    ) -> None:
        if not 0 <= warmup < 1:
            raise ConfigError(
                f"warmup is {warmup}; it is a share of the run: give 0 or more, under 1."
            )
        for name, value in (
            ("warmup_momentum", warmup_momentum),
            ("warmup_bias_lr", warmup_bias_lr),
        ):
            if value is not None and warmup == 0:
                raise ConfigError(f"{name} is {value}, but warmup is 0: give a share of the run.")
        if warmup_momentum is not None and not 0 <= warmup_momentum < 1:
            raise ConfigError(f"warmup_momentum is {warmup_momentum}; give 0 or more, under 1.")
        if warmup_bias_lr is not None and warmup_bias_lr < 0:
            raise ConfigError(f"warmup_bias_lr is {warmup_bias_lr}; give 0 or more.")
        self.warmup = warmup
        self.warmup_momentum = warmup_momentum
        self.warmup_bias_lr = warmup_bias_lr

    def factor(self, progress: float) -> float:
        """Returns what the learning rate is multiplied by at ``progress`` (0 to 1)."""
        if progress < self.warmup:
            return progress / self.warmup
        return self.decay((progress - self.warmup) / (1 - self.warmup), progress)

    def warmed_up(self, start: float | None, value: float, progress: float) -> float:
        """Returns a setting, which in the warm-up moves from ``start`` to ``value``.

        Args:
            start: at the start of the run; None where the setting does not move.
            value: behind the warm-up.
            progress: share of the run that is done, 0 to 1.
        """
        if start is None or progress >= self.warmup:
            return value
        done = progress / self.warmup
        return start * (1 - done) + value * done

    def decay(self, after_warmup: float, progress: float) -> float:
        """Returns the factor after the warm-up.

        Args:
            after_warmup: share of the run after the warm-up that is done, 0 to 1.
            progress: share of the whole run that is done, 0 to 1.
        """
        raise NotImplementedError


class FallingSchedule(Schedule):
    """Base of the schedules that fall from 1 to ``final``.

    Args:
        warmup: share of the run over which the factor rises linearly from 0 to 1.
        final: factor at the end of the run.
        warmup_momentum: see ``Schedule``.
        warmup_bias_lr: see ``Schedule``.
    """

    def __init__(
        self,
        warmup: float = 0.0,
        final: float = 0.0,
        warmup_momentum: float | None = None,
        warmup_bias_lr: float | None = None,
    ) -> None:
        super().__init__(warmup, warmup_momentum, warmup_bias_lr)
        self.final = final


@SCHEDULES.register
class Cosine(FallingSchedule):
    """Half a cosine from 1 to ``final`` (SGDR, arXiv 1608.03983, equation 5, without restarts)."""

    def decay(self, after_warmup: float, progress: float) -> float:
        """Returns the factor after the warm-up."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * after_warmup)) / 2


@SCHEDULES.register
class Linear(FallingSchedule):
    """A straight line from 1 to ``final``."""

    def decay(self, after_warmup: float, progress: float) -> float:
        """Returns the factor after the warm-up."""
        return 1 + (self.final - 1) * after_warmup


@SCHEDULES.register
class Step(Schedule):
    """The factor is multiplied by ``gamma`` at each milestone.

    Args:
        milestones: shares of the whole run, rising, each between 0 and 1.
        gamma: what the factor is multiplied by at a milestone.
        warmup: share of the run over which the factor rises linearly from 0 to 1.
        warmup_momentum: see ``Schedule``.
        warmup_bias_lr: see ``Schedule``.
    """

    def __init__(
        self,
        milestones: Sequence[float],
        gamma: float = 0.1,
        warmup: float = 0.0,
        warmup_momentum: float | None = None,
        warmup_bias_lr: float | None = None,
    ) -> None:
        super().__init__(warmup, warmup_momentum, warmup_bias_lr)
        if list(milestones) != sorted(milestones) or not all(0 < one < 1 for one in milestones):
            raise ConfigError(
                f"milestones is {list(milestones)}; milestones are shares of the run: "
                "give rising numbers between 0 and 1."
            )
        self.milestones = tuple(milestones)
        self.gamma = gamma

    def decay(self, after_warmup: float, progress: float) -> float:
        """Returns the factor after the warm-up."""
        return self.gamma ** sum(progress >= milestone for milestone in self.milestones)


class Scheduler:
    """Sets learning rates and momentum by progress alone, so that a resumed run needs no state.

    Where the schedule warms up the learning rate of the biases, they get groups of their own in the
    optimizer, behind the others.

    Args:
        model: the model that is trained.
        optimizer: over its parameters; its learning rates and momentum are those that the schedule
            scales or moves to.
        schedule: what to set at which progress.

    Raises:
        ConfigError: see ``check_schedule``.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule
    ) -> None:
        check_schedule(optimizer, schedule)
        self.optimizer = optimizer
        self.schedule = schedule
        biases = len(optimizer.param_groups)
        if schedule.warmup_bias_lr is not None:
            biases = separate_biases(model, optimizer)
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._starts: list[float | None] = [None] * biases
        for rate in self._rates[biases:]:  # a part that is slow starts slowly too
            self._starts.append((schedule.warmup_bias_lr or 0.0) * rate / optimizer.defaults["lr"])
        self._momentum = _momentum(optimizer)

    def set(self, progress: float) -> None:
        """Sets learning rates and momentum for ``progress``, the share of the run that is done."""
        schedule, factor = self.schedule, self.schedule.factor(progress)
        groups = zip(self.optimizer.param_groups, self._rates, self._starts, strict=True)
        for group, rate, start in groups:
            group["lr"] = rate * factor
            if start is not None and progress < schedule.warmup:
                group["lr"] = schedule.warmed_up(start, rate, progress)
            if schedule.warmup_momentum is not None:
                value = schedule.warmed_up(schedule.warmup_momentum, self._momentum, progress)
                if "betas" in group:
                    group["betas"] = (value, *group["betas"][1:])
                else:
                    group["momentum"] = value


def check_schedule(optimizer: torch.optim.Optimizer, schedule: Schedule) -> None:
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
