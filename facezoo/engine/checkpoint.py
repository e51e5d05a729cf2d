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
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from torch import nn

import facezoo
from facezoo.errors import DAMAGED_FILE, CheckpointError
from facezoo.zoo.safe_load import load_weights, save_tensors

if TYPE_CHECKING:
    from facezoo.engine.trainer import Trainer

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
        (temporary / "config.yaml").write_text(
            yaml.safe_dump(dict(trainer.config), sort_keys=False), encoding="utf-8"
        )
        _save_weights(trainer.deployed, temporary / WEIGHTS, trainer.step)
        if trainer.averaged is not None:
            _save_weights(trainer.model, temporary / RAW_WEIGHTS, trainer.step)
        torch.save(_state(trainer), temporary / STATE)


def load_checkpoint(trainer: Trainer, folder: Path) -> None:
    """Puts a trainer that was built from the same config into the state of a checkpoint.

    Raises:
        CheckpointError: a file is missing, damaged, or of another architecture.
    """
    state = read_state(folder / STATE)
    averaged = (folder / RAW_WEIGHTS).is_file()
    load_weights(trainer.model, folder / (RAW_WEIGHTS if averaged else WEIGHTS))
    if averaged and any(hook.keeps_average for hook in trainer.hooks.values()):
        trainer.averaged = copy.deepcopy(trainer.model).requires_grad_(False).eval()
        load_weights(trainer.averaged, folder / WEIGHTS)
    try:
        trainer.optimizer.load_state_dict(state["optimizer"])
    except ValueError as error:
        raise CheckpointError(
            f"{folder / STATE} holds the state of another optimizer ({error}); resume with the "
            "config of the run, or start anew from its weights with --init-from."
        ) from error
    trainer.scaler.load_state_dict(state["scaler"])
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
    saved = sorted(place.glob("checkpoints/step_*"), key=lambda one: (len(one.name), one.name))
    candidates = [place / "checkpoints" / "last", *reversed(saved)]
    for candidate in candidates:
        if (candidate / STATE).is_file():
            return candidate
    raise CheckpointError(
        f"There is no checkpoint in {place}; give a run folder with checkpoints/last, or a "
        "checkpoint itself."
    )


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
        "config": dict(trainer.config),
        "versions": {"facezoo": facezoo.__version__, "torch": str(torch.__version__)},
    }


def _save_weights(model: nn.Module, path: Path, step: int) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_tensors(path, tensors, {"step": str(step), "facezoo": facezoo.__version__})


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
