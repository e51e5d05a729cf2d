"""Weights in files: read without executing anything, checked before anything is changed.

Safetensors files are read as they are. Files of torch are read with ``weights_only=True``, which
refuses everything but plain tensors and containers of them.
"""

import pickle
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from facezoo.errors import DAMAGED_FILE, CheckpointError, did_you_mean
from facezoo.writing import atomic_write

WEIGHTS = "model.safetensors"
NAMED = 5
PIXELS = "pixels"
"""The part of a detector that holds its preprocessing, as its config says it."""

WRAPPERS = ("state_dict", "model", "model_state_dict")
"""Keys under which public checkpoints keep their weights, beside epoch and optimizer."""


def find_weights(source: str | Path) -> Path | None:
    """Returns a run folder's or checkpoint's file of weights, or a safetensors file as it is.

    Args:
        source: a run folder, whose best checkpoint is taken, else its last; a checkpoint; or a
            file, which need not exist.

    Returns:
        The file; None where ``source`` is neither a folder nor named ``.safetensors``.

    Raises:
        CheckpointError: a folder holds no weights.
    """
    place = Path(source)
    if place.suffix == ".safetensors" and not place.is_dir():
        return place
    if not place.is_dir():
        return None
    for folder in (place / "checkpoints" / "best", place / "checkpoints" / "last", place):
        if (folder / WEIGHTS).is_file():
            return folder / WEIGHTS
    raise CheckpointError(
        f"{place} is a folder without {WEIGHTS} and without checkpoints/best or checkpoints/last; "
        "give a run folder, a checkpoint or a file of weights."
    )


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file, which appears under its name when complete.

    Args:
        path: the file; its folder is made where it is missing.
        tensors: contiguous, by name.
        metadata: texts that the file carries.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with atomic_write(path) as temporary:
            temporary.touch()
            mode = temporary.stat().st_mode
            save_file(dict(tensors), temporary, {"format": "pt", **metadata})
            temporary.chmod(mode)  # safetensors makes files that only their owner may read
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the tensors of a file by name, and its metadata; nothing in it is executed.

    Args:
        path: a safetensors file, or a file of torch with plain tensors; of a training checkpoint
            the weights are taken, without the ``module.`` of a data-parallel wrapper.

    Raises:
        CheckpointError: the file is missing, truncated, or more than plain tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no weights file {path}; check the path.")
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    if path.suffix == ".onnx":
        raise CheckpointError(
            f"{path} is a graph of ONNX, not weights by name; give the checkpoint it was made from."
        )
    return _load_torch(path), {}


def load_weights(model: nn.Module, path: Path) -> None:
    """Puts the weights of a file into a model; names and shapes have to be the model's own.

    Raises:
        CheckpointError: see ``load_tensors``; or the file is of another architecture, and then the
            model is as it was.
    """
    tensors, _ = load_tensors(path)
    own = model.state_dict()
    check_architecture(path, own, tensors)
    _copy(own, tensors)


def init_from(model: nn.Module, source: str) -> list[str]:
    """Puts what fits of a file into a model, and returns a report, a line per part.

    Names count from the model's top (``backbone.stage1.0.0.weight``); if only one part is asked
    for they may count from that part too, as in the ImageNet weights of a backbone. The
    preprocessing (``pixels``) stays as the model's config says; where the file has another, the
    report says so.

    Args:
        model: changed in place.
        source: ``FILE``, or ``FILE:part,part`` for some parts such as ``backbone``; in place of a
            file, a run folder (its best checkpoint is taken, else its last) or a checkpoint.

    Raises:
        CheckpointError: see ``load_tensors``; or there is no such part, or nothing fits.
    """
    place, parts = _split(source)
    file = find_weights(place) or place
    tensors, _ = load_tensors(file)
    own = model.state_dict()
    wanted = _wanted(own, [name for name, _ in model.named_children()], parts, source)
    if len(parts) == 1 and not any(name.startswith(f"{parts[0]}.") for name in tensors):
        tensors = {f"{parts[0]}.{name}": value for name, value in tensors.items()}
    fitting = {
        name: tensors[name]
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape == value.shape
    }
    if not fitting:
        raise CheckpointError(
            f"Nothing in {file} fits: it has {_some(tensors)}, and the model wants {_some(wanted)}."
        )
    _copy(own, fitting)
    return _report(file, wanted, tensors, fitting.keys()) + _pixels_left_out(file, own, tensors)


def _wanted(
    own: Mapping[str, Tensor], known: Sequence[str], parts: Sequence[str], source: str
) -> dict[str, Tensor]:
    """Returns the model's tensors in the parts asked for, by default in all but the pixels."""
    if PIXELS in parts:
        raise CheckpointError(
            f"{source} names the part {PIXELS!r}, the preprocessing, which the config decides; set "
            "model.pixels there."
        )
    for part in parts:
        if not any(name.startswith(f"{part}.") for name in own):
            raise CheckpointError(
                f"{source} names the part {part!r}, which the model does not have"
                f"{did_you_mean(part, known)}; its parts begin with {', '.join(known)}."
            )
    return {
        name: value
        for name, value in own.items()
        if name.partition(".")[0] != PIXELS
        and (not parts or any(name.startswith(f"{part}.") for part in parts))
    }


def _pixels_left_out(
    file: Path, own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> list[str]:
    """Returns a line where the preprocessing in a file is not the model's."""
    differ = [
        f"{name} {tensors[name].tolist()} there, {value.tolist()} here"
        for name, value in own.items()
        if name.startswith(f"{PIXELS}.")
        and name in tensors
        and tensors[name].tolist() != value.tolist()
    ]
    line = f"{PIXELS}: as the config says, although {file} has others: {'; '.join(differ)}"
    return [line] if differ else []


def _report(
    file: Path,
    wanted: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    fitting: Collection[str],
) -> list[str]:
    lines = []
    for part in dict.fromkeys(name.partition(".")[0] for name in wanted):
        names = [name for name in wanted if name.partition(".")[0] == part]
        loaded = sum(name in fitting for name in names)
        lines.append(f"{part}: {loaded} of {len(names)} tensors from {file}")
    tensors = {name: one for name, one in tensors.items() if not name.startswith(f"{PIXELS}.")}
    kept = ", left as they were"
    labels = (f"not in the file{kept}", f"of another shape{kept}", "in the file, not used")
    return lines + _differences(wanted, tensors, labels)


def _differences(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], labels: Sequence[str]
) -> list[str]:
    """Returns lines on tensors that are not in the file, of another shape, and in it alone."""
    shapes = [
        f"{name} ({list(tensors[name].shape)} there, {list(value.shape)} here)"
        for name, value in own.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    absent, unknown = own.keys() - tensors.keys(), tensors.keys() - own.keys()
    kinds = ([one for one in own if one in absent], shapes, [x for x in tensors if x in unknown])
    pairs = zip(labels, kinds, strict=True)
    return [f"{label}: {_some(names)}" for label, names in pairs if names]


def _split(source: str) -> tuple[Path, list[str]]:
    """Returns file and parts; a colon that belongs to an existing path or a drive stays in it."""
    file, colon, parts = source.rpartition(":")
    if Path(source).exists() or not colon or len(file) < 2:
        return Path(source), []
    return Path(file), [part.strip() for part in parts.split(",") if part.strip()]


def _load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is truncated or no safetensors file ({error}); copy or download it again."
        ) from error


def _load_torch(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED_FILE as error:
        if isinstance(error, pickle.UnpicklingError) and "weights only" in str(error).lower():
            raise CheckpointError(
                f"{path} is a pickle that holds more than plain tensors, and reading it could "
                "execute code: it was refused; save its state_dict alone, or use safetensors."
            ) from error
        raise CheckpointError(
            f"{path} is truncated or no weights file of torch; copy or download it again."
        ) from error
    for wrapper in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path} holds a {type(loaded).__name__}, not tensors by name.")
    tensors = {name: value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors by name, but {_some(loaded)}.")
    return {name.removeprefix("module."): value for name, value in tensors.items()}


def check_architecture(
    path: Path, own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Compares the tensors of a file with those of a model, by name and shape.

    Raises:
        CheckpointError: they differ; it names the first few.
    """
    labels = ("not in the file", "of another shape", "not in the model")
    found = _differences(own, tensors, labels)
    if found:
        raise CheckpointError(
            f"{path} is of another architecture; {'; '.join(found)}. Give the config that it was "
            "trained with, or start from what fits with --init-from."
        )


def _copy(own: Mapping[str, Tensor], tensors: Mapping[str, Any]) -> None:
    """Copies in place, so that device and memory layout stay the model's own."""
    with torch.no_grad():
        for name, value in tensors.items():
            own[name].copy_(value)


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - NAMED
    return ", ".join(map(str, names[:NAMED])) + (f" and {more} more" if more > 0 else "")
