"""The config of a run: the one that was named, that of the run on resume, or that of a trial."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facezoo.config.config import Config, load_config
from facezoo.config.signatures import show
from facezoo.config.yaml_tree import join
from facezoo.errors import CheckpointError, ConfigError
from facezoo.zoo.catalogue import names

CONFIG = "config.yaml"
FIXED = ("model", "optimizer.type", "data.batch_size", "train.seed")
"""What a run cannot change on the way: its weights, its optimizer's state, its stream of data."""
NAMED = 8
TRIAL_NOTE = "sample run on synthetic faces"
TRIAL_STEPS, TRIAL_SIDE, TRIAL_BATCH = 10, 256, 4
TRIAL_IMAGES = {"train": 64, "val": 16}
_NOTHING = object()


def open_config(
    source: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    allow_imports: bool = False,
) -> Config:
    """Reads what ``load_config`` takes, or the config in a run folder or a checkpoint.

    Of the latter ``allow_imports`` says whether it may import plug-ins.
    """
    carried = carried_config(source)
    if carried is None:
        return load_config(source, overrides)
    config = load_config(carried, overrides, allow_imports=allow_imports)
    config.name = carried.resolve().parent.name
    return config


def carried_config(source: object) -> Path | None:
    """Returns the file of the config in a run folder or a checkpoint; None for anything else.

    A name of the zoo means the zoo, whatever folder has that name too.
    """
    in_zoo = isinstance(source, str) and source in names()
    if in_zoo or not isinstance(source, (str, Path)) or "\n" in str(source):
        return None
    path = Path(source, CONFIG)
    return path if path.is_file() else None


def trial_config(source: Config) -> Config:
    """Returns the config of a trial: ``SyntheticFaces`` for its data, and 10 steps at most.

    Images of 256 px in batches of 4; model, transforms, losses, optimizer and hooks stay. The
    backbone starts anew, as nothing that ten steps can show is worth a download.
    """
    overrides = [
        f"data.image_size={TRIAL_SIDE}",
        f"data.batch_size={TRIAL_BATCH}",
        "data.workers=0",
        "train.epochs=null",
        f"train.max_steps={min(TRIAL_STEPS, source.get('train.max_steps') or TRIAL_STEPS)}",
        "train.max_samples=null",
        "train.accumulate=1",
        "train.log_every=1",
        "evaluation.protocol=original",
    ]
    overrides += [
        f"data.{split}.dataset={{_delete_: true, type: SyntheticFaces, seed: {seed}, "
        f"num_images: {count}, image_size: {TRIAL_SIDE}}}"
        for seed, (split, count) in enumerate(TRIAL_IMAGES.items())
        if source.get(f"data.{split}") is not None
    ]
    if source.get("model.backbone.pretrained"):
        overrides.append("model.backbone.pretrained=false")
    return load_config(source, overrides)


def resumed_config(
    checkpoint: Path,
    name: str,
    named: Config,
    overrides: Sequence[str],
    sample: bool = False,
    allow_imports: bool = False,
) -> tuple[Config, list[str]]:
    """Returns the config that a resumed run goes on with, and what to say about it.

    It is the run's own, begun as ``name``, with the overrides on top. Plug-ins that ``named`` may
    import are imported, as the user named that config; others only where ``allow_imports`` says so.

    Raises:
        ConfigError: the overrides change what a run cannot change, or the run is another's.
        CheckpointError: the checkpoint has no config.
    """
    if not (checkpoint / CONFIG).is_file():
        raise CheckpointError(
            f"{checkpoint / CONFIG} is missing; resume from another folder in {checkpoint.parent}."
        )
    named.import_plugins()
    own = load_config(checkpoint / CONFIG, allow_imports=allow_imports)
    if name != named.name and differences(own.get("model"), named.get("model")):
        raise ConfigError(
            f"{checkpoint} is of a run of {name}, and {named.name} is another model; name {name}, "
            "or another run."
        )
    config = load_config(own, overrides)
    config = trial_config(config) if sample else config
    config.name = named.name
    changes = differences(own.data, config.data)
    inside = tuple(f"{one}." for one in FIXED)
    fixed = {path: pair for path, pair in changes.items() if f"{path}.".startswith(inside)}
    if fixed:
        raise ConfigError(
            f"A run cannot change {_summary(fixed)} on the way: leave that as it was, or start a "
            f"new run from its weights with --init-from {checkpoint / 'model.safetensors'}."
        )
    lines = [f"Changed from here on: {line}" for line in _lines(changes)]
    kept = differences(named.data, config.data)
    if kept:
        lines.append(
            f"The run keeps its own settings where {named.name} has others (there -> here): "
            f"{_summary(kept)}."
        )
    return config, lines


def differences(old: Any, new: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Returns the values that differ between two plain configs, by dotted path."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if not isinstance(old, dict) or not isinstance(new, dict):
        return {} if old is new or old == new else {path: (old, new)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in dict.fromkeys([*old, *new]):
        one, other = old.get(key, _NOTHING), new.get(key, _NOTHING)
        found |= differences(one, other, join(path, key))
    return found


def _summary(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """Returns the first few changes as text."""
    texts = _lines(changes)
    more = len(texts) - NAMED
    return "; ".join(texts[:NAMED]) + (f"; and {more} more" if more > 0 else "")


def _lines(changes: Mapping[str, tuple[Any, Any]]) -> list[str]:
    return [
        f"{path}: {' -> '.join('nothing' if one is _NOTHING else show(one) for one in pair)}"
        for path, pair in changes.items()
    ]
