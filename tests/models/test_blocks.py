"""Blocks of the YOLO family against their definitions in torch's own functions."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facezoo.errors import ConfigError
from facezoo.models.blocks import C3, SPP, C2f, StemBlock, conv_norm, scaled_channels, separable


def randomised(module: nn.Module) -> nn.Module:
    """The module in evaluation mode, with statistics and weights of batch norm that matter."""
    torch.manual_seed(2)
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.running_mean.normal_()
            one.running_var.uniform_(0.5, 2)
            nn.init.normal_(one.weight)
            nn.init.normal_(one.bias)
    return module.eval().double()


def layer(module: nn.Sequential, x: Tensor, place: int = 0) -> Tensor:
    """Convolution, batch norm with YOLO's epsilon, and SiLU, written out."""
    convolution, norm = module[place], module[place + 1]
    x = F.conv2d(
        x,
        convolution.weight,
        stride=convolution.stride,
        padding=(convolution.weight.shape[-1] - 1) // 2,
        groups=convolution.groups,
    )
    mean, var, weight, bias = (
        one.view(-1, 1, 1) for one in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    x = (x - mean) / (var + 1e-3).sqrt() * weight + bias
    return x / (1 + (-x).exp())


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_c3() -> None:
    x = noise(2, 6, 5, 7)
    for shortcut in (True, False):
        block = randomised(C3(6, 8, 2, shortcut))
        through = layer(block.enter, x)
        for one in block.blocks:
            through = layer(one.second, layer(one.first, through)) + shortcut * through
        expected = layer(block.join, torch.cat([through, layer(block.around, x)], dim=1))
        torch.testing.assert_close(block(x), expected)
        assert [one.first[0].kernel_size for one in block.blocks] == [(1, 1)] * 2


def test_c2f() -> None:
    x = noise(2, 6, 5, 7)
    for shortcut in (True, False):
        block = randomised(C2f(6, 8, 2, shortcut))
        entered = layer(block.enter, x)
        parts = [entered[:, :4], entered[:, 4:]]
        for one in block.blocks:
            changed = layer(one.second, layer(one.first, parts[-1]))
            parts.append(changed + parts[-1] if shortcut else changed)
        torch.testing.assert_close(block(x), layer(block.join, torch.cat(parts, dim=1)))
        assert [one.first[0].kernel_size for one in block.blocks] == [(3, 3)] * 2


@pytest.mark.parametrize("windows", [(3, 5, 7), (5, 9, 13), (3, 9)])
def test_spp_pools_each_window_by_itself(windows: tuple[int, ...]) -> None:
    """Maps smaller and larger than the windows; the chain inside is not to be seen."""
    for size in ((4, 6), (17, 15)):
        x = noise(2, 8, *size)
        block = randomised(SPP(8, 6, windows))
        entered = layer(block.enter, x)
        views = [F.max_pool2d(entered, one, stride=1, padding=one // 2) for one in windows]
        torch.testing.assert_close(block(x), layer(block.join, torch.cat([entered, *views], dim=1)))


def test_stem_block() -> None:
    block = randomised(StemBlock(8))
    x = noise(2, 3, 12, 20)
    half = layer(block.first, x)
    convolved = layer(block.reduce, layer(block.reduce, half), place=3)
    joined = torch.cat([convolved, F.max_pool2d(half, 2)], dim=1)
    torch.testing.assert_close(block(x), layer(block.join, joined))
    assert block(x).shape == (2, 8, 3, 5)


def test_separable_repeats_with_one_stride() -> None:
    block = randomised(separable(4, 6, repeats=2, stride=2))
    x = noise(1, 4, 10, 6)
    expected = x
    for place in (0, 3, 6, 9):
        expected = layer(block, expected, place)
    torch.testing.assert_close(block(x), expected)
    assert block(x).shape == (1, 6, 5, 3) and block[0].groups == 4


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "silu", "none"])
def test_activation_of_a_layer(activation: str) -> None:
    expected = {
        "relu": lambda x: x.clamp(min=0),
        "leaky_relu": lambda x: torch.where(x > 0, x, 0.1 * x),
        "silu": lambda x: x * x.sigmoid(),
        "none": lambda x: x,
    }[activation]
    layers = conv_norm(3, 4, activation=activation)
    x = noise(1, 3, 5, 5)
    before = randomised(nn.Sequential(*layers[:2]))(x)
    torch.testing.assert_close(nn.Sequential(*layers)(x), expected(before))


@pytest.mark.parametrize("kernel_size", [1, 3, 6])
def test_a_layer_divides_the_size_by_the_stride(kernel_size: int) -> None:
    convolution = conv_norm(3, 4, kernel_size, stride=2)[0]
    assert convolution(torch.zeros(1, 3, 16, 24)).shape == (1, 4, 8, 12)


def test_channels_are_rounded_up() -> None:
    assert scaled_channels([32, 128, 1024], [1, 1], 0.33, "X") == [16, 48, 344]
    for channels, width in (([8, 8], 0.0), ([8, 8], -1.0), ([0, 8], 1.0)):
        with pytest.raises(ConfigError, match=r"width of X is .* positive"):
            scaled_channels(channels, [1] * (len(channels) - 1), width, "X")


@pytest.mark.parametrize("windows", [(), (4,), (1, 3), (5, 5), (7, 3)])
def test_windows_that_spp_refuses(windows: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"spp has the windows .* odd numbers above 1"):
        SPP(8, 8, windows)
