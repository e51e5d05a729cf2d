"""The `train` section of a config."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from facezoo.errors import ConfigError


@dataclass(frozen=True)
class TrainSettings:
    """How long, how exactly and where a model is trained.

    The first of ``epochs``, ``max_steps`` and ``max_samples`` that is reached ends the run.

    Attributes:
        epochs: passes over the training set.
        max_steps: updates of the weights.
        max_samples: images drawn; the last step does not go past it.
        seed: decides the start weights, the order of the images and their augmentation.
        precision: fp32, or autocast to bf16 or fp16 (fp16 with a gradient scaler).
        compile: compile forward and loss with torch.compile.
        accumulate: equal slices a batch is cut into, to save memory; gradients are the same but for
            batch norm, which sees a slice at a time.
        clip_norm: largest norm of all gradients together, or None.
        device: auto (CUDA, else MPS, else CPU), or a device of torch such as cuda:1.
        channels_last: memory layout of images and weights; faster on most devices.
        log_every: steps between two published sets of metrics.
        max_skipped: steps of the run that may be left out because their loss was not finite; the
            next one ends it.
        sync_batch_norm: statistics of batch norm over the images of all processes; needs GPUs.
        deterministic: ask torch for deterministic algorithms, which are slower, where the device
            has them.
    """

    epochs: float | None = None
    max_steps: int | None = None
    max_samples: int | None = None
    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    accumulate: int = 1
    clip_norm: float | None = None
    device: str = "auto"
    channels_last: bool = True
    log_every: int = 20
    max_skipped: int = 0
    sync_batch_norm: bool = False
    deterministic: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "max_steps", "max_samples", "accumulate", "clip_norm", "log_every"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"train.{name} is {value}; give a number above 0.")
        for name in ("seed", "max_skipped"):
            if getattr(self, name) < 0:
                raise ConfigError(f"train.{name} is {getattr(self, name)}; give 0 or more.")

    def check_batch_size(self, batch_size: int, world_size: int = 1) -> None:
        """Checks that a batch can be shared by the processes and cut into ``accumulate`` slices.

        Raises:
            ConfigError: it cannot.
        """
        if batch_size % (self.accumulate * world_size) == 0:
            return
        if world_size == 1:
            raise ConfigError(
                f"data.batch_size ({batch_size}) is not a multiple of train.accumulate "
                f"({self.accumulate}); a step cuts its batch into that many equal slices."
            )
        raise ConfigError(
            f"data.batch_size ({batch_size}) is not a multiple of the {world_size} processes times "
            f"train.accumulate ({self.accumulate}); it is the batch of all processes together, and "
            "each cuts its share into that many equal slices."
        )

    def total_steps(self, samples_per_epoch: int, batch_size: int) -> int:
        """Returns the updates of a run: the first limit that is reached, at least one step.

        Raises:
            ConfigError: nothing limits the run.
        """
        limits = []
        if self.epochs is not None:
            limits.append(math.ceil(self.epochs * samples_per_epoch / batch_size))
        if self.max_steps is not None:
            limits.append(self.max_steps)
        if self.max_samples is not None:
            limits.append(self.max_samples // batch_size)
        if not limits:
            raise ConfigError(
                "Nothing ends the run: give train.epochs, train.max_steps or train.max_samples."
            )
        return max(1, min(limits))
