"""The base classes of backbones."""

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from facezoo.errors import ConfigError


class Backbone(nn.Module):
    """Features of an image at several strides.

    Attributes:
        out_channels: channels of each feature, fine to coarse.
        out_strides: pixels per cell of each feature, fine to coarse.
    """

    out_channels: list[int]
    out_strides: list[int]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the features, fine to coarse, each B x channels x H / stride x W / stride.

        Args:
            images: B x 3 x H x W, float32, normalised.
        """
        raise NotImplementedError


class StagedBackbone(Backbone):
    """A stem and stages in a row; a feature of level n has the stride 2**n.

    Stages after the last level asked for are not built, so that every parameter is trained.

    Args:
        levels: those of the features, rising.
        available: those that the network has, rising; the first is that of its first stage.

    Raises:
        ConfigError: the network does not have these levels, or they do not rise.
    """

    def __init__(self, levels: Sequence[int], available: Sequence[int]) -> None:
        super().__init__()
        if not levels or list(levels) != sorted(set(levels)) or not set(levels) <= set(available):
            raise ConfigError(
                f"levels of {type(self).__name__} are {list(levels)}: take some of "
                f"{list(available)} in rising order."
            )
        self.levels = list(levels)
        self.first_level = available[0]
        self.out_channels = []
        self.out_strides = [2**level for level in levels]

    def _build(self, stem: nn.Module, stages: Iterable[tuple[nn.Module, int]]) -> None:
        """Keeps the stem and as many stages as the levels need; each comes with its channels."""
        self.stem = stem
        self.stages = nn.ModuleList()
        for level, (stage, channels) in zip(
            range(self.first_level, self.levels[-1] + 1), stages, strict=False
        ):
            self.stages.append(stage)
            if level in self.levels:
                self.out_channels.append(channels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """See ``Backbone.forward``."""
        features, current = [], self.stem(images)
        for level, stage in enumerate(self.stages, start=self.first_level):
            current = stage(current)
            if level in self.levels:
                features.append(current)
        return features
