"""What is in the zoo: every YAML of ``model_zoo/``, with its size and its weights.

Looking at names alone imports no torch.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facezoo.config.config import load_config, zoo_folder

DEFAULT_MODEL = "retinaface_mnet025"
"""The model that is used where none is named; its weights come with facezoo."""

WEIGHTS = Path(__file__).parent / "weights"


if TYPE_CHECKING:
    from facezoo.zoo.model_size import ModelSize


@dataclass(frozen=True)
class ZooEntry:
    """A model of the zoo, described in one line; with weights where they come with facezoo."""

    name: str
    description: str
    size: ModelSize
    weights: Path | None


def names() -> list[str]:
    """Returns the names in the zoo, in alphabetical order."""
    return sorted(path.stem for path in zoo_folder().glob("*.yaml"))


def entry(name: str) -> ZooEntry:
    """Returns what there is to know about one model; builds it, without weights.

    Raises:
        ConfigError: there is no such model.
    """
    from facezoo.builder import build_model, without_pretrained
    from facezoo.zoo.model_size import model_size

    model = build_model(without_pretrained(load_config(name)))
    return ZooEntry(
        name, description(zoo_folder() / f"{name}.yaml"), model_size(model), default_weights(name)
    )


def entries() -> list[ZooEntry]:
    """Returns every model of the zoo, in alphabetical order."""
    return [entry(name) for name in names()]


def description(path: Path) -> str:
    """Returns the first sentence of the comment that a YAML file begins with, or nothing."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    text = " ".join(line.lstrip("# ").rstrip() for line in comment)
    return re.split(r"(?<=\.)\s", text)[0]


def default_weights(name: str) -> Path | None:
    """Returns the file of weights of a model that facezoo is installed with, or None."""
    path = WEIGHTS / f"{name}.safetensors"
    return path if path.is_file() else None
