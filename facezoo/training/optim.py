"""Optimisers of torch by name, and learning-rate schedules: a factor of the base rate by progress.

Progress is the share of the run that is done, 0 to 1, so that a schedule says the same for 100
steps and for 100,000. The trainer asks at the middle of each step: neither the first nor the last
step has a factor of zero.
"""

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from facezoo.errors import ConfigError, nearest
from facezoo.registry import OPTIMIZERS, SCHEDULES

FUSED_DEVICES = ("cpu", "cuda", "mps")
NEVER_FUSED = ("Adagrad", "SGD")
"""Adagrad has it for the CPU only; SGD begins its momentum with whatever the memory holds where its
first step is left out, as a scaler of gradients or a loss that is not finite does."""


@OPTIMIZERS.register_adapter("torch")
class TorchOptimizer:
    """Any optimiser of ``torch.optim``: ``{type: torch.AdamW, lr: 1e-3, weight_decay: 0.05}``.

    Calling this class gives the optimiser of torch itself, fused where torch has that.

    Args:
        name: its name in ``torch.optim``.
        model: the model to train.
        lr: learning rate that the schedule scales.
        decay_norms: apply weight decay to norms and biases too.
        arguments: of the optimiser, such as ``weight_decay`` and ``momentum``.

    Raises:
        ConfigError: no such optimiser, an argument that it does not take, or see
            ``parameter_groups``.
    """

    def __new__(  # type: ignore[misc]  # noqa: D102 - the class says it
        cls, name: str, model: nn.Module, lr: float, decay_norms: bool = False, **arguments: Any
    ) -> torch.optim.Optimizer:
        kind = _find(name)
        known = list(inspect.signature(kind).parameters)[1:]
        for argument in arguments:
            if argument not in known:
                close = nearest(argument, known)
                hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(known)}."
                raise ConfigError(f"torch.{name} takes no {argument!r}; {hint}")
        groups = parameter_groups(model, lr, decay_norms)
        device = next(model.parameters()).device.type
        if "fused" in known and device in FUSED_DEVICES and name not in NEVER_FUSED:
            arguments = {"fused": True, **arguments}
        return kind(groups, lr=lr, **arguments)  # type: ignore[call-arg]


def _find(name: str) -> type[torch.optim.Optimizer]:
    kind = getattr(torch.optim, name, None)
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer):
        return kind
    names = [one for one in dir(torch.optim) if isinstance(getattr(torch.optim, one), type)]
    close = nearest(name, names)
    hint = f"did you mean {' or '.join(close)}?" if close else "see torch.optim for the names."
    raise ConfigError(f"torch.optim has no optimiser {name!r}; {hint}")


def parameter_groups(model: nn.Module, lr: float, decay_norms: bool = False) -> list[dict]:
    """Returns a model's trainable parameters in groups of one learning rate and one decay.

    Parameters of one dimension (norms and biases) get ``weight_decay=0`` unless ``decay_norms``.
    A part named in ``model.lr_scale`` (such as ``backbone`` or ``backbone.stage1``; the longest
    name that fits counts) has its learning rate multiplied by the scale.

    Raises:
        ConfigError: a part in ``lr_scale`` has no parameters, or nothing is left to train.
    """
    scales: dict[str, float] = getattr(model, "lr_scale", {})
    used = set()
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        parts = [part for part in scales if name == part or name.startswith(f"{part}.")]
        used.update(parts)
        if parameter.requires_grad:
            scale = scales[max(parts, key=len)] if parts else 1.0
            decays = decay_norms or parameter.ndim > 1
            groups.setdefault((scale, decays), []).append(parameter)
    for part in scales.keys() - used:
        raise ConfigError(
            f"model.lr_scale names {part!r}, which has no parameters; "
            f"the parts are {', '.join(name for name, _ in model.named_children())}."
        )
    if not groups:
        raise ConfigError("Nothing is left to train: every parameter is frozen by model.freeze.")
    return [
        {"params": parameters, "lr": lr * scale, **({} if decays else {"weight_decay": 0.0})}
        for (scale, decays), parameters in groups.items()
    ]


def separate_biases(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Gives the biases groups of their own, each with the settings of the one that they leave.

    Biases are the parameters called ``bias``, those of norms among them, as in YOLOv5. The groups
    come behind all others; of a group that holds nothing else an empty one stays. Returns the
    number of the first of them; the optimizer is not yet used.
    """
    first = len(optimizer.param_groups)
    biases = {id(p) for name, p in model.named_parameters() if name.split(".")[-1] == "bias"}
    for group in optimizer.param_groups[:first]:
        own = [parameter for parameter in group["params"] if id(parameter) in biases]
        if own:
            group["params"] = [one for one in group["params"] if id(one) not in biases]
            optimizer.add_param_group({**group, "params": own})
    return first


@dataclass(kw_only=True, eq=False)
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

    warmup: float = 0.0
    warmup_momentum: float | None = None
    warmup_bias_lr: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise ConfigError(
                f"warmup is {self.warmup}; it is a share of the run: give 0 or more, under 1."
            )
        for name in ("warmup_momentum", "warmup_bias_lr"):
            value = getattr(self, name)
            if value is not None and self.warmup == 0:
                raise ConfigError(f"{name} is {value}, but warmup is 0: give a share of the run.")
        if self.warmup_momentum is not None and not 0 <= self.warmup_momentum < 1:
            raise ConfigError(
                f"warmup_momentum is {self.warmup_momentum}; give 0 or more, under 1."
            )
        if self.warmup_bias_lr is not None and self.warmup_bias_lr < 0:
            raise ConfigError(f"warmup_bias_lr is {self.warmup_bias_lr}; give 0 or more.")

    def factor(self, progress: float) -> float:
        """Returns what the learning rate is multiplied by at ``progress`` (0 to 1)."""
        if progress < self.warmup:
            return progress / self.warmup
        return self.decay((progress - self.warmup) / (1 - self.warmup), progress)

    def warmed_up(self, start: float | None, value: float, progress: float) -> float:
        """Returns a setting, which in the warm-up moves from ``start``, if given, to ``value``."""
        if start is None or progress >= self.warmup:
            return value
        done = progress / self.warmup
        return start * (1 - done) + value * done

    def decay(self, after_warmup: float, progress: float) -> float:
        """Returns the factor by what is done, 0 to 1, of the rest of the run and of the whole."""
        raise NotImplementedError


@dataclass(eq=False)
class FallingSchedule(Schedule):
    """Base of the schedules that fall from 1 to ``final``, the factor at the end of the run."""

    warmup: float = field(default=0.0, kw_only=False)
    final: float = 0.0


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
@dataclass(eq=False)
class Step(Schedule):
    """The factor is multiplied by ``gamma`` at each milestone.

    Args:
        milestones: shares of the whole run, rising, each between 0 and 1.
        gamma: what the factor is multiplied by at a milestone.
    """

    milestones: Sequence[float]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        rising = list(self.milestones) == sorted(self.milestones)
        if not rising or not all(0 < one < 1 for one in self.milestones):
            raise ConfigError(
                f"milestones is {list(self.milestones)}; milestones are shares of the run: "
                "give rising numbers between 0 and 1."
            )

    def decay(self, after_warmup: float, progress: float) -> float:
        """Returns the factor after the warm-up."""
        return self.gamma ** sum(progress >= milestone for milestone in self.milestones)


class Scheduler:
    """Sets learning rates and momentum by progress alone, so that a resumed run needs no state.

    Where the schedule warms up the learning rate of the biases, they get groups of their own in the
    optimizer, behind the others.

    The optimizer is over the model's parameters; the schedule scales its learning rates, and moves
    to its momentum. See ``check_schedule`` for what it may not ask.
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
    """Checks that an optimizer, whatever its parameters, has what a schedule is to warm up.

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
