"""Where the time of a few steps goes."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from facezoo.errors import ConfigError
from facezoo.registry import HOOKS
from facezoo.training.hook import Hook, TrainerBase

logger = logging.getLogger(__name__)

STEP = "training step"
"""Name of a step in the trace: from the end of the one before, with the wait for its batch."""
LISTED = 10
LOGGED = 3


@HOOKS.register
@dataclass(eq=False)
class Profile(Hook):
    """Watches a few steps with torch's profiler and says which operations take the time.

    Writes ``profile/trace.json`` (for ``chrome://tracing`` or https://ui.perfetto.dev) and
    ``profile/operations.txt``, the ten operations with the most self time; then training goes on
    at its usual speed. Evaluations and checkpoints that fall between these steps are in it too.

    Args:
        steps: how many are watched.
        skip: how many go before them, as the first ones of a process are slower than the rest.
    """

    rank_0_only: ClassVar[bool] = True

    steps: int = 10
    skip: int = 3

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps is {self.steps}; profile at least 1.")
        if self.skip < 0:
            raise ConfigError(f"skip is {self.skip}; give 0 or more.")
        self._done = 0
        self._profiler: profile | None = None
        self._step = ExitStack()

    def before_train(self, trainer: TrainerBase) -> None:
        """Begins where no step is to go before."""
        self._begin_if_due(trainer)

    def after_step(self, trainer: TrainerBase) -> None:
        """Begins or ends where it is time to."""
        self._done += 1
        self._step.close()
        if self._profiler is None:
            self._begin_if_due(trainer)
        elif self._done == self.skip + self.steps:
            self._finish(trainer)
        elif not trainer.is_last_step:
            self._step.enter_context(record_function(STEP))

    def after_train(self, trainer: TrainerBase) -> None:
        """Writes what a run has that ends early."""
        self._step.close()
        if self._profiler is not None:
            self._finish(trainer)
        elif self._done <= self.skip and not trainer.failed:
            logger.warning(
                "Nothing was profiled: the run has %d steps, and hooks.profile skips the first %d.",
                self._done,
                self.skip,
            )

    def _begin_if_due(self, trainer: TrainerBase) -> None:
        if self._done != self.skip or trainer.is_last_step:
            return
        activities = [ProfilerActivity.CPU]
        if trainer.device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self._profiler = profile(activities=activities)
        self._profiler.start()
        self._step.enter_context(record_function(STEP))

    def _finish(self, trainer: TrainerBase) -> None:
        """Stops, and writes the files; a full disk ends no run."""
        assert self._profiler is not None
        profiler, self._profiler = self._profiler, None
        on_gpu = trainer.device.type == "cuda"
        if on_gpu:
            torch.cuda.synchronize(trainer.device)
        profiler.stop()
        operations = profiler.key_averages()
        operations[:] = [one for one in operations if one.key != STEP]
        order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
        table = operations.table(sort_by=order, row_limit=LISTED)
        folder = trainer.folder / "profile"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(folder / "trace.json"))
            (folder / "operations.txt").write_text(table + "\n", encoding="utf-8")
        except OSError as error:
            logger.warning("The profile could not be written: %s", error)
            return
        watched = min(self._done - self.skip, self.steps)
        logger.info("Profiled %d steps; the trace and the table are in %s.", watched, folder)
        times = {one.key: (getattr(one, order), one.count) for one in operations}
        total = sum(time for time, _ in times.values()) or 1.0
        for name, (time, count) in sorted(times.items(), key=lambda item: -item[1][0])[:LOGGED]:
            logger.info("  %4.0f%%  %s (%d calls)", 100 * time / total, name, count)
