"""Public checkpoints under facezoo's names: one module per family, a mapping and nothing more."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from torch import Tensor

from facezoo.builder import build_model
from facezoo.config.config import load_config
from facezoo.errors import ConfigError, did_you_mean
from facezoo.zoo.safe_load import check_architecture, load_tensors, save_tensors

FAMILIES = ("biubug6", "yolo5face")
"""Modules of this folder, each with a ``convert``."""


@dataclass(frozen=True)
class Converted:
    """A checkpoint under facezoo's names.

    Attributes:
        tensors: by facezoo's names.
        config: the model of the zoo that they are of.
        overrides: what differs from that config.
        folded: numbers that two-class softmax needs and one logit does not.
    """

    tensors: dict[str, Tensor]
    config: str
    overrides: tuple[str, ...]
    folded: int


def convert_file(source: Path, family: str, out: Path) -> list[str]:
    """Writes a public checkpoint as a safetensors file that loads strictly, and returns a report.

    The file carries the config of its model, so that it can stand for the model by itself.

    Args:
        source: the public checkpoint.
        family: where it is from: ``biubug6`` (Pytorch_Retinaface) or ``yolo5face``.
        out: the file to write.

    Raises:
        ConfigError: there is no such family.
        CheckpointError: the file cannot be read, or is none of the family's models.
    """
    if family not in FAMILIES:
        raise ConfigError(
            f"There is no converter {family!r}{did_you_mean(family, FAMILIES)}; there are "
            f"{', '.join(FAMILIES)}."
        )
    tensors, _ = load_tensors(source)
    converted: Converted = import_module(f"{__name__}.{family}").convert(tensors, source)
    config = load_config(converted.config, converted.overrides)
    model = build_model(config)
    own = model.state_dict()
    # A public checkpoint leaves the preprocessing to its code.
    pixels = {name: value for name, value in own.items() if name.startswith("pixels.")}
    named = {**pixels, **converted.tensors}
    check_architecture(source, own, named)
    ordered = {name: named[name].to(own[name].dtype).contiguous() for name in own}
    save_tensors(out, ordered, {"config": config.to_yaml(), "source": f"{family}: {source.name}"})
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return [
        f"{len(tensors)} tensors of {source.name} became {len(ordered)} of {converted.config}",
        f"{sum(value.numel() for value in tensors.values()):,} numbers there, {parameters:,} "
        f"parameters here, {converted.folded:,} folded",
        f"written to {out}; try: facezoo detect photo.jpg --model {out} --draw",
    ]
