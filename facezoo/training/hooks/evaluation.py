"""Measures the model on the validation set while it trains, and ends a run that stays as it is."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from facezoo import distributed
from facezoo.errors import ConfigError
from facezoo.evaluation.judge import judge, validation_loss
from facezoo.evaluation.report import predictions_page, write_report
from facezoo.inference.detector import Detector, evaluation_mode
from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerBase, is_better, is_due
from facezoo.training.update import loss_terms

logger = logging.getLogger(__name__)


@HOOKS.register
@dataclass(eq=False)
class Evaluation(Hook):
    """Publishes ``val/loss`` and the evaluators' numbers under ``val/``; at the end a report.

    The averaged weights are measured where EMA is on, by all processes together. The losses are
    the training losses, over the whole validation set; the faces are found as ``facezoo eval``
    finds them.

    Args:
        every_epochs: period in epochs; may be a fraction.
        every_steps: period in steps. The last step is always followed by an evaluation.
    """

    comes_before: ClassVar[tuple[str, ...]] = ("EarlyStopping", "Checkpoint")

    every_epochs: float | None = 1
    every_steps: int | None = None

    def before_train(self, trainer: TrainerBase) -> None:
        """Refuses a run that has nothing to measure on."""
        if trainer.validation is None:
            raise ConfigError(
                "hooks.evaluation needs a validation set: give data.val, or hooks.evaluation=null."
            )

    def after_step(self, trainer: TrainerBase) -> None:
        """Evaluates where it is due."""
        if not is_due(trainer, self.every_epochs, self.every_steps):
            return
        validation = trainer.validation
        assert validation is not None
        model, precision = trainer.evaluated_model, trainer.settings.precision
        with evaluation_mode(model):
            losses = validation_loss(
                lambda batch: loss_terms(model, trainer.on_device(batch), precision),
                trainer.watch(validation.open_batches()),
            )
            detector = Detector(model, **validation.detection)
            results = judge(
                detector, validation.dataset, validation.evaluators, watch=trainer.watch
            )
        trainer.publish({f"val/{name}": x for name, x in (losses | results.metrics).items()})
        if not distributed.is_main():
            return
        trainer.show({"val/predictions": predictions_page(validation.dataset, results)})
        if trainer.is_last_step:
            write_report(
                trainer.folder / "eval",
                validation.dataset,
                results,
                {**detector.describe(), **({"note": trainer.note} if trainer.note else {})},
            )


@HOOKS.register
@dataclass(eq=False)
class EarlyStopping(Hook):
    """Stops after ``patience`` evaluations in a row without a better value.

    A value that is not finite is never better.

    Args:
        metric: a name of the flat namespace, such as ``val/loss`` or ``val/coco/ap50``.
        mode: whether a smaller or a larger value is better.
        patience: evaluations without progress that are allowed.
        min_delta: how much better than the best a value must be to count.
    """

    metric: str = "val/loss"
    mode: Literal["min", "max"] = "min"
    patience: int = 5
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        self.best: float | None = None
        self.without_progress = 0

    def before_train(self, trainer: TrainerBase) -> None:
        """Stops a run that goes on from where it had stopped, unless ``patience`` is larger now."""
        self._stop_if_due(trainer)

    def write(self, trainer: TrainerBase, metrics: Mapping[str, float]) -> None:
        """Judges the metric whenever it is published."""
        if self.metric not in metrics:
            return
        if is_better(metrics[self.metric], self.best, self.mode, self.min_delta):
            self.best, self.without_progress = metrics[self.metric], 0
        else:
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
