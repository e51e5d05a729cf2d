"""Metrics and pictures for Weights & Biases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from facezoo.errors import ConfigError
from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerProtocol

STEP = "step"
"""Logged with everything, and the horizontal axis of every curve."""

logger = logging.getLogger(__name__)


@HOOKS.register
class WandB(Hook):
    """Logs the config, every published metric and drawn predictions to Weights & Biases.

    A resumed run goes on in the same W&B run. W&B's own counter of steps never goes back, so a run
    that does steps again would lose them; here the step is a metric of its own, ``step``, and the
    axis of all others: steps that are done twice are there twice.

    Args:
        project: the W&B project.
        name: of the run there; by default that of the run folder.
        mode: ``offline`` keeps everything in the run folder for ``wandb sync``; ``disabled`` logs
            nothing.
    """

    rank_0_only: ClassVar[bool] = True

    def __init__(
        self,
        project: str = "facezoo",
        name: str | None = None,
        mode: Literal["online", "offline", "disabled"] = "online",
    ) -> None:
        self.project = project
        self.name = name
        self.mode = mode
        self.run_id: str | None = None
        self._run: Any = None

    def before_train(self, trainer: TrainerProtocol) -> None:
        """Starts the W&B run, or goes on with the one of the checkpoint.

        Raises:
            ConfigError: wandb is not installed, or nobody is logged in.
        """
        try:
            import wandb
        except ImportError as error:
            raise ConfigError(
                "hooks: WandB needs a library that is not installed; run "
                'pip install "facezoo[wandb]".'
            ) from error
        try:
            self._run = wandb.init(
                project=self.project,
                name=self.name or trainer.folder.resolve().name,
                notes=trainer.note or None,
                mode=self.mode,
                dir=str(trainer.folder),
                config=trainer.config.data,
                id=self.run_id,
                # Offline nothing is there to ask; the id alone joins the parts when they are sent.
                resume="allow" if self.run_id and self.mode == "online" else None,
                # The values of a config may change on the way: train.max_steps, for example.
                allow_val_change=True,
            )
        except (wandb.Error, ValueError) as error:  # ValueError: a WANDB_ variable that is wrong
            raise ConfigError(
                f"hooks: WandB cannot start ({_in_one_line(error)}); run wandb login, or give the "
                "hook mode: offline."
            ) from error
        if self.mode != "disabled":
            self.run_id = self._run.id
        self._run.define_metric(STEP, hidden=True)
        self._run.define_metric("*", step_metric=STEP)

    def write(self, trainer: TrainerProtocol, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of this step."""
        self._try(lambda run: run.log({**metrics, STEP: trainer.step}))

    def show(self, trainer: TrainerProtocol, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Logs the pictures of this step."""
        if self._run is not None:
            import wandb

            shown = {name: wandb.Image(picture) for name, picture in pictures.items()}
            self._try(lambda run: run.log({**shown, STEP: trainer.step}))

    def _try(self, action: Callable[[Any], None]) -> None:
        """Does something with the W&B run; where that is lost, its curves end, not the run."""
        if self._run is None:
            return
        import wandb

        try:
            action(self._run)
        except (wandb.Error, OSError) as error:
            self._run = None
            logger.warning("W&B gets nothing more: %s", _in_one_line(error))

    def after_train(self, trainer: TrainerProtocol) -> None:
        """Sends the rest; a run that ended with an error is marked as failed."""
        self._try(lambda run: run.finish(exit_code=1 if trainer.failed else 0))
        self._run = None

    def state_dict(self) -> dict[str, Any]:
        """Returns the id of the W&B run."""
        return {"run_id": self.run_id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back the id of the W&B run."""
        self.run_id = state["run_id"]


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
