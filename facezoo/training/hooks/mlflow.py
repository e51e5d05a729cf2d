"""Metrics and pictures for MLflow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from facezoo.config.yaml_tree import flat
from facezoo.errors import ConfigError
from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerProtocol

logger = logging.getLogger(__name__)

PARAMETERS_AT_ONCE = 100
LONGEST_VALUE = 6000
"""Limits of MLflow: parameters in one request, characters in a parameter's value."""


@HOOKS.register
class MLflow(Hook):
    """Logs the config, every published metric and drawn predictions to an MLflow store.

    A resumed run goes on in the same MLflow run; steps that it does again are there twice. A store
    that takes nothing more while the run goes on is warned of and ends nothing.

    Args:
        tracking_uri: such as ``http://localhost:5000`` or ``sqlite:///mlflow.db``; by default what
            MLflow itself takes, ``MLFLOW_TRACKING_URI`` first.
        experiment: the MLflow experiment, made where it is missing.
        name: of the run there; by default that of the run folder.
    """

    rank_0_only: ClassVar[bool] = True

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str = "facezoo",
        name: str | None = None,
    ) -> None:
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self.name = name
        self.run_id: str | None = None
        self._client: Any = None

    def before_train(self, trainer: TrainerProtocol) -> None:
        """Starts the MLflow run, or goes on with the one of the checkpoint.

        Raises:
            ConfigError: MLflow is not installed, or its store cannot be used.
        """
        try:
            import mlflow
        except ImportError as error:
            raise ConfigError(
                "hooks: MLflow needs a library that is not installed; run "
                'pip install "facezoo[mlflow]".'
            ) from error
        try:
            client = mlflow.MlflowClient(self.tracking_uri)
            if self.run_id is None or not self._go_on(client):
                self._begin(client, trainer)
            client.log_text(self.run_id, trainer.config.to_yaml(), "config.yaml")
        except (mlflow.exceptions.MlflowException, ImportError) as error:
            raise ConfigError(
                f"hooks: MLflow cannot use its store ({_first_line(error)}); look at the hook's "
                "tracking_uri."
            ) from error
        self._client = client

    def write(self, trainer: TrainerProtocol, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of this step."""
        if self._client is None:
            return
        from mlflow.entities import Metric

        now = round(time.time() * 1000)
        rows = [Metric(name, value, now, trainer.step) for name, value in metrics.items()]
        self._try(lambda: self._client.log_batch(self.run_id, metrics=rows), "metrics", trainer)

    def show(self, trainer: TrainerProtocol, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Logs the pictures of this step."""
        if self._client is None:
            return

        def log() -> None:
            for name, picture in pictures.items():
                self._client.log_image(self.run_id, picture, key=name, step=trainer.step)

        self._try(log, "pictures", trainer)

    def after_train(self, trainer: TrainerProtocol) -> None:
        """Ends the MLflow run; one that ended with an error is marked as failed."""
        if self._client is not None:
            status = "FAILED" if trainer.failed else "FINISHED"
            self._try(lambda: self._client.set_terminated(self.run_id, status), "end", trainer)
            self._client = None

    def state_dict(self) -> dict[str, Any]:
        """Returns the id of the MLflow run."""
        return {"run_id": self.run_id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back the id of the MLflow run."""
        self.run_id = state["run_id"]

    def _go_on(self, client: Any) -> bool:
        """Opens the run of the checkpoint again; says so and returns False where it is gone."""
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

        try:
            client.update_run(self.run_id, status="RUNNING")
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            logger.warning(
                "MLflow has no run %s any more, so this run goes on in a new one.", self.run_id
            )
            return False
        return True

    def _begin(self, client: Any, trainer: TrainerProtocol) -> None:
        """Starts a run with the config as its parameters, which MLflow keeps for good."""
        from mlflow.entities import Param

        found = client.get_experiment_by_name(self.experiment)
        experiment = (
            client.create_experiment(self.experiment) if found is None else found.experiment_id
        )
        run = client.create_run(
            experiment,
            run_name=self.name or trainer.folder.resolve().name,
            tags={"mlflow.note.content": trainer.note} if trainer.note else None,
        )
        self.run_id = run.info.run_id
        parameters = [
            Param(path, str(value)[:LONGEST_VALUE])
            for path, value in flat(trainer.config.data).items()
        ]
        for start in range(0, len(parameters), PARAMETERS_AT_ONCE):
            client.log_batch(self.run_id, params=parameters[start : start + PARAMETERS_AT_ONCE])

    def _try(self, log: Callable[[], object], what: str, trainer: TrainerProtocol) -> None:
        """Logs something; hours of training are worth more than what a server did not take."""
        from mlflow.exceptions import MlflowException

        try:
            log()
        except MlflowException as error:
            logger.warning(
                "MLflow did not take the %s of step %d: %s", what, trainer.step, _first_line(error)
            )


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
