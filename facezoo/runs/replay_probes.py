"""Where numbers that are not finite are: in weights, targets, images, modules or gradients."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from facezoo.inference.detector import evaluation_mode
from facezoo.structures import Batch, LossTerm
from facezoo.training.update import cut

STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class ImageLosses:
    """The loss terms of one image alone.

    Attributes:
        image_id: the image.
        losses: the value of each term by name.
    """

    image_id: str
    losses: Mapping[str, float]

    @property
    def loss(self) -> float:
        """The sum of the terms."""
        return sum(self.losses.values())

    @property
    def finite(self) -> bool:
        """Whether every term is finite."""
        return all(math.isfinite(value) for value in self.losses.values())


def weight_problems(model: nn.Module) -> tuple[list[str], list[str]]:
    """Returns a sentence for each tensor of a model that is not finite.

    Args:
        model: in training mode.

    Returns:
        Those of the weights and fixed buffers, and those of the statistics batch norm learns.
    """
    learned = {
        f"{name}.{one}"
        for name, module in model.named_modules()
        if _learns_statistics(module)
        for one in STATISTICS
    }
    weights: list[str] = []
    statistics: list[str] = []
    for name, tensor in model.state_dict().items():
        bad = int((~tensor.isfinite()).sum())
        if bad:
            kind = statistics if name in learned else weights
            kind.append(f"{name}: {bad} of {tensor.numel()} values are not finite")
    return weights, statistics


def target_problems(batch: Batch) -> list[str]:
    """Returns a sentence for each face that cannot be learned from, in the order of the images.

    Args:
        batch: on the CPU.
    """
    targets, (height, width) = batch.targets, batch.images.shape[-2:]
    left, top, right, bottom = targets.boxes.unbind(-1)
    finite = targets.boxes.isfinite().all(-1)
    area = (right > left) & (bottom > top)
    outside = (right <= 0) | (bottom <= 0) | (left >= width) | (top >= height)
    points = targets.landmarks.isfinite().all(-1)
    # Losses mask what is not annotated, and a product of NaN and 0 is NaN.
    blank = ~targets.valid & ~finite | (~points & ~targets.landmarks_valid).any(-1)
    kinds = {
        "has a box that is not finite": targets.valid & ~finite,
        "has a box without area": targets.valid & finite & ~area,
        f"has a box outside of the image ({width} x {height} px)": targets.valid
        & finite
        & area
        & outside,
        "has a landmark that is marked as known and is not finite": (
            ~points & targets.landmarks_valid
        ).any(-1),
        "has a value that is not finite where nothing is annotated": blank,
    }
    found = [
        (image, face, what)
        for what, mask in kinds.items()
        for image, face in mask.nonzero().tolist()
    ]
    return [
        f"{batch.ids[image]}: face {face} {what}: {_shown(targets.boxes[image, face])}"
        for image, face, what in sorted(found, key=lambda one: one[:2])
    ]


@torch.no_grad()
def images_alone(
    model: nn.Module,
    loss_terms: Callable[[nn.Module, Batch], Mapping[str, LossTerm]],
    batch: Batch,
) -> list[ImageLosses]:
    """Returns the loss terms of each image of a batch, put through a model by itself.

    The model is in evaluation mode, so that batch norm needs no other images.

    Args:
        model: in training mode.
        loss_terms: gives the terms of a model and a batch.
        batch: on the device of the model.
    """
    # Statistics that the failed step has spoilt would make every image look bad. Batch norm then
    # does as it does in training, with those of the one image.
    spoilt = [one for one in model.modules() if _learns_statistics(one) and _spoilt(one)]
    results = []
    with evaluation_mode(model):
        for norm in spoilt:
            norm.train()
        for one in cut(batch, len(batch.ids)):
            terms = loss_terms(model, one)
            values = {
                name: float(term.total / term.count.clamp(min=1)) for name, term in terms.items()
            }
            results.append(ImageLosses(one.ids[0], values))
    return results


@contextlib.contextmanager
def modules_not_finite(model: nn.Module) -> Iterator[list[str]]:
    """Gives a list that fills with the modules whose output is not finite, in running order.

    A module comes after the modules in it, so that the first name is the smallest part that made
    such a number: also where this happens between the modules in it.
    """
    names: list[str] = []

    def watch(name: str) -> Callable[..., None]:
        def look(module: nn.Module, arguments: Any, output: Any) -> None:
            # Without gradients only the faces of slices are counted, in evaluation mode.
            if torch.is_grad_enabled() and name not in names and not _finite(output):
                names.append(name)

        return look

    handles = [
        module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name
    ]
    try:
        yield names
    finally:
        for handle in handles:
            handle.remove()


def gradients_not_finite(model: nn.Module) -> list[str]:
    """Returns the names of the parameters whose gradient is not finite."""
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and not parameter.grad.isfinite().all()
    ]


def gradient_norm(model: nn.Module) -> float:
    """Returns the norm of all gradients together, 0 without gradients."""
    norms = [one.grad.norm() for one in model.parameters() if one.grad is not None]
    return float(torch.stack(norms).norm()) if norms else 0.0


def _learns_statistics(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.training


def _spoilt(norm: nn.Module) -> bool:
    tensors = [getattr(norm, name) for name in STATISTICS]
    return any(one is not None and not one.isfinite().all() for one in tensors)


def _finite(output: Any) -> bool:
    """Returns whether every number in what a module returned is finite."""
    if isinstance(output, Tensor):
        return bool(output.isfinite().all())
    if isinstance(output, Mapping):
        output = output.values()
    elif not isinstance(output, (list, tuple)):
        return True
    return all(_finite(one) for one in output)


def _shown(box: Tensor) -> str:
    return "[" + ", ".join(f"{one:.6g}" for one in box.tolist()) + "]"
