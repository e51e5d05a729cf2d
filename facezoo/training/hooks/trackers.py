"""Metrics and pictures for TensorBoard, Weights & Biases and MLflow."""

import importlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from facezoo.config.yaml_tree import flat
from facezoo.errors import ConfigError
from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerBase

logger = logging.getLogger(__name__)

STEP = "step"
"""Logged with everything to W&B, and the horizontal axis of every curve there."""
PARAMETERS_AT_ONCE = 100
LONGEST_VALUE = 6000
"""Limits of MLflow: parameters in one request, characters in a parameter's value."""


@dataclass(eq=False)
class Tracker(Hook):
    """Base of the hooks that log to a library for tracking experiments.

    What the library does not take while the run goes on is warned of and ends nothing, as hours of
    training are worth more. A resumed run goes on in the library's run ``run_id``.

    Attributes:
        package: the library, and the extra of facezoo that installs it.
        advice: what to do where it cannot start.
    """

    rank_0_only: ClassVar[bool] = True
    package: ClassVar[str]
    advice: ClassVar[str]

    run_id: str | None = field(default=None, init=False)
    _library: Any = field(default=None, init=False)
    _run: Any = field(default=None, init=False)

    def _start(self, trainer: TrainerBase) -> Any:
        """Starts a run of the library, or goes on with ``run_id``, and returns it."""
        raise NotImplementedError

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        raise NotImplementedError

    def _log_pictures(self, pictures: Mapping[str, NDArray[np.uint8]], step: int) -> None:
        raise NotImplementedError

    def _finish(self, failed: bool) -> None:
        raise NotImplementedError

    def _errors(self) -> tuple[type[Exception], ...]:
        """Returns what the library raises where it is out of reach."""
        return (OSError,)

    def before_train(self, trainer: TrainerBase) -> None:
        """Starts the run of the library, or goes on with the one of the checkpoint.

        Raises:
            ConfigError: the library is not installed or cannot start.
        """
        name = type(self).__name__
        try:
            self._library = importlib.import_module(self.package)
        except ImportError as error:
            raise ConfigError(
                f"hooks: {name} needs a library that is not installed; run "
                f'pip install "facezoo[{self.package}]".'
            ) from error
        try:
            self._run = self._start(trainer)
        except self._errors() as error:
            raise ConfigError(
                f"hooks: {name} cannot start ({_in_one_line(error)}); {self.advice}."
            ) from error

    def write(self, trainer: TrainerBase, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of this step."""
        self._try("metrics", trainer.step, lambda: self._log(metrics, trainer.step))

    def show(self, trainer: TrainerBase, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Logs the pictures of this step."""
        self._try("pictures", trainer.step, lambda: self._log_pictures(pictures, trainer.step))

    def after_train(self, trainer: TrainerBase) -> None:
        """Ends the run of the library."""
        self._try("end", trainer.step, lambda: self._finish(trainer.failed))
        self._run = None

    def state_dict(self) -> dict[str, Any]:
        """Returns the id of the library's run."""
        return {"run_id": self.run_id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back the id of the library's run."""
        self.run_id = state.get("run_id")

    def _try(self, what: str, step: int, log: Callable[[], None]) -> None:
        if self._run is None:
            return
        try:
            log()
        except self._errors() as error:
            name = type(self).__name__
            logger.warning(
                "%s did not take the %s of step %d: %s", name, what, step, _in_one_line(error)
            )


@HOOKS.register
class TensorBoard(Tracker):
    """Writes losses, learning rate, metrics and drawn predictions to ``tensorboard/``."""

    package: ClassVar[str] = "tensorboard"
    advice: ClassVar[str] = "make room for the folder tensorboard of the run"

    def _start(self, trainer: TrainerBase) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        # The steps that a resumed run does again are hidden.
        again = trainer.step + 1 if trainer.step else None
        writer = SummaryWriter(str(trainer.folder / "tensorboard"), purge_step=again)
        if trainer.note:
            writer.add_text("note", trainer.note, trainer.step)
        return writer

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._run.add_scalar(name, value, step)

    def _log_pictures(self, pictures: Mapping[str, NDArray[np.uint8]], step: int) -> None:
        for name, picture in pictures.items():
            self._run.add_image(name, picture, step, dataformats="HWC")
        self._run.flush()

    def _finish(self, failed: bool) -> None:
        self._run.close()


@HOOKS.register
@dataclass(eq=False)
class WandB(Tracker):
    """Logs the config, every published metric and drawn predictions to Weights & Biases.

    The step is a metric, ``step``, and the axis of all others, as W&B's own counter never goes
    back: steps that a resumed run does again are there twice.

    Args:
        project: the W&B project.
        name: of the run there; by default that of the run folder.
        mode: ``offline`` keeps everything in the run folder for ``wandb sync``; ``disabled`` logs
            nothing.
    """

    package: ClassVar[str] = "wandb"
    advice: ClassVar[str] = "run wandb login, or give the hook mode: offline"

    project: str = "facezoo"
    name: str | None = None
    mode: Literal["online", "offline", "disabled"] = "online"

    def _errors(self) -> tuple[type[Exception], ...]:
        return self._library.Error, OSError, ValueError  # the last for a wrong WANDB_ variable

    def _start(self, trainer: TrainerBase) -> Any:
        run = self._library.init(
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
        if self.mode != "disabled":
            self.run_id = run.id
        run.define_metric(STEP, hidden=True)
        run.define_metric("*", step_metric=STEP)
        return run

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log({**metrics, STEP: step})

    def _log_pictures(self, pictures: Mapping[str, NDArray[np.uint8]], step: int) -> None:
        images = {name: self._library.Image(picture) for name, picture in pictures.items()}
        self._run.log({**images, STEP: step})

    def _finish(self, failed: bool) -> None:
        self._run.finish(exit_code=1 if failed else 0)


@HOOKS.register
@dataclass(eq=False)
class MLflow(Tracker):
    """Logs the config, every published metric and drawn predictions to an MLflow store.

    Steps that a resumed run does again are there twice.

    Args:
        tracking_uri: such as ``http://localhost:5000`` or ``sqlite:///mlflow.db``; by default what
            MLflow itself takes, ``MLFLOW_TRACKING_URI`` first.
        experiment: the MLflow experiment, made where it is missing.
        name: of the run there; by default that of the run folder.
    """

    package: ClassVar[str] = "mlflow"
    advice: ClassVar[str] = "look at the hook's tracking_uri"

    tracking_uri: str | None = None
    experiment: str = "facezoo"
    name: str | None = None

    def _errors(self) -> tuple[type[Exception], ...]:
        error = self._library.exceptions.MlflowException
        return error, ImportError  # the last for the driver of a store

    def _start(self, trainer: TrainerBase) -> Any:
        client = self._library.MlflowClient(self.tracking_uri)
        try:
            if self.run_id is not None:
                client.update_run(self.run_id, status="RUNNING")
        except self._library.exceptions.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            logger.warning(
                "MLflow has no run %s any more, so this run goes on in a new one.", self.run_id
            )
            self.run_id = None
        if self.run_id is None:
            self.run_id = self._begin(client, trainer)
        client.log_text(self.run_id, trainer.config.to_yaml(), "config.yaml")
        return client

    def _log(self, metrics: Mapping[str, float], step: int) -> None:
        metric, now = self._library.entities.Metric, round(time.time() * 1000)
        rows = [metric(name, value, now, step) for name, value in metrics.items()]
        self._run.log_batch(self.run_id, metrics=rows)

    def _log_pictures(self, pictures: Mapping[str, NDArray[np.uint8]], step: int) -> None:
        for name, picture in pictures.items():
            self._run.log_image(self.run_id, picture, key=name, step=step)

    def _finish(self, failed: bool) -> None:
        self._run.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")

    def _begin(self, client: Any, trainer: TrainerBase) -> str:
        """Starts a run with the config as its parameters, which MLflow keeps for good."""
        found = client.get_experiment_by_name(self.experiment)
        run = client.create_run(
            found.experiment_id if found else client.create_experiment(self.experiment),
            run_name=self.name or trainer.folder.resolve().name,
            tags={"mlflow.note.content": trainer.note} if trainer.note else None,
        )
        parameters = [
            self._library.entities.Param(path, str(value)[:LONGEST_VALUE])
            for path, value in flat(trainer.config.data).items()
        ]
        for start in range(0, len(parameters), PARAMETERS_AT_ONCE):
            part = parameters[start : start + PARAMETERS_AT_ONCE]
            client.log_batch(run.info.run_id, params=part)
        return run.info.run_id


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
