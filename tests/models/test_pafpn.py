"""The path aggregation pyramid against its definition written out, and what it promises."""

import pytest
import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.models.necks import PAFPN

CHANNELS, STRIDES = [8, 12, 16, 20], [8, 16, 32, 64]
KINDS = ["C3", "C2f", "separable"]


def features(levels: int, height: int = 3, width: int = 5) -> list[Tensor]:
    """The coarsest of height x width cells, random."""
    torch.manual_seed(1)
    scales = [2 ** (levels - 1 - i) for i in range(levels)]
    return [
        torch.randn(2, channels, height * scale, width * scale)
        for channels, scale in zip(CHANNELS, scales, strict=False)
    ]


def pyramid(levels: int, **arguments: object) -> PAFPN:
    torch.manual_seed(2)
    neck = PAFPN(CHANNELS[:levels], STRIDES[:levels], **arguments)
    for one in neck.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.running_mean.normal_(std=0.1)
            one.running_var.uniform_(0.5, 1.5)
            nn.init.normal_(one.bias, std=0.1)
    return neck.eval()


@pytest.mark.parametrize("block", KINDS)
def test_three_levels_written_out(block: str) -> None:
    neck = pyramid(3, block=block, channels=[10, 10, 14])
    fine, middle, coarse = features(3)
    double = nn.Upsample(scale_factor=2)

    coarse = neck.lateral[1](coarse)
    middle = neck.top_down[1](torch.cat([double(coarse), middle], dim=1))
    middle = neck.lateral[0](middle)
    fine = neck.top_down[0](torch.cat([double(middle), fine], dim=1))

    def join(a: Tensor, b: Tensor) -> Tensor:
        return a + b if block == "separable" else torch.cat([a, b], dim=1)

    middle = neck.bottom_up[0](join(neck.reduce[0](fine), middle))
    coarse = neck.bottom_up[1](join(neck.reduce[1](middle), coarse))
    torch.testing.assert_close(neck(features(3)), [fine, middle, coarse])


@pytest.mark.parametrize("block", KINDS)
@pytest.mark.parametrize("levels", [2, 3, 4])
def test_promises(block: str, levels: int) -> None:
    given = features(levels)
    neck = pyramid(levels, block=block, repeats=2)
    found = neck(given)
    assert neck.out_channels == CHANNELS[:levels] and neck.out_strides == STRIDES[:levels]
    assert [one.shape for one in found] == [one.shape for one in given]


@pytest.mark.parametrize("block", KINDS)
def test_every_level_hears_of_every_other(block: str) -> None:
    neck = pyramid(3, block=block)
    before = neck(features(3))
    for changed in range(3):
        given = features(3)
        given[changed] = given[changed] + 1
        assert all(not torch.equal(a, b) for a, b in zip(neck(given), before, strict=True))


@pytest.mark.parametrize("block", KINDS)
def test_gradients_reach_every_parameter(block: str) -> None:
    neck = pyramid(3, block=block).train()
    sum(one.square().mean() for one in neck(features(3))).backward()
    assert [name for name, one in neck.named_parameters() if not one.grad.any()] == []


@pytest.mark.parametrize("block", KINDS)
def test_compiled_and_channels_last_are_equal(block: str) -> None:
    neck, given = pyramid(3, block=block), features(3)
    with torch.no_grad():
        expected = neck(given)
        compiled = torch.compile(neck, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(given), expected)
        last = neck.to(memory_format=torch.channels_last)
        found = last([one.to(memory_format=torch.channels_last) for one in given])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in found)


def test_the_features_that_are_given_stay() -> None:
    given = features(3)
    kept = [one.clone() for one in given]
    pyramid(3, block="C2f")(given)
    assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"channels": [64, 64]},
            "channels of PAFPN are [64, 64]: give at least 2 for each of its 3",
        ),
        ({"channels": [64, 64, 1]}, "give at least 2 for each"),
        ({"repeats": 0}, "repeats of PAFPN is 0"),
        ({"in_strides": [8, 32, 64]}, "in_strides of PAFPN are [8, 32, 64]"),
        ({"in_channels": [8], "in_strides": [8]}, "at least two features"),
    ],
)
def test_bad_requests(arguments: dict, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        PAFPN(**{"in_channels": [8, 8, 8], "in_strides": [8, 16, 32], **arguments})
    assert sentence in str(error.value) and "\n" not in str(error.value)
