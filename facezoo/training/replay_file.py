"""The file of a batch and the weights that met it; reading it executes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from facezoo import distributed
from facezoo.errors import CheckpointError
from facezoo.structures import Batch, Targets
from facezoo.zoo.safe_load import load_tensors, save_tensors

BATCH, TARGETS, WEIGHTS = "batch.", "targets.", "model."
"""What the names of the tensors in a replay file begin with."""
ENDING = ".safetensors"
NAMED = 3


@dataclass(frozen=True)
class Kept:
    """What a replay file holds.

    Attributes:
        step: the number of the update that failed.
        batch: what it was to learn from, on the CPU.
        weights: the tensors of the model by name.
        rank: the process whose share of the batch it is.
        world_size: the processes that shared the batch.
    """

    step: int
    batch: Batch
    weights: dict[str, Tensor]
    rank: int = 0
    world_size: int = 1


def save_replay(path: Path, model: nn.Module, batch: Batch, step: int) -> None:
    """Writes a batch and the weights to a safetensors file.

    Args:
        path: the file.
        model: with the weights before the update that failed.
        batch: what the update was to learn from.
        step: the number of the update.
    """
    share = distributed.share()
    tensors = {f"{BATCH}images": batch.images, f"{BATCH}maps": batch.maps}
    tensors |= {f"{TARGETS}{name}": tensor for name, tensor in vars(batch.targets).items()}
    tensors |= {f"{WEIGHTS}{name}": tensor for name, tensor in model.state_dict().items()}
    save_tensors(
        path,
        # Cloned, as safetensors refuses tensors that share memory, such as tied weights.
        {
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        },
        {
            "step": str(step),
            "ids": json.dumps(batch.ids),
            "dropped": str(batch.dropped),
            "rank": str(share.rank),
            "world_size": str(share.world_size),
        },
    )


def load_replay(path: Path) -> Kept:
    """Reads what ``save_replay`` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, or no replay file.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no replay file {path}; check the path.")
    if path.suffix != ENDING:
        raise _no_replay(path, f"its name does not end in {ENDING}")
    tensors, metadata = load_tensors(path)
    names = [f"{BATCH}images", f"{BATCH}maps"]
    names += [f"{TARGETS}{name}" for name in Targets.__dataclass_fields__]
    absent = [name for name in names if name not in tensors]
    if absent:
        raise _no_replay(path, f"it has no {absent[0]}")
    try:
        step, dropped, rank, world_size = (
            int(metadata[name]) for name in ("step", "dropped", "rank", "world_size")
        )
        ids = tuple(str(one) for one in json.loads(metadata["ids"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _no_replay(path, "it does not say which step and images it is of") from error
    if not ids:
        raise _no_replay(path, "it holds no images")
    wrong = _misshapen(tensors, len(ids))
    if wrong is not None:
        raise _no_replay(
            path,
            f"{wrong} has the shape {list(tensors[wrong].shape)} and the type "
            f"{tensors[wrong].dtype}, which does not go with the rest",
        )
    return Kept(
        step,
        Batch(
            # As collate lays images out in memory.
            images=tensors[f"{BATCH}images"].to(memory_format=torch.channels_last),
            targets=Targets(
                **{name: tensors[f"{TARGETS}{name}"] for name in Targets.__dataclass_fields__}
            ),
            ids=ids,
            maps=tensors[f"{BATCH}maps"],
            dropped=dropped,
        ),
        {
            name.removeprefix(WEIGHTS): tensor
            for name, tensor in tensors.items()
            if name.startswith(WEIGHTS)
        },
        rank,
        world_size,
    )


def put_weights(model: nn.Module, kept: Kept, file: Path) -> None:
    """Puts the kept weights into a model, whose names and shapes have to be theirs.

    Args:
        model: changed in place.
        kept: what the file holds.
        file: its path, for the message.

    Raises:
        CheckpointError: they are not; the model is as it was.
    """
    own: dict[str, Tensor] = model.state_dict()
    differing = [
        name
        for name in dict.fromkeys([*own, *kept.weights])
        if name not in own
        or name not in kept.weights
        or own[name].shape != kept.weights[name].shape
    ]
    if differing:
        more = len(differing) - NAMED
        raise CheckpointError(
            f"The weights in {file} are of another model: {', '.join(differing[:NAMED])}"
            f"{f' and {more} more' if more > 0 else ''} differ; give the config or the folder of "
            "the run that kept it."
        )
    with torch.no_grad():
        for name, tensor in kept.weights.items():
            own[name].copy_(tensor)


def _misshapen(tensors: Mapping[str, Tensor], count: int) -> str | None:
    """Returns the name of a tensor that cannot be of a batch of ``count`` images, or None."""
    images, landmarks = tensors[f"{BATCH}images"], tensors[f"{TARGETS}landmarks_valid"]
    if images.ndim != 4:
        return f"{BATCH}images"
    if landmarks.ndim != 3:
        return f"{TARGETS}landmarks_valid"
    faces, points = landmarks.shape[1:]
    expected = {
        f"{BATCH}images": ((count, 3, *images.shape[2:]), torch.uint8),
        f"{BATCH}maps": ((count, 2, 3), torch.float64),
        f"{TARGETS}boxes": ((count, faces, 4), torch.float32),
        f"{TARGETS}valid": ((count, faces), torch.bool),
        f"{TARGETS}ignore": ((count, faces), torch.bool),
        f"{TARGETS}labels": ((count, faces), torch.int64),
        f"{TARGETS}landmarks": ((count, faces, points, 2), torch.float32),
        f"{TARGETS}landmarks_valid": ((count, faces, points), torch.bool),
    }
    for name, (shape, dtype) in expected.items():
        if tuple(tensors[name].shape) != shape or tensors[name].dtype != dtype:
            return name
    return None


def _no_replay(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is no replay file: {why}; give a file that a training kept in the folder replay "
        "of its run."
    )
