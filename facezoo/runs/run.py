"""From a config to a trained model in a run folder."""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facezoo import distributed
from facezoo.config.config import Config
from facezoo.data.loading.workers import worker_failure
from facezoo.distributed import RunInterrupted, process_group
from facezoo.environment import environment
from facezoo.errors import ConfigError, FacezooError
from facezoo.runs.build_trainer import build_trainer, chosen_algorithms
from facezoo.runs.listing import first_line, recording
from facezoo.runs.run_check import check_run
from facezoo.runs.run_config import CONFIG
from facezoo.runs.start import Start, locked, prepare, prepare_many
from facezoo.training.checkpoint import load_checkpoint
from facezoo.training.checkpoint_files import last_checkpoint
from facezoo.training.hooks.checkpointing import Checkpoint
from facezoo.training.metrics_file import plot_losses
from facezoo.training.process import logging_to
from facezoo.training.trainer import Trainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves.

    Attributes:
        name: of the config.
        folder: the run folder; weights are ``checkpoints/last`` and ``checkpoints/best``.
        metrics: the latest value of every published metric.
        note: stands beside each number, such as "sample run on synthetic faces"; often empty.
        interrupted: name of a signal that came when the run was at its end already, or None.
        failure: why the run failed, where others went on without it; else empty.
    """

    name: str
    folder: Path
    metrics: dict[str, float]
    note: str = ""
    interrupted: str | None = None
    failure: str = ""


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
        init_from: weights to start from, ``FILE``, or parts of it, ``FILE:backbone,neck``.
        sample: train for 10 steps on drawn faces, without any data. The run folder is then by
            default ``runs/<config>-sample/<date-time>``.
        allow_imports: let the config of a run or checkpoint import plug-ins that ``config`` does
            not name.

    Several processes that ``torchrun`` started train one model together, each with its share of
    every batch. SIGTERM and Ctrl-C end the run after its step, and it is saved.

    Returns:
        The run folder and the latest metrics.

    Raises:
        RunInterrupted: a signal ended the run; the sentence says how to go on.
        FacezooError: anything in the config, the data or a checkpoint that the user can put right.
    """
    if resume and init_from:
        raise ConfigError("Give either resume or init_from: a resumed run has its weights.")
    with process_group():
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

    One that fails while it trains does not keep the others from it: its result says why. Only of
    several processes that train together, a failure ends all.

    Args:
        configs: see ``train``.
        overrides: for every config.
        out: the folder of their run folders, each named after its config.
        resume: go on with the latest run of each config; one that has none starts anew, and so
            does one whose run in ``out`` ended before its first checkpoint.
        init_from: weights that each starts from, unless it goes on with a run.
        sample: see ``train``.
        allow_imports: see ``train``.

    Returns:
        The results in the order of the configs, as ``compare_models`` takes them.

    Raises:
        RunInterrupted: see ``train``.
        FacezooError: see ``train``; what ``facezoo train --check`` finds in any of them comes
            before the first is trained.
    """
    with process_group():
        starts = prepare_many(configs, overrides, out, resume, init_from, sample, allow_imports)
        problems = [
            f"{start.config.name}: {problem}"
            for start in starts
            for problem in check_run(start.config_to_build)
        ]
        if problems:
            raise ConfigError(problems)
        results: list[TrainResult] = []
        for start in starts:
            results.append(_run_or_report(start, init_from))
            signal_name = results[-1].interrupted
            if signal_name is not None and len(results) < len(starts):
                raise RunInterrupted(
                    signal_name,
                    f"{signal_name} came when {start.config.name} was at its end; the others were "
                    f"not begun: go on with: {start.command}",
                )
        return results


def _run_or_report(start: Start, init_from: str | None) -> TrainResult:
    """Trains one of several runs; its failure is a result, as the others have no part in it."""
    name = start.config.name
    try:
        return _run(start, None if start.checkpoint else init_from)
    except RunInterrupted:
        raise
    except Exception as error:
        if distributed.share().world_size > 1:
            raise
        logger.error("%s failed: %s", name, error, exc_info=not isinstance(error, FacezooError))
        return TrainResult(name, start.folder, {}, start.note, failure=first_line(error))


def _run(start: Start, init_from: str | None) -> TrainResult:
    """Trains a run that is prepared, in its folder."""
    config, folder = start.config, start.folder
    folder.mkdir(parents=True, exist_ok=True)
    lock = locked(folder) if distributed.is_main() else nullcontext()
    with lock, logging_to(folder / "log.txt", distributed.share().rank):
        trainer = _trainer(start, init_from)
        if _is_done(trainer):
            logger.warning(
                "Nothing is left to train: the run is at step %d of %d; give a larger "
                "train.max_steps, train.max_samples or train.epochs to go on.",
                trainer.step,
                trainer.total_steps,
            )
            return TrainResult(config.name, folder, dict(trainer.metrics), start.note)
        if distributed.is_main():
            found = json.dumps(environment(), indent=2) + "\n"
            (folder / CONFIG).write_text(config.to_yaml(), encoding="utf-8")
            (folder / "environment.json").write_text(found, encoding="utf-8")
            _log_beginning(start, trainer)
        metrics = _fit(trainer, start)
        if distributed.is_main():
            plot_losses(folder, start.note)
    return TrainResult(config.name, folder, dict(metrics), start.note, trainer.interrupted)


def _trainer(start: Start, init_from: str | None) -> Trainer:
    """Returns the trainer of a run, in the state of its checkpoint where it has one."""
    try:
        trainer = build_trainer(start, init_from)
    except ConfigError as error:
        raise start.blame_version(error) from error
    if start.checkpoint is not None:
        load_checkpoint(trainer, start.checkpoint)
        logger.info("Resumed from %s, after step %d.", start.checkpoint, trainer.step)
    return trainer


def _is_done(trainer: Trainer) -> bool:
    """Returns whether the last step was saved in its turn, not because a signal cut it short."""
    owed = [trainer.hooks[name] for event, name in trainer.pending if event == "after_step"]
    return trainer.is_last_step and not any(isinstance(hook, Checkpoint) for hook in owed)


def _log_beginning(start: Start, trainer: Trainer) -> None:
    if start.note:
        logger.info("This is a %s; its numbers mean nothing.", start.note)
    for remark in start.remarks:
        logger.info("%s", remark)
    processes = distributed.share().world_size
    logger.info(
        "Training %s for %d steps of %d images on %s%s; everything goes to %s.",
        start.config.name,
        trainer.total_steps,
        trainer.batch_size,
        trainer.device,
        f" in {processes} processes" if processes > 1 else "",
        start.folder,
    )


def _fit(trainer: Trainer, start: Start) -> dict[str, float]:
    status = recording(start.folder, trainer) if distributed.is_main() else nullcontext()
    try:
        with status, chosen_algorithms(trainer):
            return trainer.fit()
    except RunInterrupted as error:
        if not distributed.is_main():
            raise
        saved = last_checkpoint(start.folder)
        advice = f"go on with: {start.command}" if saved else "nothing is saved"
        raise RunInterrupted(error.signal_name, f"{error}; {advice}") from error
    except RuntimeError as error:  # torch raises it from a handler of signals, anywhere
        failure = worker_failure(error)
        if failure is None:
            raise
        raise failure from error
