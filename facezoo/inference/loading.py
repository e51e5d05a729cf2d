"""From what a user calls a model (a name, a config, a run) to the model with its weights.

And from the name of a device to the device.
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
import yaml
from torch import Tensor

from facezoo.builder import build_model, without_pretrained
from facezoo.config.config import Config, find_config, load_config, zoo_folder
from facezoo.errors import CheckpointError, ConfigError
from facezoo.models.face_detector import FaceDetector
from facezoo.zoo.catalogue import default_weights, names
from facezoo.zoo.safe_load import WEIGHTS, find_weights, load_tensors, load_weights

logger = logging.getLogger(__name__)

CONFIG = "config.yaml"
PUBLIC = {".ckpt", ".onnx", ".pt", ".pth", ".tar"}
"""How files of weights of other projects end."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to find faces, the config it was built from, and the file of its weights."""

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
            A string that is a name in the zoo means the zoo, whatever folder has that name too; a
            ``Path``, or a string with a separator such as ``./retinaface_mnet025``, means a path.
        weights: file of the weights, or a run folder or checkpoint. By default those that came
            with ``source``: for a name of the zoo the weights that facezoo is installed with.
        overrides: such as ``["model.neck.channels=128"]``. The preprocessing (``model.pixels``) is
            the weights' own; an override that says otherwise is refused, and a config that does
            is logged.
        allow_imports: whether the config of a checkpoint may import plug-ins. A config that the
            caller names himself always may.

    Raises:
        ConfigError: the config is wrong, there are no weights, or they were trained with other
            pixels than an override asks for.
        CheckpointError: the weights are missing, damaged, or of another architecture.
    """
    own_weights = find_weights(source) if _is_path(source) else None
    _refuse_public(source)
    if own_weights is None:
        config = load_config(source, overrides)
    else:
        carried = _carried_config(own_weights)
        config = load_config(carried, overrides, allow_imports=allow_imports)
        config.name = str(source)
    file = own_weights
    if weights is not None:
        file = find_weights(weights) or Path(weights)
    file = file or _zoo_weights(source, config)
    model = build_model(without_pretrained(config))  # the file holds the backbone too
    configured = copy.deepcopy(model.pixels.state_dict())
    load_weights(model, file)
    _compare_pixels(configured, model.pixels.state_dict(), overrides, file)
    return LoadedModel(model, config, file)


def _is_path(source: object) -> TypeGuard[str | Path]:
    """Returns whether a source may be a folder or a file, as YAML and a name are not."""
    if isinstance(source, str):
        return "\n" not in source and source not in names()
    return isinstance(source, Path)


def _refuse_public(source: object) -> None:
    """Refuses a checkpoint of another project, which does not say what it is of."""
    if _is_path(source) and Path(source).suffix in PUBLIC and Path(source).is_file():
        raise ConfigError(
            f"{source} is no model of facezoo; convert it with `facezoo zoo convert {source} "
            "--from FAMILY`, or name the model and give this file as its weights."
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


def _compare_pixels(
    configured: Mapping[str, Tensor],
    loaded: Mapping[str, Tensor],
    overrides: Sequence[str],
    file: Path,
) -> None:
    """Refuses an override of the preprocessing that the weights undo, and logs a config's."""
    differ = [name for name, value in loaded.items() if not torch.equal(configured[name], value)]
    if not differ:
        return
    if any(override.startswith("model.pixels") for override in overrides):
        raise ConfigError(
            f"{file} was trained with other pixels ({', '.join(differ)}) than the override of "
            "model.pixels asks for; leave it out, as weights bring their preprocessing along."
        )
    logger.warning(
        "%s was trained with other pixels (%s) than the config says; those of the file are used.",
        file,
        ", ".join(differ),
    )


def choose_device(name: str) -> torch.device:
    """Returns the device of that name; ``auto`` is CUDA, else MPS, else the CPU.

    Raises:
        ConfigError: torch does not know the device, or the machine does not have it.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"The device {name!r} is not on this machine or not in this build of torch "
            f"({str(error).splitlines()[0]}); cpu always works."
        ) from error
    return device
