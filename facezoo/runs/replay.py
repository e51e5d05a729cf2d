"""The batch of a step that was not finite, kept with the weights, and put through them again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facezoo.config.config import Config
from facezoo.errors import ConfigError, FacezooError
from facezoo.factory import build_model, without_pretrained
from facezoo.inference.device import choose_device
from facezoo.runs.replay_probes import (
    ImageLosses,
    gradient_norm,
    gradients_not_finite,
    images_alone,
    modules_not_finite,
    target_problems,
    weight_problems,
)
from facezoo.runs.run_config import open_config
from facezoo.structures import Batch, LossTerm
from facezoo.training.faults import needs_memory
from facezoo.training.generators import seed_generators
from facezoo.training.replay_file import Kept, load_replay, put_weights, save_replay
from facezoo.training.settings import TrainSettings
from facezoo.training.update import Update, cut

__all__ = ["LossValue", "Replay", "replay", "save_replay"]

NAMED = 3


@dataclass(frozen=True)
class LossValue:
    """A term of the loss of a batch.

    Attributes:
        total: the weighted sum.
        count: what the sum is divided by, at least 1.
        value: what the term adds to the loss.
    """

    total: float
    count: float
    value: float

    @property
    def finite(self) -> bool:
        """Whether the value is a number and not infinite."""
        return math.isfinite(self.value)


@dataclass(frozen=True)
class Replay:
    """What a kept batch did when it met the kept weights again.

    Attributes:
        file: where both came from.
        step: the number of the update that failed.
        ids: of the images of the batch.
        rank: the process whose share of the batch it is.
        world_size: the processes that shared the batch.
        precision: of this replay: fp32, bf16 or fp16.
        device: of this replay.
        losses: the terms of the loss by name.
        weights: a sentence for each tensor of the model that was not finite before the step.
        statistics: the same of the statistics that batch norm learns, which the forward pass of
            the failed step may have spoilt; in training mode they change no output.
        targets: a sentence for each face that cannot be learned from, with its image.
        images: the loss terms of each image alone, in the order of ``ids``.
        modules: names of the modules whose output was not finite, in the order they were run.
        gradient_norm: of all gradients together.
        gradients: names of the parameters whose gradient is not finite.
    """

    file: Path
    step: int
    ids: tuple[str, ...]
    rank: int
    world_size: int
    precision: str
    device: str
    losses: Mapping[str, LossValue]
    weights: tuple[str, ...]
    statistics: tuple[str, ...]
    targets: tuple[str, ...]
    images: tuple[ImageLosses, ...]
    modules: tuple[str, ...]
    gradient_norm: float
    gradients: tuple[str, ...]

    @property
    def loss(self) -> float:
        """The sum of the terms."""
        return sum(one.value for one in self.losses.values())

    @property
    def finite(self) -> bool:
        """Whether every term and the norm of the gradients are finite."""
        terms = all(one.finite for one in self.losses.values())
        return terms and math.isfinite(self.gradient_norm)

    @property
    def first_module(self) -> str | None:
        """The first module whose output was not finite, or None."""
        return self.modules[0] if self.modules else None

    @property
    def suspects(self) -> tuple[ImageLosses, ...]:
        """The images that are not finite alone; if all are, those with the largest losses."""
        bad = tuple(one for one in self.images if not one.finite)
        return bad or tuple(sorted(self.images, key=lambda one: -one.loss)[:NAMED])


def replay(
    config_source: str | Path | Mapping[str, Any] | Config,
    file: str | Path,
    overrides: Sequence[str] = (),
    allow_imports: bool = False,
) -> Replay:
    """Puts a kept batch through the kept weights once more: forward, loss and backward.

    It trains nothing, writes nothing and downloads nothing, and what it reads executes nothing.
    Precision, device, memory layout and slices are those of the config, but the model is not
    compiled and gradients are not scaled; dropout draws other numbers than in the run.

    Args:
        config_source: name in the zoo, path of a YAML, mapping, Config, run folder or checkpoint.
        file: ``replay/step_000123_rank0.safetensors`` in the folder of the run.
        overrides: such as ``["train.precision=fp32"]``.
        allow_imports: whether the config of a run or checkpoint may import plug-ins.

    Raises:
        CheckpointError: the file is missing, damaged, no replay file, or of another model.
        FacezooError: something in the config is wrong, or the device has too little memory.
    """
    kept = load_replay(Path(file))
    config = open_config(config_source, overrides, allow_imports)
    settings = TrainSettings(**config.data["train"])
    device = choose_device(settings.device)
    if len(kept.batch.ids) % settings.accumulate:
        raise ConfigError(
            f"train.accumulate is {settings.accumulate}, but {file} holds {len(kept.batch.ids)} "
            "images, which cannot be cut into that many equal slices."
        )
    seed_generators(settings.seed)
    model = build_model(without_pretrained(config))
    put_weights(model, kept, Path(file))
    if settings.channels_last:
        model = model.to(memory_format=torch.channels_last)
    try:
        return _replay(model.to(device).train(), kept, Path(file), settings)
    except RuntimeError as error:
        if not needs_memory(error):
            raise
        raise FacezooError(
            f"{device} has too little memory for the batch in {file}; add train.accumulate=2 or "
            "more, or train.device=cpu."
        ) from error


def _replay(model: nn.Module, kept: Kept, file: Path, settings: TrainSettings) -> Replay:
    update = _Backward(model, settings)
    batch = kept.batch.to(update.device)
    # The images alone come first, as training mode changes the statistics of batch norm.
    weights, statistics = weight_problems(model)
    images = images_alone(model, update.loss_terms, batch)
    with modules_not_finite(model) as modules:
        losses = update.backward(batch)
    return Replay(
        file=file,
        step=kept.step,
        ids=batch.ids,
        rank=kept.rank,
        world_size=kept.world_size,
        precision=settings.precision,
        device=str(update.device),
        losses=losses,
        weights=tuple(weights),
        statistics=tuple(statistics),
        targets=tuple(target_problems(kept.batch)),
        images=tuple(images),
        modules=tuple(modules),
        gradient_norm=gradient_norm(model),
        gradients=tuple(gradients_not_finite(model)),
    )


class _Backward(Update):
    """The first half of an update: it takes the gradients, and moves no weight."""

    def __init__(self, model: nn.Module, settings: TrainSettings) -> None:
        # Hooks on modules need a model that is not compiled; the optimizer is never called.
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        super().__init__(model, optimizer, replace(settings, compile=False))
        # With a scaler, fp16 often has gradients that are not finite, which ends no training.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=False)
        self._slices: list[dict[str, LossTerm]] = []

    def backward(self, batch: Batch) -> dict[str, LossValue]:
        """Takes the gradients of a batch; returns the terms of its loss."""
        self._slices = []
        values = self._gradients(cut(batch, self.settings.accumulate))
        return {
            name: LossValue(
                total=sum(float(terms[name].total) for terms in self._slices),
                count=sum(float(terms[name].count) for terms in self._slices),
                value=float(value),
            )
            for name, value in values.items()
        }

    def loss_terms(self, network: Callable[..., Any], batch: Batch) -> dict[str, LossTerm]:
        """Returns the loss terms of a slice, and notes them where they are learned from."""
        terms = super().loss_terms(network, batch)
        if torch.is_grad_enabled():
            self._slices.append(
                {name: LossTerm(term.total.detach(), term.count) for name, term in terms.items()}
            )
        return terms
