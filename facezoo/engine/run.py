"""From a config to a trained model in a run folder."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
from facezoo.config import Config, load_config
from facezoo.data.loader import train_stream
from facezoo.engine.allocator import keep_freed_memory
from facezoo.engine.checkpoint import find_checkpoint, load_checkpoint
from facezoo.engine.environment import environment
from facezoo.engine.logs import logging_to
from facezoo.engine.plots import plot_losses
from facezoo.engine.sample import SAMPLE_NOTE, SAMPLE_STEPS, sample_config
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

RUNS = Path("runs")


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
) -> TrainResult:
    """Trains what a config describes.

    Args:
        config: name in the zoo, path of a YAML, mapping, or Config.
        overrides: such as ``["train.epochs=5", "hooks.ema=null"]``.
        out: the run folder; by default ``runs/<config>/<date-time>``.
        resume: True for the run in ``out``, or else the latest run of this config; or a run folder
            or a checkpoint. The run goes on in its own folder unless ``out`` names another.
        init_from: weights to start from, ``FILE`` or ``FILE:backbone,neck``.
        sample: train for 10 steps on drawn faces, without any data.

    Returns:
        The run folder and the latest metrics.

    Raises:
        FacezooError: anything in the config, the data or a checkpoint that the user can put right.
    """
    config = load_config(config, overrides)
    config = sample_config(config) if sample else config
    if resume and init_from:
        raise ConfigError("Give either resume or init_from: a resumed run has its weights.")
    checkpoint = _checkpoint_to_resume(config.name, out, resume)
    folder = _run_folder(config.name, out, checkpoint)
    with logging_to(folder / "log.txt"):
        note = SAMPLE_NOTE if sample else ""
        if sample:
            logger.info("This is a %s: %d steps; its numbers mean nothing.", note, SAMPLE_STEPS)
        (folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
        (folder / "environment.json").write_text(
            json.dumps(environment(), indent=2) + "\n", encoding="utf-8"
        )
        trainer = _build_trainer(config, folder, note, init_from, checkpoint is not None)
        if checkpoint is not None:
            load_checkpoint(trainer, checkpoint)
            logger.info("Resumed from %s, after step %d.", checkpoint, trainer.step)
        logger.info(
            "Training %s for %d steps of %d images on %s; everything goes to %s.",
            config.name,
            trainer.total_steps,
            trainer.batch_size,
            trainer.device,
            folder,
        )
        metrics = trainer.fit()
        plot_losses(folder, note)
    return TrainResult(config.name, folder, dict(metrics), note)


def train_many(
    configs: Sequence[str | Path | Mapping[str, Any] | Config],
    *,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    resume: bool = False,
    init_from: str | None = None,
    sample: bool = False,
) -> list[TrainResult]:
    """Trains several configs one after another, as ``train`` does each.

    Args:
        configs: see ``train``.
        overrides: for every config.
        out: the folder of their run folders, each named after its config.
        resume: go on with the latest run of each config.
        init_from: weights that each starts from.
        sample: see ``train``.
    """
    loaded = [load_config(one, overrides) for one in configs]
    names = [one.name for one in loaded]
    if len(set(names)) < len(names):
        raise ConfigError(f"Two of the configs have one name ({', '.join(names)}); rename a file.")
    return [
        train(
            one,
            out=None if out is None else Path(out) / one.name,
            resume=resume or None,
            init_from=init_from,
            sample=sample,
        )
        for one in loaded
    ]


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
        table.add_row(name, *("-" if value is None else show_number(value) for value in values))
    table.add_row("folder", *(str(one.folder) for one in results))
    return table


def _build_trainer(
    config: Config, folder: Path, note: str, init_from: str | None, resumed: bool
) -> Trainer:
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
        folder=folder,
        config=config.data,
        note=note,
    )


def _validation(config: Config) -> Validation | None:
    if not config.data["data"].get("val"):
        return None
    dataset, transforms = build_dataset(config, "val")
    section = config.data["evaluation"]
    root = config.get("data.root")
    return Validation(
        dataset,
        transforms,
        config.data["data"]["batch_size"],
        config.data["data"]["workers"],
        with_truth(build_evaluators(config), None, Path(root) if root else None),
        section["protocol"],
        section["score_thresh"],
        section["nms_thresh"],
    )


def seed_generators(seed: int) -> None:
    """Seeds the global generators of Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _checkpoint_to_resume(
    name: str, out: str | Path | None, resume: bool | str | Path | None
) -> Path | None:
    if not resume:
        return None
    if resume is not True:
        return find_checkpoint(Path(resume))
    if out is not None:
        return find_checkpoint(Path(out))
    runs = sorted(path for path in (RUNS / name).glob("*") if (path / "checkpoints").is_dir())
    if not runs:
        raise ConfigError(
            f"There is no run of {name} to resume in {RUNS / name}; leave out the resume, or name "
            "the run folder."
        )
    return find_checkpoint(runs[-1])


def _run_folder(name: str, out: str | Path | None, checkpoint: Path | None) -> Path:
    """Returns the folder of this run: a new one, or that of the checkpoint."""
    if out is None and checkpoint is not None:
        return checkpoint.parent.parent
    if out is None:
        started = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        folder = RUNS / name / started
        number = 2
        while folder.exists():
            folder = RUNS / name / f"{started}_{number}"
            number += 1
    else:
        folder = Path(out)
        if checkpoint is None and folder.is_dir() and any(folder.iterdir()):
            raise ConfigError(
                f"{folder} holds files already, perhaps of another run; resume that run, or give "
                "another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    return folder
