"""Every network of timm that gives features, by one class."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from facezoo.errors import DAMAGED_FILE, CheckpointError, ConfigError, did_you_mean
from facezoo.models.backbones.backbone import Backbone
from facezoo.registry import BACKBONES

logger = logging.getLogger(__name__)


@BACKBONES.register("timm")
class TimmBackbone(Backbone):
    """A network of timm by its name there, such as ``resnet50`` or ``convnext_tiny``.

    Args:
        name: as ``timm.list_models(pretrained=True)`` has it.
        pretrained: timm's ImageNet weights (fetched once, then cached); or a local file of them;
            or false.
        strides: the features to return, in pixels per cell, fine to coarse.

    Raises:
        ConfigError: timm has no such network, or it gives no features of these strides.
        CheckpointError: the weights cannot be fetched or read.
    """

    def __init__(
        self, name: str, pretrained: bool | Path = False, strides: tuple[int, ...] = (8, 16, 32)
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            known = timm.list_models()
            raise ConfigError(
                f"name is {name!r}, a network that timm {timm.__version__} does not have"
                f"{did_you_mean(name, known)}; timm.list_models() has all names"
            )
        self.network = _create(name, pretrained, _indices(name, strides))
        features: Any = self.network.feature_info
        self.out_channels = list(features.channels())
        self.out_strides = list(features.reduction())
        # Swin and its like give B x H x W x channels.
        self.channels_last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"

    def forward(self, images: Tensor) -> list[Tensor]:
        """See ``Backbone.forward``."""
        features = list(self.network(images))
        if self.channels_last:
            features = [feature.permute(0, 3, 1, 2) for feature in features]
        return features


def _indices(name: str, strides: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the places of the strides among a network's features."""
    try:
        with torch.device("meta"):
            network = timm.create_model(name, features_only=True)
    except (RuntimeError, AttributeError, TypeError, AssertionError) as error:
        raise ConfigError(f"name is {name!r}, a network that gives no features in timm") from error
    features: Any = network.feature_info
    available = list(features.reduction())
    missing = [stride for stride in strides if stride not in available]
    if missing or list(strides) != sorted(set(strides)) or not strides:
        raise ConfigError(
            f"strides are {list(strides)}: {name} gives {available}, take some of these in "
            "rising order"
        )
    return tuple(available.index(stride) for stride in strides)


def _create(name: str, pretrained: bool | Path, indices: tuple[int, ...]) -> nn.Module:
    options: dict[str, Any] = {"features_only": True, "out_indices": indices}
    if isinstance(pretrained, Path):
        if not pretrained.is_file():
            raise CheckpointError(
                f"pretrained is {str(pretrained)!r}, and there is no such file; give the path of "
                f"timm's weights of {name}, or false"
            )
        options["pretrained_cfg_overlay"] = {"file": str(pretrained)}
    # On the meta device there is nothing to put weights into.
    options["pretrained"] = bool(pretrained) and torch.get_default_device().type != "meta"
    if options["pretrained"]:
        logger.info("Looking for the ImageNet weights of %s, in the cache and on the hub.", name)
    try:
        with _quiet_hub():
            return timm.create_model(name, **options)
    except DAMAGED_FILE as error:
        if not options["pretrained"]:
            raise
        if "No pretrained weights" in str(error):
            raise ConfigError(
                f"pretrained is true, but timm has no weights of {name}; give false, or a local "
                "file of them"
            ) from error
        if isinstance(pretrained, Path):
            raise CheckpointError(
                f"pretrained is {str(pretrained)!r}, which holds no weights of {name} that can be "
                f"read ({type(error).__name__}); download the file again, or give false"
            ) from error
        raise CheckpointError(
            f"pretrained is true, but the ImageNet weights of {name} are not cached and the hub "
            "cannot be reached; start without them (model.backbone.pretrained=false), or give a "
            "local file of them (model.backbone.pretrained=FILE)"
        ) from error


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keeps the hub's client from reporting each of its retries; its failure is reported once."""
    client = logging.getLogger("huggingface_hub")
    level = client.level
    client.setLevel(logging.ERROR)
    try:
        yield
    finally:
        client.setLevel(level)
