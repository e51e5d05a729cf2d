"""Ends a run that no longer gets better."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, Literal

from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerBase

logger = logging.getLogger(__name__)


@HOOKS.register
class EarlyStopping(Hook):
    """Stops after ``patience`` evaluations in a row without a better value.

    A value that is not finite is never better.

    Args:
        metric: a name of the flat namespace, such as ``val/loss`` or ``val/coco/ap50``.
        mode: whether a smaller or a larger value is better.
        patience: evaluations without progress that are allowed.
        min_delta: how much better than the best a value must be to count.
    """

    def __init__(
        self,
        metric: str = "val/loss",
        mode: Literal["min", "max"] = "min",
        patience: int = 5,
        min_delta: float = 0.0,
    ) -> None:
        self.metric = metric
        self.mode = mode
        self.patience = patience
        self.min_delta = min_delta
        self.best: float | None = None
        self.without_progress = 0

    def before_train(self, trainer: TrainerBase) -> None:
        """Stops a run that goes on from where it had stopped, unless ``patience`` is larger now."""
        self._stop_if_due(trainer)

    def write(self, trainer: TrainerBase, metrics: Mapping[str, float]) -> None:
        """Judges the metric whenever it is published."""
        if self.metric not in metrics:
            return
        value = metrics[self.metric]
        sign = -1 if self.mode == "min" else 1
        better = self.best is None or sign * (value - self.best) > self.min_delta
        if math.isfinite(value) and better:
            self.best, self.without_progress = value, 0
            return
        self.without_progress += 1
        self._stop_if_due(trainer)

    def _stop_if_due(self, trainer: TrainerBase) -> None:
        if self.without_progress >= self.patience:
            wanted = "finite" if self.best is None else f"better than {self.best:.4g}"
            trainer.stop(f"{self.metric} was not {wanted} in {self.without_progress} evaluations")

    def after_train(self, trainer: TrainerBase) -> None:
        """Says so where the metric never came."""
        if self.metric not in trainer.metrics and not trainer.failed:
            logger.warning(
                "Early stopping never saw %s; published were: %s.",
                self.metric,
                ", ".join(sorted(trainer.metrics)),
            )

    def state_dict(self) -> dict[str, Any]:
        """Returns the best value and the evaluations since."""
        return {
            "best": self.best,
            "without_progress": self.without_progress,
            "chosen_by": [self.metric, self.mode],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what ``state_dict`` gave."""
        if state.get("chosen_by", [self.metric, self.mode]) == [self.metric, self.mode]:
            self.best = state["best"]
            self.without_progress = state["without_progress"]
        else:
            logger.info("Early stopping begins anew, as it looks at another metric now.")
