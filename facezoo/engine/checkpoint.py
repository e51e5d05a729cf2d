"""Checkpoints: a folder that appears whole, or not at all, and that a run resumes from exactly.

    step_000120/
      model.safetensors   weights to evaluate and give away: the average where EMA is on
      raw.safetensors     the trained weights, only where EMA is on
      state.pt            optimizer, scaler, hooks, counters, generators, config, versions
      config.yaml         the merged config, as `facezoo eval` takes it

Tensors are stored contiguous; loading copies them into the model's own memory layout. ``state.pt``
holds plain values and tensors only, so that it loads with ``weights_only=True``.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import random
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import facezoo
from facezoo.errors import DAMAGED_FILE, CheckpointError
from facezoo.zoo.safe_load import load_weights, save_tensors

if TYPE_CHECKING:
    from facezoo.engine.trainer import Trainer

logger = logging.getLogger(__name__)

FORMAT = 1
WEIGHTS = "model.safetensors"
RAW_WEIGHTS = "raw.safetensors"
STATE = "state.pt"


def save_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Writes the trainer's whole state to ``folder``, which appears under its name when complete.

    Raises:
        NonFiniteLossError: a loss since the last look was not finite; nothing is written then.
    """
    trainer.check_finite()
    with new_folder(folder) as temporary:
        (temporary / "config.yaml").write_text(trainer.config.to_yaml(), encoding="utf-8")
        _save_weights(trainer.deployed, temporary / WEIGHTS, trainer.step)
        if trainer.averaged is not None:
            _save_weights(trainer.model, temporary / RAW_WEIGHTS, trainer.step)
        torch.save(_state(trainer), temporary / STATE)


def load_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Puts a trainer that was built from the run's config into the state of a checkpoint.

    The arguments of the optimizer, such as ``weight_decay``, stay those of the trainer.

    Raises:
        CheckpointError: a file is missing, damaged, or of another architecture.
    """
    state = read_state(folder / STATE)
    averaged = (folder / RAW_WEIGHTS).is_file()
    load_weights(trainer.model, folder / (RAW_WEIGHTS if averaged else WEIGHTS))
    if averaged and any(hook.keeps_average for hook in trainer.hooks.values()):
        trainer.averaged = copy.deepcopy(trainer.model).requires_grad_(False).eval()
        load_weights(trainer.averaged, folder / WEIGHTS)
    _load_optimizer(trainer.optimizer, state["optimizer"], folder / STATE)
    if state["scaler"]:
        trainer.scaler.load_state_dict(state["scaler"])
    elif trainer.scaler.is_enabled():
        logger.info("The run had no gradient scaler so far; it begins with a new one.")
    trainer.step = state["step"]
    trainer.metrics = dict(state["metrics"])
    trainer.window.load_state_dict(state["window"])
    for name, hook in trainer.hooks.items():
        if name in state["hooks"]:
            hook.load_state_dict(state["hooks"][name])
    set_generators(state["generators"])


def read_state(path: Path) -> dict[str, Any]:
    """Returns what ``state.pt`` holds.

    Raises:
        CheckpointError: the file is missing, damaged, or of another version of the format.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is missing; give a run folder, or one of the folders in its checkpoints/."
        ) from error
    except DAMAGED_FILE as error:
        raise CheckpointError(
            f"{path} is damaged or no checkpoint of facezoo; resume from another folder in "
            f"{path.parent.parent}."
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else None
        raise CheckpointError(
            f"{path} has checkpoint format {found}, this version of facezoo reads {FORMAT}; "
            "start anew from its weights with --init-from."
        )
    return state


def find_checkpoint(place: Path) -> Path:
    """Returns the checkpoint that a resume from ``place`` goes on from.

    Args:
        place: a checkpoint, or a run folder, whose last checkpoint is taken.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    if (place / STATE).is_file():
        return place
    found = last_checkpoint(place)
    if found is None:
        raise CheckpointError(
            f"There is no checkpoint in {place}; give a run folder with checkpoints/last, or a "
            "checkpoint itself."
        )
    return found


def last_checkpoint(run: Path) -> Path | None:
    """Returns the last checkpoint of a run folder, or None where there is none."""
    steps = saved_steps(run)
    candidates = [run / "checkpoints" / "last", *(steps[one] for one in sorted(steps)[::-1])]
    return next((one for one in candidates if (one / STATE).is_file()), None)


def saved_steps(run: Path) -> dict[int, Path]:
    """Returns the folders of a run's checkpoints by step; other names are passed over."""
    return {
        int(folder.name.removeprefix("step_")): folder
        for folder in run.glob("checkpoints/step_*")
        if re.fullmatch(r"step_[0-9]+", folder.name)
    }


def point(entry: Path, target: Path) -> None:
    """Makes ``entry`` another name of the folder ``target`` beside it, in one step.

    A symbolic link that is renamed over the old one; where the system grants no links, a copy
    that takes the old one's place (there, for an instant, neither is in place).
    """
    temporary = entry.with_name(f".{entry.name}.new")
    _remove(temporary)
    try:
        temporary.symlink_to(target.name, target_is_directory=True)
        os.replace(temporary, entry)
    except OSError:
        _remove(temporary)
        shutil.copytree(target, temporary)
        old = entry.with_name(f".{entry.name}.old")
        _remove(old)
        if entry.exists():
            os.replace(entry, old)
        os.replace(temporary, entry)
        _remove(old)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives a folder under a temporary name and renames it to ``folder`` once all is written."""
    temporary = folder.with_name(f".{folder.name}.new")
    _remove(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in temporary.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        old = folder.with_name(f".{folder.name}.old")
        _remove(old)
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
        _remove(old)
    finally:
        _remove(temporary)


def generators() -> dict[str, Any]:
    """Returns the states of the global generators of Python, NumPy and torch, as plain values."""
    _, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [torch.from_numpy(np.asarray(keys, dtype=np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_generators(states: Mapping[str, Any]) -> None:
    """Puts the global generators into the states that ``generators`` gave."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


def _state(trainer: Trainer) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "step": trainer.step,
        "metrics": dict(trainer.metrics),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "window": trainer.window.state_dict(),
        "hooks": {name: hook.state_dict() for name, hook in trainer.hooks.items()},
        "generators": generators(),
        "config": trainer.config.data,
        "name": trainer.config.name,
        "note": trainer.note,
        "versions": {"facezoo": facezoo.__version__, "torch": str(torch.__version__)},
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any], path: Path) -> None:
    own = [
        {name: value for name, value in group.items() if name not in ("params", "lr")}
        for group in optimizer.param_groups
    ]
    try:
        optimizer.load_state_dict(dict(state))
    except ValueError as error:
        raise CheckpointError(
            f"{path} holds the state of another optimizer ({error}); resume with the config of "
            "the run, or start anew from its weights with --init-from."
        ) from error
    for group, arguments in zip(optimizer.param_groups, own, strict=True):
        group.update(arguments)


def _save_weights(model: nn.Module, path: Path, step: int) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_tensors(path, tensors, {"step": str(step), "facezoo": facezoo.__version__})


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
