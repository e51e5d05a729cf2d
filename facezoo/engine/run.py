"""From a config to a trained model in a run folder."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.table import Table

from facezoo.builder import (
    build_dataset,
    build_evaluators,
    build_hooks,
    build_model,
    build_optimizer,
    build_schedule,
)
from facezoo.config import Config
from facezoo.data.loader import train_stream
from facezoo.engine.allocator import keep_freed_memory
from facezoo.engine.checkpoint import load_checkpoint
from facezoo.engine.environment import environment
from facezoo.engine.logs import logging_to
from facezoo.engine.plots import plot_losses
from facezoo.engine.run_check import check_run, run_protocol
from facezoo.engine.run_config import open_config, without_pretrained
from facezoo.engine.run_start import Start, prepare
from facezoo.engine.settings import TrainSettings
from facezoo.engine.terminal import show_number
from facezoo.engine.trainer import Trainer
from facezoo.engine.truth import with_truth
from facezoo.engine.validation import Validation
from facezoo.errors import ConfigError
from facezoo.inference.device import choose_device
from facezoo.structures import Batch
from facezoo.zoo.safe_load import init_from as load_parts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves.

    Attributes:
        name: of the config.
        folder: the run folder; weights are ``checkpoints/last`` and ``checkpoints/best``.
        metrics: the latest value of every published metric.
        note: stands beside each number, such as "sample run on synthetic faces"; often empty.
    """

    name: str
    folder: Path
    metrics: dict[str, float]
    note: str = ""


def train(
    config: str | Path | Mapping[str, Any] | Config,
    *,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    resume: bool | str | Path | None = None,
    init_from: str | None = None,
    sample: bool = False,
    allow_imports: bool = False,
) -> TrainResult:
    """Trains what a config describes.

    Args:
        config: name in the zoo, path of a YAML, mapping, or Config; or a run folder or checkpoint,
            for a new run with its config.
        overrides: such as ``["train.epochs=5", "hooks.ema=null"]``.
        out: the run folder; by default ``runs/<config>/<date-time>``.
        resume: True for the run in ``out``, or else the latest run of this config; or a run folder
            or a checkpoint. The run goes on in its own folder unless ``out`` names another, and
            with its own config, which only ``overrides`` change.
        init_from: weights to start from, ``FILE`` or ``FILE:backbone,neck``.
        sample: train for 10 steps on drawn faces, without any data; the run folder is then by
            default ``runs/<config>-sample/<date-time>``.
        allow_imports: whether the config of a run or checkpoint may import plug-ins that
            ``config`` does not name.

    Returns:
        The run folder and the latest metrics.

    Raises:
        FacezooError: anything in the config, the data or a checkpoint that the user can put right.
    """
    if resume and init_from:
        raise ConfigError("Give either resume or init_from: a resumed run has its weights.")
    start = prepare(config, overrides, out, resume, sample, allow_imports)
    return _run(start, init_from)


def train_many(
    configs: Sequence[str | Path | Mapping[str, Any] | Config],
    *,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    resume: bool = False,
    init_from: str | None = None,
    sample: bool = False,
    allow_imports: bool = False,
) -> list[TrainResult]:
    """Trains several configs one after another, as ``train`` does each, once all are sound.

    Args:
        configs: see ``train``.
        overrides: for every config.
        out: the folder of their run folders, each named after its config.
        resume: go on with the latest run of each config; one that has none starts anew.
        init_from: weights that each starts from.
        sample: see ``train``.
        allow_imports: see ``train``.

    Raises:
        FacezooError: see ``train``; what ``facezoo train --check`` finds in any of them comes
            before the first is trained.
    """
    if resume and init_from:
        raise ConfigError("Give either resume or init_from: a resumed run has its weights.")
    names = [open_config(one, overrides, allow_imports).name for one in configs]
    if len(set(names)) < len(names):
        raise ConfigError(f"Two of the configs have one name ({', '.join(names)}); rename a file.")
    starts = []
    for one, name in zip(configs, names, strict=True):
        folder = None if out is None else Path(out) / name
        starts.append(prepare(one, overrides, folder, resume, sample, allow_imports, or_anew=True))
    if resume and not any(start.checkpoint for start in starts):
        raise ConfigError(
            f"There is no run of any of {', '.join(names)} to resume; leave out the resume."
        )
    problems = [
        f"{start.config.name}: {problem}"
        for start in starts
        for problem in check_run(_built(start))
    ]
    if problems:
        raise ConfigError(problems)
    return [_run(start, init_from) for start in starts]


def comparison_table(results: Sequence[TrainResult]) -> Table:
    """Returns a table with a column per run and a row per validation metric."""
    note = next((f" ({one.note})" for one in results if one.note), "")
    table = Table(title=f"Validation{note}")
    table.add_column("metric")
    for one in results:
        table.add_column(one.name, justify="right")
    names = dict.fromkeys(
        name for one in results for name in one.metrics if name.startswith("val/")
    )
    for name in names:
        values = [one.metrics.get(name) for one in results]
        table.add_row(
            name, *("-" if value is None else show_number(name, value) for value in values)
        )
    return table


def _run(start: Start, init_from: str | None) -> TrainResult:
    """Trains a run that is prepared, in its folder."""
    config, folder = start.config, start.folder
    folder.mkdir(parents=True, exist_ok=True)
    with logging_to(folder / "log.txt"):
        trainer = _build_trainer(start, init_from)
        if start.checkpoint is not None:
            load_checkpoint(trainer, start.checkpoint)
            logger.info("Resumed from %s, after step %d.", start.checkpoint, trainer.step)
        if trainer.is_last_step:
            logger.warning(
                "Nothing is left to train: the run is at step %d of %d; give a larger "
                "train.max_steps, train.max_samples or train.epochs to go on.",
                trainer.step,
                trainer.total_steps,
            )
            return TrainResult(config.name, folder, dict(trainer.metrics), start.note)
        if start.note:
            logger.info("This is a %s; its numbers mean nothing.", start.note)
        for remark in start.remarks:
            logger.info("%s", remark)
        (folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
        (folder / "environment.json").write_text(
            json.dumps(environment(), indent=2) + "\n", encoding="utf-8"
        )
        logger.info(
            "Training %s for %d steps of %d images on %s; everything goes to %s.",
            config.name,
            trainer.total_steps,
            trainer.batch_size,
            trainer.device,
            folder,
        )
        metrics = trainer.fit()
        plot_losses(folder, start.note)
    return TrainResult(config.name, folder, dict(metrics), start.note)


def _built(start: Start) -> Config:
    """Returns the config to build from: a resumed model needs no weights of a hub."""
    return start.config if start.checkpoint is None else without_pretrained(start.config)


def _build_trainer(start: Start, init_from: str | None) -> Trainer:
    config = _built(start)
    settings = TrainSettings(**config.data["train"])
    device = choose_device(settings.device)
    if device.type == "cpu":
        keep_freed_memory()
    seed_generators(settings.seed)
    data = config.data["data"]
    dataset, transforms = build_dataset(config, "train")
    model = build_model(config)
    if init_from is not None:
        for line in load_parts(model, init_from):
            logger.info("%s", line)
    if settings.channels_last:
        model = model.to(memory_format=torch.channels_last)
    model = model.to(device)

    def open_stream(step: int) -> Iterator[Batch]:
        return train_stream(
            dataset,
            transforms,
            data["batch_size"],
            settings.seed,
            start_step=step,
            workers=data["workers"],
            pin_memory=device.type == "cuda",
        )

    return Trainer(
        model,
        build_optimizer(config, model),
        build_schedule(config),
        open_stream,
        samples_per_epoch=len(dataset),
        batch_size=data["batch_size"],
        settings=settings,
        hooks=build_hooks(config),
        validation=_validation(config),
        folder=start.folder,
        config=start.config,
        note=start.note,
    )


def _validation(config: Config) -> Validation | None:
    if not config.data["data"].get("val"):
        return None
    protocol = run_protocol(config)
    dataset, transforms = build_dataset(config, "val")
    section = config.data["evaluation"]
    root = config.get("data.root")
    return Validation(
        dataset,
        transforms,
        config.data["data"]["batch_size"],
        config.data["data"]["workers"],
        with_truth(build_evaluators(config), None, Path(root) if root else None, dataset),
        protocol,
        section["score_thresh"],
        section["nms_thresh"],
    )


def seed_generators(seed: int) -> None:
    """Seeds the global generators of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
