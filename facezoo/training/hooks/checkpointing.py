"""Saves the run: every so often, at its end, and whenever a metric is the best so far."""

import logging
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facezoo import distributed
from facezoo.errors import CheckpointError, ConfigError, FacezooError
from facezoo.registry import HOOKS
from facezoo.training.checkpoint import Snapshot, take_snapshot, write_snapshot
from facezoo.training.checkpoint_files import point, saved_steps
from facezoo.training.hook import Hook, TrainerBase, is_better, is_due

logger = logging.getLogger(__name__)


@HOOKS.register
@dataclass(eq=False)
class Checkpoint(Hook):
    """Writes ``checkpoints/step_000120`` and lets ``last`` and ``best`` name two of them.

    The state is copied after the step, and a thread writes it while the next steps go on. ``last``
    moves once the new checkpoint stands, and older ones are deleted after that, so that there is a
    whole checkpoint at any moment. A run that is interrupted saves its latest step too, and so
    does one that fails between two steps. A metric that is not finite is never the best.

    Args:
        every_epochs: period in epochs; may be a fraction.
        every_steps: period in steps.
        keep: checkpoints kept beside ``best``, newest first.
        best: the metric that chooses ``best``, or None for no ``best``.
        mode: whether its smaller or larger values are better.
        on_write_error: what a checkpoint that cannot be written, as on a full disk, does: ``stop``
            ends the run, ``warn`` lets it go on. The checkpoints before it stay in either case.
    """

    every_epochs: float | None = 1
    every_steps: int | None = None
    keep: int = 2
    best: str | None = "val/loss"
    mode: Literal["min", "max"] = "min"
    on_write_error: Literal["stop", "warn"] = "stop"

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ConfigError(f"keep is {self.keep}; keep at least 1.")
        self.best_value: float | None = None
        self.best_step: int | None = None
        self._saved_step: int | None = None
        self._writer: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None

    def before_train(self, trainer: TrainerBase) -> None:
        """Notes the step that the run starts from."""
        self._saved_step = trainer.step
        self._writer = ThreadPoolExecutor(1, "facezoo-checkpoint")

    def write(self, trainer: TrainerBase, metrics: Mapping[str, float]) -> None:
        """Remembers whether this step's metric is the best so far."""
        value = metrics.get(self.best or "")
        if value is not None and is_better(value, self.best_value, self.mode):
            self.best_value, self.best_step = value, trainer.step

    def after_step(self, trainer: TrainerBase) -> None:
        """Saves where it is due, or where this step is the best."""
        if self._writing is not None and self._writing.done():
            self._finish_writing()
        is_best = self.best_step == trainer.step
        if is_best or is_due(trainer, self.every_epochs, self.every_steps):
            self._save(trainer)
        if trainer.is_last_step:
            self._finish_writing()

    def after_train(self, trainer: TrainerBase) -> None:
        """Saves what an interrupted or failed run has; says so where ``best`` never came."""
        if trainer.failed or not trainer.is_last_step or trainer.pending:
            self._rescue(trainer)
        elif self.best is not None and self.best_value is None:
            logger.warning(
                "There is no best checkpoint, since %s was never %s; published were: %s.",
                self.best,
                "finite" if self.best in trainer.metrics else "published",
                ", ".join(sorted(trainer.metrics)),
            )
        if self._writer is not None:
            self._writer.shutdown()

    def state_dict(self) -> dict[str, Any]:
        """Returns the best value and its step."""
        return {
            "best_value": self.best_value,
            "best_step": self.best_step,
            "chosen_by": [self.best, self.mode],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state_dict`` gave."""
        if state.get("chosen_by", [self.best, self.mode]) == [self.best, self.mode]:
            self.best_value, self.best_step = state["best_value"], state["best_step"]
        else:
            logger.info("The best checkpoint is chosen anew, as another metric chooses it now.")

    def _save(self, trainer: TrainerBase) -> None:
        """Copies the state and hands it to the thread, once the checkpoint before is written."""
        self._finish_writing()
        snapshot = take_snapshot(trainer)
        self._saved_step = trainer.step
        if self._writer is not None and distributed.is_main():
            best = f"{self.best} {self.best_value:.4f}" if self.best_step == trainer.step else ""
            checkpoints = trainer.folder / "checkpoints"
            self._writing = self._writer.submit(self._write, snapshot, checkpoints, best)

    def _write(self, snapshot: Snapshot, checkpoints: Path, best: str) -> None:
        step = snapshot.state["step"]
        folder = checkpoints / f"step_{step:06d}"
        write_snapshot(snapshot, folder)
        if best:  # before last, from which a killed run does this step once more
            point(folder.with_name("best"), folder)
            logger.info("Best so far at step %d: %s.", step, best)
        point(folder.with_name("last"), folder)
        self._prune(checkpoints, step)

    def _finish_writing(self) -> None:
        """Waits for the checkpoint that is being written.

        Raises:
            CheckpointError: it could not be written, and ``on_write_error`` is ``stop``.
        """
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                writing.result()
        except (CheckpointError, OSError) as error:
            if self.on_write_error == "stop":
                raise
            logger.warning("%s", error)

    def _rescue(self, trainer: TrainerBase) -> None:
        """Saves the latest step of a run that ends early, and never raises over its error."""
        unwritten = False
        try:
            self._finish_writing()
        except (FacezooError, OSError) as error:
            unwritten = True
            logger.warning("%s", error)
        is_new = self._saved_step is not None and trainer.step > self._saved_step
        # After a failure the other ranks are elsewhere; all are together where a signal came.
        together = trainer.interrupted or distributed.share().world_size == 1
        if not together or trainer.in_step or not is_new or distributed.any_rank(unwritten):
            return
        try:
            self._save(trainer)
            self._finish_writing()
            logger.info("Saved the run after step %d.", trainer.step)
        except (FacezooError, OSError) as error:
            logger.warning("Step %d is not saved: %s", trainer.step, error)

    def _prune(self, checkpoints: Path, newest: int) -> None:
        # Later steps are of a run that was left behind; they stay. What cannot be deleted, as
        # others read it, is tried again the next time.
        steps = saved_steps(checkpoints.parent)
        best = (checkpoints / "best").resolve()
        done = sorted(step for step in steps if step <= newest)
        unwanted = [steps[step] for step in done[: -self.keep] if steps[step].resolve() != best]
        for ending in ("new", "old"):  # what a killed process left half written
            unwanted += checkpoints.glob(f".step_*.{ending}")
        for folder in unwanted:
            shutil.rmtree(folder, ignore_errors=True)
