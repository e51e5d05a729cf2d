"""Saves the run: every so often, at its end, and whenever a metric is the best so far."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from facezoo.engine.checkpoint import point, save_checkpoint, saved_steps
from facezoo.engine.hooks.base import Hook, is_due
from facezoo.engine.window import NonFiniteLossError
from facezoo.errors import ConfigError
from facezoo.registry import HOOKS

if TYPE_CHECKING:
    from facezoo.engine.trainer import Trainer

logger = logging.getLogger(__name__)


@HOOKS.register
class Checkpoint(Hook):
    """Writes ``checkpoints/step_000120`` and lets ``last`` and ``best`` name two of them.

    ``last`` moves once the new checkpoint stands, and older ones are deleted after that, so that
    there is a whole checkpoint at any moment. A run that fails saves its latest step too, unless
    its loss was not finite. A metric that is not finite is never the best.

    Args:
        every_epochs: period in epochs; may be a fraction.
        every_steps: period in steps.
        keep: checkpoints kept beside ``best``, newest first.
        best: the metric that chooses ``best``, or None for no ``best``.
        mode: whether its smaller or larger values are better.
    """

    def __init__(
        self,
        every_epochs: float | None = 1,
        every_steps: int | None = None,
        keep: int = 2,
        best: str | None = "val/loss",
        mode: Literal["min", "max"] = "min",
    ) -> None:
        if keep < 1:
            raise ConfigError(f"keep is {keep}; keep at least 1.")
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.keep = keep
        self.best = best
        self.mode = mode
        self.best_value: float | None = None
        self.best_step: int | None = None
        self._saved_step: int | None = None

    def before_train(self, trainer: Trainer) -> None:
        """Notes the step that the run starts from."""
        self._saved_step = trainer.step

    def write(self, trainer: Trainer, metrics: Mapping[str, float]) -> None:
        """Remembers whether this step's metric is the best so far."""
        if self.best is None or self.best not in metrics:
            return
        value = metrics[self.best]
        if not math.isfinite(value):
            return
        sign = -1 if self.mode == "min" else 1
        if self.best_value is None or sign * value > sign * self.best_value:
            self.best_value, self.best_step = value, trainer.step

    def after_step(self, trainer: Trainer) -> None:
        """Saves where it is due, or where this step is the best."""
        is_best = self.best_step == trainer.step
        if is_best or is_due(trainer, self.every_epochs, self.every_steps):
            self._save(trainer)

    def after_train(self, trainer: Trainer) -> None:
        """Saves what a failed run has; says so where the metric of ``best`` never came."""
        if trainer.failed:
            self._rescue(trainer)
        elif self.best is not None and self.best_value is None:
            logger.warning(
                "There is no best checkpoint, since %s was never %s; published were: %s.",
                self.best,
                "finite" if self.best in trainer.metrics else "published",
                ", ".join(sorted(trainer.metrics)),
            )

    def state_dict(self) -> dict[str, Any]:
        """Returns the best value and its step."""
        return {"best_value": self.best_value, "best_step": self.best_step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state_dict`` gave."""
        self.best_value, self.best_step = state["best_value"], state["best_step"]

    def _save(self, trainer: Trainer) -> None:
        folder = trainer.folder / "checkpoints" / f"step_{trainer.step:06d}"
        save_checkpoint(trainer, folder)
        point(folder.with_name("last"), folder)
        self._saved_step = trainer.step
        if self.best_step == trainer.step:
            point(folder.with_name("best"), folder)
            logger.info(
                "Best so far at step %d: %s %.4f.", trainer.step, self.best, self.best_value
            )
        self._prune(trainer)

    def _rescue(self, trainer: Trainer) -> None:
        """Saves the latest step of a failed run, and never raises over its error."""
        if self._saved_step is None or trainer.step <= self._saved_step:
            return
        try:
            self._save(trainer)
            logger.info("Saved the run after step %d, where it failed.", trainer.step)
        except NonFiniteLossError:
            logger.debug("Nothing was saved at the end: the loss is not finite.")
        except Exception as error:
            logger.warning("Step %d could not be saved: %s", trainer.step, error)
            logger.debug("Why it could not be saved:", exc_info=True)

    def _prune(self, trainer: Trainer) -> None:
        """Deletes what is neither new nor best, and what a killed process left half written.

        Later steps are of a run that was left behind; they stay.
        """
        steps = saved_steps(trainer.folder)
        done = sorted(step for step in steps if step <= trainer.step)
        for step in done[: -self.keep]:
            if step != self.best_step:
                shutil.rmtree(steps[step])
        for ending in ("new", "old"):
            for folder in (trainer.folder / "checkpoints").glob(f".step_*.{ending}"):
                shutil.rmtree(folder)
