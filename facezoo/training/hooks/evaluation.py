"""Measures the model on the validation set while it trains."""

from __future__ import annotations

from typing import ClassVar

from facezoo import distributed
from facezoo.data.loading.loader import val_batches
from facezoo.errors import ConfigError
from facezoo.evaluation.judge import judge, validation_loss
from facezoo.evaluation.report import predictions_page, write_report
from facezoo.inference.detector import Detector, evaluation_mode
from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerBase, is_due


@HOOKS.register
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

    def __init__(self, every_epochs: float | None = 1, every_steps: int | None = None) -> None:
        self.every_epochs = every_epochs
        self.every_steps = every_steps

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
        batches = val_batches(
            validation.dataset,
            validation.transforms,
            validation.batch_size,
            validation.workers,
            share=distributed.share(),
            cache=validation.cache,
        )
        model = trainer.evaluated_model
        with evaluation_mode(model):
            losses = validation_loss(
                lambda batch: trainer.loss_terms(model, trainer.on_device(batch)),
                trainer.watch(batches),
            )
            detector = Detector(
                model,
                protocol=validation.protocol,
                score_thresh=validation.score_thresh,
                nms_thresh=validation.nms_thresh,
            )
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
