"""MobileNetV1 as RetinaFace's small detector uses it."""

from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.models.backbones.backbone import Backbone
from facezoo.models.blocks import conv_norm
from facezoo.registry import BACKBONES

STAGES = (
    (1, ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1))),
    (2, ((512, 2), *((512, 1),) * 5)),
    (3, ((1024, 2), (1024, 1))),
)
"""(channels at width 1, stride) of the depthwise separable blocks of each stage."""


@BACKBONES.register
class MobileNetV1(Backbone):
    """Depthwise separable convolutions (Howard et al. 2017, table 1), leaky, without a classifier.

    Features at strides 8, 16 and 32. The names of the tensors are those of Pytorch_Retinaface, so
    that its ImageNet weights fit: ``--init-from mobilenetV1X0.25_pretrain.tar:backbone``.

    Args:
        width: factor of all channels; RetinaFace's has 0.25.

    Raises:
        ConfigError: ``width`` leaves a layer without a channel.
    """

    def __init__(self, width: float = 0.25) -> None:
        super().__init__()
        if round(32 * width) < 1:
            raise ConfigError(f"width of MobileNetV1 is {width}: no channel is left; give more.")
        channels = round(32 * width)
        blocks: list[nn.Module] = [
            nn.Sequential(*conv_norm(3, channels, stride=2, activation="leaky_relu"))
        ]
        self.out_channels, self.out_strides = [], [8, 16, 32]
        for number, layers in STAGES:
            for full, stride in layers:
                blocks.append(_separable(channels, round(full * width), stride))
                channels = round(full * width)
            self.add_module(f"stage{number}", nn.Sequential(*blocks))
            self.out_channels.append(channels)
            blocks = []

    def forward(self, images: Tensor) -> list[Tensor]:
        """See ``Backbone.forward``."""
        features = []
        for stage in self.children():
            images = stage(images)
            features.append(images)
        return features


def _separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Returns a depthwise convolution and a pointwise one."""
    return nn.Sequential(
        *conv_norm(
            in_channels, in_channels, stride=stride, groups=in_channels, activation="leaky_relu"
        ),
        *conv_norm(in_channels, out_channels, kernel_size=1, activation="leaky_relu"),
    )
