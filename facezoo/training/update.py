"""One update of the weights from one global batch, by one process or by many.

The loss of a step is the sum over the terms of ``total / max(count, 1)``, where total and count
are added up over the whole global batch before the division: a batch cut into slices
(``accumulate``) or shared between processes teaches what the whole batch teaches, but for batch
norm, which sees a slice at a time. After an update all ranks have the same weights, and the same
statistics of batch norm: the mean over the ranks. A step fails by too little memory, or by a loss
that is not finite, whose batch is kept.
"""

import contextlib
import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from facezoo import distributed
from facezoo.config.sections import TrainSettings
from facezoo.distributed import SharedError
from facezoo.errors import FacezooError
from facezoo.structures import Batch, LossTerm, Targets
from facezoo.training.process import generators, set_generators
from facezoo.zoo.safe_load import save_tensors

AUTOCAST_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_new_name = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
BUFFERS = "forward_sync_buffers" if _new_name else "broadcast_buffers"
"""What torch calls the copying of rank 0's buffers before each step, which is not wanted."""

NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)

UpdateStep = Callable[[Batch], tuple[dict[str, Tensor], Tensor]]
"""Moves the weights by a batch; returns its loss terms, and whether one is not finite."""


class NonFiniteLossError(SharedError):
    """The loss of ``step`` became infinite or not a number; ``sentence`` says what to do."""

    def __init__(self, step: int, sentence: str) -> None:
        self.step = step
        super().__init__(sentence)


class OutOfMemoryError(FacezooError):
    """A step of a batch, this process's share, needs more memory than the device has."""

    def __init__(self, step: int, batch: Batch, device: torch.device) -> None:
        count, _, height, width = batch.images.shape
        faces = int(batch.targets.valid.cpu().sum(dim=1).max())  # the device has no room left
        super().__init__(
            f"{device} ran out of memory at step {step} ({count} images of {width}x{height} px, up "
            f"to {faces} faces in one): train.accumulate=2 or more gives the same gradients in "
            "slices, data.batch_size or data.image_size can be smaller, and train.precision=bf16 "
            "needs about half; then go on with --resume."
        )


def loss_terms(
    network: Callable[..., Any], batch: Batch, precision: str = "fp32"
) -> dict[str, LossTerm]:
    """Returns the loss terms of a batch in a precision: fp32, or autocast to bf16 or fp16."""
    dtype = AUTOCAST_TYPES.get(precision)
    with torch.autocast(batch.images.device.type, dtype, enabled=dtype is not None):
        return network(batch.images, batch.targets)


class Update:
    """Turns a batch into a step of the optimizer.

    A loss that is not finite moves no weight. On a GPU the optimizer is told so on the device, and
    nobody waits for it; after one more such loss than may be skipped nothing moves any more, so
    that the weights that led to it are still there when somebody looks.

    Args:
        model: the detector, on its device.
        optimizer: over its parameters.
        settings: the ``train`` section of a config.

    Attributes:
        scaler: of the gradients, at work in fp16 only.
        bad_steps: scalar, int64, on the device: steps so far whose loss was not finite.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, settings: TrainSettings
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.settings = settings
        self.device = next(model.parameters()).device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=settings.precision == "fp16")
        self._world_size = distributed.share().world_size
        self._network: Callable[..., Any] = (
            torch.compile(model, fullgraph=True) if settings.compile else model
        )
        if self._world_size > 1:
            options: dict[str, Any] = {BUFFERS: False}
            self._network = DistributedDataParallel(self._network, **options)
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.bad_steps = torch.zeros((), dtype=torch.int64, device=self.device)
        self._decides_on_device = self.device.type == "cuda" and optimizer.defaults.get("fused")

    def __call__(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Updates the weights from this rank's share of a batch.

        Returns:
            The loss terms of the global batch, and whether one of them, or the norm of the
            gradients, is not finite (scalar, bool); everything on the device.
        """
        watched = self._world_size > 1 or self.settings.max_skipped
        statistics = _trained_statistics(self.model) if watched else []
        before = [one.clone() for one in statistics] if self.settings.max_skipped else []
        losses = self._gradients(cut(batch, self.settings.accumulate))
        bad = ~torch.stack(list(losses.values())).isfinite().all()
        if self.scaler.is_enabled():  # it steps over gradients that are not finite, as these are
            gradient = next(p.grad for p in self._parameters if p.grad is not None)
            gradient.mul_(torch.where(bad | self._has_stopped(), torch.inf, 1.0))
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(self._parameters, self.settings.clip_norm)
            if not self.scaler.is_enabled():  # which looks for such gradients itself
                bad = bad | ~norm.isfinite()
        self.bad_steps += bad
        self._move(bad | self._has_stopped())
        if not self.settings.sync_batch_norm:
            distributed.average_over_ranks(statistics)
        for now, then in zip(statistics, before, strict=False):
            now.copy_(torch.where(bad, then, now))
        return losses, bad

    def _gradients(self, slices: Sequence[Batch]) -> dict[str, Tensor]:
        """Adds up the gradients of all slices; returns the loss terms of the global batch."""
        counts = self._counts(slices) if len(slices) > 1 else None
        sums: dict[str, Tensor] = {}
        for number, part in enumerate(slices, start=1):
            if self.settings.compile:
                mark_faces_dynamic(part.targets)
            with self._exchange_of_gradients(number == len(slices)):
                terms = loss_terms(self._network, part, self.settings.precision)
                if counts is None:
                    counts = self._over_ranks({name: term.count for name, term in terms.items()})
                losses = {
                    name: term.total / counts[name].clamp(min=1) for name, term in terms.items()
                }
                loss = torch.stack(list(losses.values())).sum()
                # DistributedDataParallel takes the mean over ranks; the sum is what is wanted.
                self.scaler.scale(loss * self._world_size).backward()
            for name, term in losses.items():
                sums[name] = sums.get(name, 0) + term.detach()
        return self._over_ranks(sums)

    @torch.no_grad()
    def _counts(self, slices: Sequence[Batch]) -> dict[str, Tensor]:
        """Counts of each term over all slices, known before the first gradient is taken.

        A forward pass without gradients, which takes a third of a step's time. Some assigners look
        at predictions, so it is the pass that is learned from: in training mode and with the same
        random numbers. What the model's buffers note of it, as batch norm does, is undone.
        """
        counts: dict[str, Tensor] = {}
        with _without_traces(self.model):
            for part in slices:
                for name, term in loss_terms(self.model, part, self.settings.precision).items():
                    counts[name] = counts.get(name, 0) + term.count
        return self._over_ranks(counts)

    def _over_ranks(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if self._world_size == 1:
            return dict(values)
        total = distributed.sum_over_ranks(torch.stack([one.double() for one in values.values()]))
        return dict(zip(values, total.float(), strict=True))

    def _exchange_of_gradients(self, last: bool) -> contextlib.AbstractContextManager[None]:
        """Lets the ranks exchange gradients in the last slice of a batch only."""
        if self._world_size == 1 or last:
            return contextlib.nullcontext()
        return self._network.no_sync()  # type: ignore[attr-defined]

    def _has_stopped(self) -> Tensor:
        return self.bad_steps > self.settings.max_skipped

    def _move(self, stay: Tensor) -> None:
        """Moves the weights, unless they are to stay."""
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        elif self._decides_on_device:
            self.optimizer.found_inf = stay.float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not stay:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


@contextlib.contextmanager
def _without_traces(model: nn.Module) -> Iterator[None]:
    """Puts a model's buffers and the global random generators back afterwards."""
    buffers = list(model.buffers())
    before, states = [one.clone() for one in buffers], generators()
    try:
        yield
    finally:
        for now, then in zip(buffers, before, strict=True):
            now.copy_(then)
        set_generators(states)


def _trained_statistics(model: nn.Module) -> list[Tensor]:
    """Returns the running means and variances of the batch norms that learn them."""
    return [
        tensor
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
        for tensor in (module.running_mean, module.running_var)
        if tensor is not None
    ]


def cut(batch: Batch, parts: int) -> list[Batch]:
    """Returns the batch cut into ``parts`` equal slices of its images."""
    size = len(batch.ids) // parts
    if parts == 1:
        return [batch]
    return [
        replace(batch.map(itemgetter(part)), ids=batch.ids[part], maps=batch.maps[part])
        for part in (slice(start, start + size) for start in range(0, len(batch.ids), size))
    ]


def mark_faces_dynamic(targets: Targets) -> None:
    """Tells the compiler that the number of faces changes from batch to batch."""
    for tensor in vars(targets).values():
        torch._dynamo.maybe_mark_dynamic(tensor, 1)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Returns whether an error of torch says that memory is used up, on whatever device."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in NO_MEMORY
    )


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns tensors as safetensors takes them: contiguous, and none shares memory, on the CPU."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }


def save_bad_batch(path: Path, model: nn.Module, batch: Batch, step: int) -> None:
    """Writes what ``tools/replay.py`` reads: a batch and the weights before the update of ``step``.

    Raises:
        OSError: it cannot be written.
    """
    share = distributed.share()
    tensors = {"batch.images": batch.images, "batch.maps": batch.maps}
    tensors |= {f"targets.{name}": tensor for name, tensor in vars(batch.targets).items()}
    tensors |= {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    marks: dict[str, Any] = {"step": step, "dropped": batch.dropped, "rank": share.rank}
    marks |= {"world_size": share.world_size, "ids": json.dumps(batch.ids)}
    save_tensors(path, copies(tensors), {name: str(value) for name, value in marks.items()})
