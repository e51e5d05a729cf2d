"""An exponential moving average of the weights."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from facezoo.errors import ConfigError
from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerBase


@HOOKS.register
class EMA(Hook):
    """Keeps ``trainer.averaged``: a second model whose tensors follow the trained ones.

    After update t (from 1): average += (1 - d) * (weights - average), d = min(decay, t / (t + 10)),
    so that the random start is forgotten soon. Floating buffers (batch-norm statistics) are
    averaged as well; counters are copied. Evaluation uses the average, and a checkpoint's
    ``model.safetensors`` is it.

    Args:
        decay: share of the old average that an update keeps, under 1.
    """

    comes_before: ClassVar[tuple[str, ...]] = ("Evaluation", "Checkpoint", "TensorBoard")
    keeps_average: ClassVar[bool] = True

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"decay is {decay}; give 0 or more, under 1.")
        self.decay = decay
        self.updates = 0

    def before_train(self, trainer: TrainerBase) -> None:
        """Starts the average at the weights, unless a checkpoint brought one."""
        if trainer.averaged is None:
            trainer.averaged = copy.deepcopy(trainer.model).requires_grad_(False).eval()
        source, average = trainer.model.state_dict(), trainer.averaged.state_dict()
        floating = [name for name, tensor in source.items() if tensor.is_floating_point()]
        self._source: list[Tensor] = [source[name] for name in floating]
        self._average: list[Tensor] = [average[name] for name in floating]
        counters = [name for name in source if name not in set(floating)]
        self._counters = [average[name] for name in counters], [source[name] for name in counters]

    @torch.no_grad()
    def after_step(self, trainer: TrainerBase) -> None:
        """Moves the average towards the weights."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10))
        torch._foreach_lerp_(self._average, self._source, 1 - decay)
        if self._counters[0]:  # torch takes no empty lists
            torch._foreach_copy_(*self._counters)

    def state_dict(self) -> dict[str, Any]:
        """Returns the number of updates; the checkpoint keeps the averaged weights."""
        return {"updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back the number of updates."""
        self.updates = state["updates"]
