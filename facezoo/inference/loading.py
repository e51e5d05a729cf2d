"""From what a user calls a model (a name, a config, a run) to the model with its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from facezoo.builder import build_model
from facezoo.config import Config, find_config, load_config, zoo_folder
from facezoo.errors import CheckpointError, ConfigError
from facezoo.models.detector import FaceDetector
from facezoo.zoo.catalogue import default_weights
from facezoo.zoo.safe_load import load_tensors, load_weights

WEIGHTS = "model.safetensors"
CONFIG = "config.yaml"


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to find faces, and where it came from.

    Attributes:
        model: with its weights.
        config: what it was built from.
        weights: the file of its weights.
    """

    model: FaceDetector
    config: Config
    weights: Path


def load_model(
    source: str | Path | Mapping[str, Any] | Config,
    weights: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    allow_imports: bool = False,
) -> LoadedModel:
    """Builds a model and gives it its weights; nothing is downloaded.

    Args:
        source: name in the zoo, YAML file, mapping or Config; or a run folder (its best checkpoint
            is taken, else its last), a checkpoint, or a safetensors file, which carry their config.
        weights: file of the weights, or a run folder or checkpoint. By default those that came
            with ``source``: for a name of the zoo the weights that facezoo is installed with.
        overrides: such as ``["model.neck.channels=128"]``.
        allow_imports: whether the config of a checkpoint may import plug-ins. A config that the
            caller names himself always may.

    Raises:
        ConfigError: the config is wrong, or there are no weights.
        CheckpointError: the weights are missing, damaged, or of another architecture.
    """
    own_weights = _weights_in(source) if isinstance(source, (str, Path)) else None
    if own_weights is None:
        config = load_config(source, overrides)
    else:
        carried = _carried_config(own_weights)
        config = load_config(carried, overrides, allow_imports=allow_imports)
        config.name = str(source)
    file = own_weights
    if weights is not None:
        file = _weights_in(weights) or Path(weights)
    file = file or _zoo_weights(source, config)
    if config.get("model.backbone.pretrained"):
        # The file holds the backbone too: fetching other weights first would be for nothing.
        model = build_model(config, "model.backbone.pretrained=false")
    else:
        model = build_model(config)
    load_weights(model, file)
    return LoadedModel(model, config, file)


def _weights_in(source: str | Path) -> Path | None:
    """Returns the weights file that a run folder, a checkpoint or a file name stands for."""
    place = Path(source)
    if place.suffix == ".safetensors":
        return place
    if not place.is_dir():
        return None
    for folder in (place / "checkpoints" / "best", place / "checkpoints" / "last", place):
        if (folder / WEIGHTS).is_file():
            return folder / WEIGHTS
    raise CheckpointError(
        f"{place} is a folder without {WEIGHTS} and without checkpoints/best or checkpoints/last; "
        "give a run folder, a checkpoint, a YAML file or the name of a model in the zoo."
    )


def _carried_config(weights: Path) -> Path | dict[str, Any]:
    """Returns the config that came with a weights file: beside it, or in its metadata."""
    beside = weights.with_name(CONFIG)
    if weights.name == WEIGHTS and beside.is_file():
        return beside
    _, metadata = load_tensors(weights)
    if "config" in metadata:
        return yaml.safe_load(metadata["config"])
    raise CheckpointError(
        f"{weights} does not say which model it belongs to; name the model, and give this file as "
        "its weights."
    )


def _zoo_weights(source: object, config: Config) -> Path:
    if isinstance(source, (str, Path)) and "\n" not in str(source):
        of_zoo = find_config(source).resolve() == (zoo_folder() / f"{config.name}.yaml").resolve()
        found = default_weights(config.name) if of_zoo else None
        if found is not None:
            return found
    raise ConfigError(
        f"No weights of {config.name} come with facezoo; give a weights file, or a run folder in "
        "place of the model."
    )
