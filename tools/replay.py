"""Puts the batch of a step that was not finite through its weights again, and says what is wrong.

    python tools/replay.py runs/first runs/first/replay/step_000123_rank0.safetensors
    python tools/replay.py mine.yaml step_000123_rank0.safetensors train.precision=fp32

A step whose loss is not finite leaves its batch, and the weights that met it, in the folder
`replay` of the run. Prints the terms of the loss, for the batch and for each image alone, the first
module with an output that is not finite, and the weights and targets that were not sound before.
Nothing is trained or written, and nothing in the file is executed. Exit code 1: not finite again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facezoo.builder import build_model, without_pretrained
from facezoo.errors import CheckpointError, FacezooError
from facezoo.inference.detector import evaluation_mode
from facezoo.inference.loading import choose_device
from facezoo.runs.run_config import open_config
from facezoo.structures import Batch, Targets
from facezoo.training.process import seed_generators
from facezoo.training.update import cut, loss_terms
from facezoo.zoo.safe_load import check_architecture, load_tensors

LISTED = 64


def read_batch(path: Path) -> tuple[Batch, dict[str, Tensor], int]:
    """Returns the batch in a file, the weights by name, and the number of the step that failed."""
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path} holds no batch: give a .safetensors in replay/ of a run.")
    tensors, metadata = load_tensors(path)
    targets = {one.name: tensors.get(f"targets.{one.name}") for one in fields(Targets)}
    images, maps = (tensors.get(f"batch.{name}") for name in ("images", "maps"))
    try:
        ids, step = tuple(json.loads(metadata["ids"])), int(metadata["step"])
        sound = {len(one) for one in [*targets.values(), images, maps]} == {len(ids)}
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise CheckpointError(
            f"{path} holds no batch of a training; give a file in the folder replay of a run."
        )
    start = "model."
    weights = {name[len(start) :]: one for name, one in tensors.items() if name.startswith(start)}
    return Batch(images, Targets(**targets), ids, maps), weights, step


def bad_tensors(model: nn.Module) -> list[str]:
    """Returns a line for each tensor of a model that is not finite."""
    bad = {name: int((~one.isfinite()).sum()) for name, one in model.state_dict().items()}
    spoilt = " (the failed step may have spoilt this statistic of batch norm)"
    return [
        f"{name}: {count} values{spoilt if '.running_' in name else ''}"
        for name, count in bad.items()
        if count
    ]


def bad_targets(batch: Batch) -> list[str]:
    """Returns a line for each face that cannot be learned from, in the order of the images."""
    targets, (height, width) = batch.targets, batch.images.shape[-2:]
    left, top, right, bottom = targets.boxes.unbind(-1)
    finite = targets.boxes.isfinite().all(-1)
    empty = (right <= left) | (bottom <= top)
    outside = (right <= 0) | (bottom <= 0) | (left >= width) | (top >= height)
    points = targets.landmarks.isfinite().all(-1)
    # Losses mask what is not annotated, and a product of NaN and 0 is NaN.
    blank = ~targets.valid & ~finite | (~points & ~targets.landmarks_valid).any(-1)
    kinds = {
        "has a box that is not finite": targets.valid & ~finite,
        "has a box without area": targets.valid & finite & empty,
        f"has a box outside of the image ({width} x {height} px)": targets.valid
        & finite
        & ~empty
        & outside,
        "has a landmark that is marked as known and is not finite": (
            ~points & targets.landmarks_valid
        ).any(-1),
        "has a value that is not finite where nothing is annotated": blank,
    }
    found = [(*place, kind) for kind, mask in kinds.items() for place in mask.nonzero().tolist()]
    return [
        f"{batch.ids[image]}: face {face} {kind}: {targets.boxes[image, face].tolist()}"
        for image, face, kind in sorted(found, key=lambda one: one[:2])
    ]


@contextlib.contextmanager
def modules_not_finite(model: nn.Module) -> Iterator[list[str]]:
    """Gives a list that fills with the modules whose output is not finite, inner ones first."""
    names: list[str] = []

    def look(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if name not in names and not is_finite(output):
                names.append(name)

        return hook

    handles = [one.register_forward_hook(look(name)) for name, one in model.named_modules() if name]
    try:
        yield names
    finally:
        for handle in handles:
            handle.remove()


def is_finite(output: Any) -> bool:
    """Returns whether every number in tensors, mappings and lists of them is finite."""
    if isinstance(output, Tensor):
        return bool(output.isfinite().all())
    if isinstance(output, Mapping):
        output = list(output.values())
    return not isinstance(output, (list, tuple)) or all(map(is_finite, output))


def losses(model: nn.Module, batch: Batch, precision: str) -> dict[str, Tensor]:
    """Returns the terms of the loss of a batch."""
    terms = loss_terms(model, batch, precision)
    return {name: term.total / term.count.clamp(min=1) for name, term in terms.items()}


@torch.no_grad()
def losses_alone(model: nn.Module, batch: Batch, precision: str) -> Iterator[dict[str, Tensor]]:
    """Gives the loss terms of each image by itself, in evaluation mode but for spoilt norms."""
    with evaluation_mode(model):
        for norm in model.modules():
            if isinstance(norm, nn.modules.batchnorm._BatchNorm) and bad_tensors(norm):
                norm.train()
        for one in cut(batch, len(batch.ids)):
            yield losses(model, one, precision)


def replay(config: str, file: Path, overrides: list[str], allow_imports: bool) -> bool:
    """Prints what a kept batch does to the kept weights; returns whether all of it is finite."""
    batch, weights, step = read_batch(file)
    opened = without_pretrained(open_config(config, overrides, allow_imports))
    settings = opened.data["train"]
    device, precision = choose_device(settings["device"]), settings["precision"]
    seed_generators(settings["seed"])
    model = build_model(opened)
    check_architecture(file, model.state_dict(), weights)
    model.load_state_dict(weights)
    if settings["channels_last"]:
        model = model.to(memory_format=torch.channels_last)
    model = model.to(device).train()
    show("weights that are not finite", bad_tensors(model))
    show("targets that cannot be learned from", bad_targets(batch))
    batch = batch.to(device)
    alone = zip(batch.ids, losses_alone(model, batch, precision), strict=True)
    show("each image alone", [f"{name}: {in_words(terms)}" for name, terms in alone])
    with modules_not_finite(model) as names:
        terms = losses(model, batch, precision)
    print(f"first output that is not finite: {names[0] if names else 'none'}")
    torch.stack(list(terms.values())).sum().backward()
    gradients = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    show("gradients that are not finite", [x for x, one in gradients.items() if not is_finite(one)])
    norm = float(torch.stack([one.norm() for one in gradients.values()]).norm())
    print(
        f"step {step} in {precision} on {device}: {in_words(terms)}, norm of gradients {norm:.6g}"
    )
    return is_finite(terms) and math.isfinite(norm)


def in_words(terms: Mapping[str, Tensor]) -> str:
    """Returns the terms of a loss as text."""
    return ", ".join(f"{name} {float(value.detach()):.6g}" for name, value in terms.items())


def show(title: str, lines: list[str]) -> None:
    """Prints a title and its first lines."""
    print(f"{title}: {'none' if not lines else ''}")
    for line in lines[:LISTED] + [f"and {len(lines) - LISTED} more"] * (len(lines) > LISTED):
        print(f"  {line}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", help="run folder, name in the zoo or YAML file")
    parser.add_argument("file", type=Path, help="RUN/replay/step_000123_rank0.safetensors")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="changes to the config")
    parser.add_argument("--allow-imports", action="store_true", help="import plug-ins of the run")
    try:
        sys.exit(0 if replay(**vars(parser.parse_args())) else 1)
    except FacezooError as error:
        sys.exit(f"replay.py: {error}")
