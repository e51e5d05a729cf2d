"""Necks against torchvision's pyramid and against the definition written out."""

import pytest
import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork

from facezoo.errors import ConfigError
from facezoo.models.necks import FPN, SSH

CHANNELS, STRIDES = [8, 12, 16], [8, 16, 32]


def features(size: int = 20) -> list[torch.Tensor]:
    """Odd sizes on the way down: 20, 10, 5, so that a pyramid has to bring sizes together."""
    torch.manual_seed(1)
    return [torch.randn(2, c, size // 2**i, size // 2**i) for i, c in enumerate(CHANNELS)]


def randomise(module: nn.Module) -> None:
    """Statistics and weights of batch norm that do something."""
    torch.manual_seed(2)
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.running_mean.normal_()
            one.running_var.uniform_(0.5, 2)
            nn.init.normal_(one.weight)
            nn.init.normal_(one.bias)


def test_output_merge_is_torchvisions_pyramid() -> None:
    mine = FPN(CHANNELS, STRIDES, channels=6, merge="output", activation="none").eval()
    theirs = FeaturePyramidNetwork(CHANNELS, 6, norm_layer=nn.BatchNorm2d).eval()
    randomise(mine)
    for mine_part, their_part in (
        (mine.lateral, theirs.inner_blocks),
        (mine.merge, theirs.layer_blocks),
    ):
        their_part.load_state_dict(mine_part.state_dict())
    inputs = features()
    expected = theirs({str(i): one for i, one in enumerate(inputs)})
    for a, b in zip(mine(list(inputs)), expected.values(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_cascade_passes_the_merged_level_on(mode: str) -> None:
    neck = FPN(CHANNELS, STRIDES, channels=4, upsample=mode).eval()
    randomise(neck)
    inputs = features()
    fine, middle, coarse = (layer(one) for layer, one in zip(neck.lateral, inputs, strict=True))
    double = nn.Upsample(scale_factor=2, mode=mode)
    middle = neck.merge[1](middle + double(coarse))
    fine = neck.merge[0](fine + double(middle))
    for a, b in zip(neck(list(inputs)), (fine, middle, coarse), strict=True):
        torch.testing.assert_close(a, b)


def test_extra_levels_halve() -> None:
    neck = FPN(CHANNELS, STRIDES, channels=4, extra_levels=2, merge="none").eval()
    assert neck.out_strides == [8, 16, 32, 64, 128] and neck.out_channels == [4] * 5
    assert [one.shape[-1] for one in neck(features(64))] == [64, 32, 16, 8, 4]
    with pytest.raises(ConfigError, match="channels of FPN are 0"):
        FPN(CHANNELS, STRIDES, channels=0)


def test_ssh_sees_three_by_three_to_seven_by_seven() -> None:
    """A single bright cell reaches one, two and three cells far, in channels of its own."""
    context = SSH([4], [8], channels=8).eval()
    for parameter in context.parameters():
        nn.init.constant_(parameter, 0.1)
    image = torch.zeros(1, 4, 15, 15)
    dark = context([image])[0]
    image[0, :, 7, 7] = 1
    reached = (context([image])[0] - dark).abs() > 1e-6
    for channels, reach in ((slice(0, 4), 1), (slice(4, 6), 2), (slice(6, 8), 3)):
        expected = torch.zeros(15, 15, dtype=torch.bool)
        expected[7 - reach : 8 + reach, 7 - reach : 8 + reach] = True
        assert (reached[0, channels] == expected).all()


def test_ssh_channels() -> None:
    context = SSH([8, 16], [8, 16])
    assert context.out_channels == [8, 16] and context.out_strides == [8, 16]
    with pytest.raises(ConfigError, match="multiple of 4"):
        SSH([6], [8])
