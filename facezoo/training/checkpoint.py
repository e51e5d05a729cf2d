"""Checkpoints: the whole state of a run, from which it goes on exactly.

    step_000120/
      model.safetensors   weights to evaluate and give away: the average where EMA is on
      raw.safetensors     the trained weights, only where EMA is on
      state.pt            optimizer, scaler, hooks, counters, generators, config, versions
      config.yaml         the merged config, as `facezoo eval` takes it
      digests.json        sha256 of each of the files above

Tensors are stored contiguous; loading copies them into the model's own memory layout. ``state.pt``
holds plain values and tensors only, so that it loads with ``weights_only=True``.
"""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facezoo import distributed
from facezoo.errors import DAMAGED_FILE, CheckpointError, ConfigError
from facezoo.training.checkpoint_files import STATE, check_digests, new_folder, write_digests
from facezoo.training.hook import TrainerBase
from facezoo.training.process import generators, seed_generators, set_generators
from facezoo.training.update import Update, copies
from facezoo.version import __version__
from facezoo.zoo.safe_load import load_weights, save_tensors

logger = logging.getLogger(__name__)

FORMAT = 2
WEIGHTS = "model.safetensors"
RAW_WEIGHTS = "raw.safetensors"


@dataclass(frozen=True)
class Snapshot:
    """A copy of the state of a run at one step: weights by file and name, state, YAML."""

    weights: dict[str, dict[str, Tensor]]
    state: dict[str, Any]
    config: str


def take_snapshot(trainer: TrainerBase) -> Snapshot:
    """Copies the whole state of a trainer into memory of the CPU; every rank has to call it.

    Raises:
        NonFiniteLossError: a loss since the last look was not finite.
    """
    trainer.meter.check_finite()
    weights = {WEIGHTS: copies(trainer.evaluated_model.state_dict())}
    if trainer.averaged is not None:
        weights[RAW_WEIGHTS] = copies(trainer.model.state_dict())
    return Snapshot(weights, _copied(_state(trainer)), trainer.config.to_yaml())


def write_snapshot(snapshot: Snapshot, folder: Path) -> None:
    """Writes a snapshot to ``folder``, which appears under its name when complete.

    Raises:
        CheckpointError: it cannot be written; whatever stood in ``folder`` before still does.
    """
    marks = {"step": str(snapshot.state["step"]), "facezoo": __version__}
    try:
        with new_folder(folder) as temporary:
            (temporary / "config.yaml").write_text(snapshot.config, encoding="utf-8")
            for name, tensors in snapshot.weights.items():
                save_tensors(temporary / name, tensors, marks)
            torch.save(snapshot.state, temporary / STATE)
            write_digests(temporary)
    except (OSError, RuntimeError, CheckpointError) as error:  # torch raises RuntimeError
        raise CheckpointError(
            f"{folder} could not be written ({str(error).splitlines()[0]}); the checkpoints before "
            "it are whole: make room, and go on with --resume."
        ) from error


def load_checkpoint(trainer: TrainerBase, folder: Path) -> None:
    """Puts a trainer that was built from the run's config into the state of a checkpoint.

    The arguments of the optimizer, such as ``weight_decay``, stay those of the trainer. What may
    keep the run from going on to the last bit is logged.

    Raises:
        CheckpointError: a file is missing, damaged, or of another architecture.
        ConfigError: the run has left out more steps than ``train.max_skipped``.
    """
    check_digests(folder)
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
    trainer.pending = [(event, name) for event, name in state["pending"] if name in trainer.hooks]
    trainer.meter.load_state_dict(state["window"])
    if not distributed.is_main():  # the counts of all ranks are in rank 0's
        trainer.meter.dropped = trainer.meter.unreadable = 0
    if trainer.meter.bad_steps > trainer.settings.max_skipped:
        raise ConfigError(
            f"The run has left out {trainer.meter.bad_steps} steps already; train.max_skipped is "
            f"{trainer.settings.max_skipped}: give at least that many."
        )
    if isinstance(trainer.update, Update):
        trainer.update.bad_steps.fill_(trainer.meter.bad_steps)
    for name, hook in trainer.hooks.items():
        if name in state["hooks"]:
            hook.load_state_dict(state["hooks"][name])
    _set_generators(trainer, state["generators"])
    _warn_of_differences(state["made_with"], _made_with(trainer))


def read_state(path: Path) -> dict[str, Any]:
    """Returns what ``state.pt`` holds, in the form of this version.

    Raises:
        CheckpointError: the file is missing, damaged, or of a version that cannot be read.
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
    found = state.get("format") if isinstance(state, dict) else None
    if found == 1:
        return _from_1(state)
    if found != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {found}, this version of facezoo reads {FORMAT}; "
            "start anew from its weights with --init-from."
        )
    return state


def _from_1(state: dict[str, Any]) -> dict[str, Any]:
    """Format 1 knew one process, and no event that an interrupted run still owes its hooks."""
    bad = torch.zeros(len(state["window"]["steps"]), dtype=torch.bool)
    window = {**state["window"], "bad": bad, "skipped": 0}
    return {
        **state,
        "format": 2,
        "window": window,
        "pending": [],
        "generators": [state["generators"]],
        "made_with": {"facezoo": state["versions"]["facezoo"], "torch": state["versions"]["torch"]},
    }


def _state(trainer: TrainerBase) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "step": trainer.step,
        "metrics": dict(trainer.metrics),
        "pending": [list(one) for one in trainer.pending],
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "window": trainer.meter.state_dict()
        | {
            "dropped": sum(distributed.gather(trainer.meter.dropped)),
            "unreadable": sum(distributed.gather(trainer.meter.unreadable)),
        },
        "hooks": {name: hook.state_dict() for name, hook in trainer.hooks.items()},
        "generators": distributed.gather(generators()),
        "config": trainer.config.data,
        "name": trainer.config.name,
        "note": trainer.note,
        "made_with": _made_with(trainer),
    }


def _made_with(trainer: TrainerBase) -> dict[str, Any]:
    """Returns what the last bits of a result depend on beside the config."""
    return {
        "facezoo": __version__,
        "torch": str(torch.__version__),
        "device": trainer.device.type,
        "threads": torch.get_num_threads(),
        "processes": distributed.share().world_size,
    }


def _warn_of_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changes = [
        f"{name} {before[name]} -> {value}"
        for name, value in now.items()
        if before.get(name, value) != value
    ]
    if changes:
        logger.warning(
            "The run goes on with the same samples, but not to the last bit: %s.",
            ", ".join(changes),
        )


def _set_generators(trainer: TrainerBase, states: list[dict[str, Any]]) -> None:
    """Gives each rank its generators back; a rank that was not there before gets new ones."""
    rank = distributed.share().rank
    if rank < len(states):
        set_generators(states[rank])
    else:
        seed_generators(trainer.settings.seed, trainer.step, rank)


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


def _copied(value: Any) -> Any:
    """Returns plain values and tensors copied deeply, on the CPU, in the same memory layout."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {name: _copied(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(one) for one in value)
    return value
