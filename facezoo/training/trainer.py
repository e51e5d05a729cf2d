"""The training loop: one step, five events, and nothing that a hook can do.

A *step* is one update of the weights from one global batch of the data stream. The stream is a
function of (seed, index), so a run that starts again at step k sees what it would have seen.
Between two steps the state can be saved, and a run goes on from it exactly.
"""

import contextlib
import logging
import time
from collections.abc import Iterator

from facezoo import distributed
from facezoo.data.loading.loader import prefetched
from facezoo.distributed import RunInterrupted
from facezoo.errors import FacezooError
from facezoo.structures import Batch
from facezoo.training.hook import TrainerBase
from facezoo.training.update import (
    NonFiniteLossError,
    OutOfMemoryError,
    is_out_of_memory,
    save_bad_batch,
)

logger = logging.getLogger(__name__)

SMALLEST_SCALE = 2.0**-14
"""Of the gradients in fp16; the scaler halves it at each that is not finite, from 2**16 on."""


class Trainer(TrainerBase):
    """Runs the loop over what ``TrainerBase`` holds."""

    def fit(self) -> dict[str, float]:
        """Trains to the last step, and returns the latest value of every published metric.

        Raises:
            NonFiniteLossError: the loss is infinite or not a number; the batch is saved.
            RunInterrupted: by SIGTERM or Ctrl-C, after a step.
        """
        with self.signals, contextlib.ExitStack() as ending:
            for hook in reversed(list(self.hooks.values())):
                ending.callback(hook.after_train, self)
            ending.push(self._record_failure)
            self.model.train()
            self._call("before_train")
            self._call_pending_hooks()
            stream = self._batches(self.step)
            self.meter.start()
            while not self.is_last_step:
                batch = self._next(stream)
                self._call("before_step")
                self._train_on(batch)
                self._call_pending_hooks()
            self.interrupted = self.interrupted or self.signals.received
            if self.stop_reason is not None:
                logger.info("Stopped after step %d: %s.", self.step, self.stop_reason)
        return self.metrics

    def _record_failure(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        self.failed = kind is not None and not isinstance(error, RunInterrupted)
        if isinstance(error, NonFiniteLossError):
            self._save_batch(error)

    def _call(self, event: str) -> None:
        started = time.perf_counter()
        for name in self.hooks:
            self._call_hook(event, name)
        self.meter.hook_seconds += time.perf_counter() - started

    def _call_hook(self, event: str, name: str) -> None:
        try:
            getattr(self.hooks[name], event)(self)
        except FacezooError:  # says by itself what is wrong
            raise
        except Exception:
            logger.error("The hook %s failed in %s, after step %d.", name, event, self.step)
            raise

    def _call_pending_hooks(self) -> None:
        """Calls the pending hooks; one that fails, or is cut short, stays pending."""
        started = time.perf_counter()
        while self.pending:
            event, name = self.pending.pop(0)
            try:
                self._call_hook(event, name)
            except BaseException as error:
                self.pending.insert(0, (event, name))
                if isinstance(error, RunInterrupted):
                    self.interrupted = error.signal_name
                raise
        self.meter.hook_seconds += time.perf_counter() - started
        if self.interrupted is not None and not self.is_last_step:
            raise self.interruption(self.interrupted)

    def _batches(self, step: int) -> Iterator[Batch]:
        """Gives the batches from a step on, on the device and changed as whole batches are."""
        change = None if self.augmentation is None else self.augmentation.from_step(step)
        return prefetched(self.open_stream(step), self.device, change)

    def _next(self, stream: Iterator[Batch]) -> Batch:
        started = time.perf_counter()
        batch = next(stream)
        self.meter.data_seconds += time.perf_counter() - started
        return self.on_device(batch)

    def _train_on(self, batch: Batch) -> None:
        """Makes a step of a batch: updates the weights, and lists the hooks to be called."""
        self.in_step = True
        self.scheduler.set((self.step + 0.5) / self.total_steps)
        assert self.update is not None  # an ``Update`` by default
        try:
            losses, bad = self.update(batch)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise OutOfMemoryError(self.step + 1, batch, self.device) from error
            raise
        self.meter.update(self.step + 1, batch, losses, bad)
        if self.device.type == "cpu":  # nothing to wait for, so look at once
            self.meter.check_finite()
        self.step += 1
        self.pending = [("after_step", name) for name in self.hooks]
        if self.has_passed(1):
            self.pending += [("after_epoch", name) for name in self.hooks]
        if distributed.any_rank(self.signals.received is not None):
            self.interrupted = self.signals.received or "SIGTERM"  # another rank got it
        self.in_step = False
        if self.step % self.settings.log_every == 0 or self.is_last_step:
            self._publish_losses()

    def _save_batch(self, error: NonFiniteLossError) -> None:
        """Saves the batch of a loss that is not finite, which its step gives once more."""
        rank = distributed.share().rank
        path = self.folder / "replay" / f"step_{error.step:06d}_rank{rank}.safetensors"
        try:
            save_bad_batch(path, self.model, next(self._batches(error.step - 1)), error.step)
        except (OSError, RuntimeError, ValueError, FacezooError) as reason:
            logger.warning("The batch of step %d could not be saved: %s", error.step, reason)
            return
        logger.error(
            "The batch of step %d is saved; what is not finite says: python tools/replay.py %s %s",
            error.step,
            self.folder,
            path,
        )

    def _publish_losses(self) -> None:
        self.meter.dropped = sum(distributed.gather(self.meter.dropped))
        self.meter.unreadable = sum(distributed.gather(self.meter.unreadable))
        metrics = self.meter.reset(self.batch_size)
        if self.scaler.is_enabled():
            metrics["train/scale"] = self.scaler.get_scale()
            if metrics["train/scale"] < SMALLEST_SCALE:
                raise NonFiniteLossError(
                    self.step,
                    f"The gradients are not finite in fp16, however small the scale, up to step "
                    f"{self.step}: go on with train.precision=bf16 or fp32.",
                )
        metrics["lr"] = self.optimizer.param_groups[0]["lr"]
        metrics["epoch"] = self.epochs_done
        self.publish(metrics)
        self.meter.start()
