"""Backbones of the YOLO family: against other libraries, and what they promise."""

from functools import partial

import pytest
import timm
import torch
from torch import nn
from torchvision.models.shufflenetv2 import InvertedResidual

from facezoo.errors import ConfigError
from facezoo.models.backbones import Backbone, CSPDarknet, Darknet53, ShuffleNetV2
from facezoo.models.blocks import silu_conv

SMALL_CSP = {"depth": 0.33, "width": 0.125}
BACKBONES = {
    "darknet53": lambda **arguments: Darknet53(**arguments),
    "yolov5": lambda **arguments: CSPDarknet(**SMALL_CSP, **arguments),
    "yolov8": lambda **arguments: CSPDarknet(**SMALL_CSP, stem="3x3", block="C2f", **arguments),
    "focus": lambda **arguments: CSPDarknet(**SMALL_CSP, stem="focus", **arguments),
    "yolo5face": lambda **arguments: CSPDarknet(
        **SMALL_CSP, stem="stem_block", spp=(3, 5, 7), spp_place="before", **arguments
    ),
    "shufflenet": lambda **arguments: ShuffleNetV2(0.25, **arguments),
    "shufflenet with pooling": lambda **arguments: ShuffleNetV2(0.25, spp=(5, 9, 13), **arguments),
}
every_backbone = pytest.mark.parametrize("make", BACKBONES.values(), ids=BACKBONES.keys())


def with_statistics(module: nn.Module) -> nn.Module:
    torch.manual_seed(3)
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.running_mean.normal_(std=0.1)
            one.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(one.weight, 0.5, 1.5)
            nn.init.normal_(one.bias, std=0.1)
    return module.eval()


def copy_in_order(source: nn.Module, target: nn.Module) -> None:
    values = list(source.state_dict().values())
    target.load_state_dict(dict(zip(target.state_dict(), values, strict=True)))


@every_backbone
def test_features_have_the_promised_channels_and_strides(make) -> None:
    """At 3 x 5 cells of the coarsest stride: odd maps, higher than wide."""
    backbone: Backbone = make().eval()
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 96, 160))
    assert [one.shape[1] for one in features] == backbone.out_channels
    assert [one.shape[2:] for one in features] == [(12, 20), (6, 10), (3, 5)]
    assert backbone.out_strides == [8, 16, 32]


@every_backbone
def test_gradients_reach_every_parameter(make) -> None:
    torch.manual_seed(0)
    for levels in ((3, 4, 5), (3,)):
        backbone = make(levels=levels).train()
        sum(one.square().mean() for one in backbone(torch.randn(2, 3, 64, 64))).backward()
        without = [
            name
            for name, one in backbone.named_parameters()
            if one.grad is None or not one.grad.any()
        ]
        assert without == []


@every_backbone
def test_levels_give_the_same_features_alone(make) -> None:
    whole = with_statistics(make())
    part = make(levels=(4,)).eval()
    part.load_state_dict({name: whole.state_dict()[name] for name in part.state_dict()})
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(part(images), whole(images)[1:2])
    assert part.out_strides == [16] and part.out_channels == whole.out_channels[1:2]
    assert len(list(part.parameters())) < len(list(whole.parameters()))


@every_backbone
def test_channels_last_stays(make) -> None:
    backbone = with_statistics(make())
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = backbone(images)
        last = backbone.to(memory_format=torch.channels_last)
        features = last(images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in features)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Darknet53(levels=(1, 2)),
        lambda: CSPDarknet(depth=0.1, width=0.125, stem="focus", levels=(2, 3)),
        lambda: CSPDarknet(depth=0.1, width=0.125, stem="3x3", block="C2f", levels=(5,)),
        lambda: ShuffleNetV2(0.25, repeats=(2, 1), channels=(32, 64, 128), spp=(5,), levels=(3, 4)),
    ],
    ids=["darknet53", "focus", "yolov8", "shufflenet with pooling"],
)
def test_compiled_is_equal(make) -> None:
    backbone = with_statistics(make())
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        compiled = torch.compile(backbone, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(images), backbone(images))


def test_darknet53_is_timms() -> None:
    theirs = timm.create_model(
        "darknet53",
        features_only=True,
        out_indices=(2, 3, 4, 5),
        act_layer=partial(nn.LeakyReLU, negative_slope=0.1),
    )
    with_statistics(theirs)
    mine = Darknet53(levels=(2, 3, 4, 5)).eval()
    copy_in_order(theirs, mine)
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(mine(images), list(theirs(images)))


def test_darknet53_has_its_published_parameters() -> None:
    """41.6 million with a classifier of 1,000 classes, 40.58 million without."""
    with torch.device("meta"):
        backbone = Darknet53()
    assert sum(one.numel() for one in backbone.parameters()) == 40_584_928
    assert sum(isinstance(one, nn.Conv2d) for one in backbone.modules()) == 52


@pytest.mark.parametrize("place", [0, 1], ids=["halving", "keeping the size"])
def test_units_of_shufflenet_are_torchvisions(place: int) -> None:
    mine = ShuffleNetV2(0.25).stages[0][place]
    theirs = InvertedResidual(8 if place == 0 else 32, 32, stride=2 - place)
    for name, module in list(theirs.named_modules()):
        if isinstance(module, nn.ReLU):
            theirs.set_submodule(name, nn.SiLU())
        elif isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    with_statistics(theirs)
    mine.eval()
    copy_in_order(theirs, mine)
    x = torch.randn(2, 8 if place == 0 else 32, 10, 6, generator=torch.Generator().manual_seed(0))
    x.requires_grad_()
    found, expected = mine(x), theirs(x)
    torch.testing.assert_close(found, expected)
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        torch.autograd.grad(found, x, direction), torch.autograd.grad(expected, x, direction)
    )


def test_focus_is_a_convolution_of_six_by_six() -> None:
    """The slices are the taps of a 6 x 6 kernel with stride 2 in another order."""
    focus = CSPDarknet(**SMALL_CSP, stem="focus").stem
    plain = CSPDarknet(**SMALL_CSP, stem="6x6").stem
    with_statistics(plain)
    kernel = torch.empty_like(focus.conv[0].weight)
    for column in (0, 1):
        for row in (0, 1):
            slices = slice(3 * (2 * column + row), 3 * (2 * column + row) + 3)
            kernel[:, slices] = plain[0].weight.detach()[:, :, row::2, column::2]
    focus.conv[1].load_state_dict(plain[1].state_dict())
    focus.conv[0].weight.data.copy_(kernel)
    images = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(focus.eval()(images), plain(images))


def test_place_of_the_pooling() -> None:
    stages = {
        place: CSPDarknet(**SMALL_CSP, spp_place=place).stages for place in ("before", "after")
    }
    assert [name for name, _ in stages["after"][-1].named_children()] == ["reduce", "block", "pool"]
    assert [name for name, _ in stages["before"][-1].named_children()] == [
        "reduce",
        "pool",
        "block",
    ]
    shortcuts = {
        place: [all(one.shortcut for one in stage.block.blocks) for stage in every]
        for place, every in stages.items()
    }
    assert shortcuts == {"before": [True, True, True, False], "after": [True] * 4}


def test_depth_is_a_factor_of_the_repeats() -> None:
    stages = CSPDarknet(depth=0.67, width=0.125).stages
    assert [len(stage.block.blocks) for stage in stages] == [2, 4, 6, 2]
    assert [len(stage) for stage in ShuffleNetV2(0.25, repeats=(1, 3, 2)).stages] == [1, 3, 2]


def test_batch_norm_is_that_of_yolo() -> None:
    norm = silu_conv(3, 8)[1]
    assert (norm.eps, norm.momentum) == (1e-3, 0.1)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Darknet53(levels=()), "levels of Darknet53 are []: take some of [1, 2, 3, 4, 5]"),
        (lambda: Darknet53(levels=(5, 4)), "in rising order"),
        (lambda: Darknet53(levels=(6,)), "levels of Darknet53 are [6]"),
        (lambda: CSPDarknet(levels=(1, 2)), "take some of [2, 3, 4, 5]"),
        (lambda: ShuffleNetV2(levels=(3, 3)), "levels of ShuffleNetV2 are [3, 3]"),
        (lambda: CSPDarknet(depth=0.0), "depth of CSPDarknet is 0.0"),
        (lambda: CSPDarknet(width=-1.0), "width of CSPDarknet is -1.0"),
        (lambda: ShuffleNetV2(0.0), "width of ShuffleNetV2 is 0.0"),
        (lambda: CSPDarknet(repeats=(3, 6, 9)), "channels for the stem and each stage"),
        (lambda: CSPDarknet(repeats=(3, 6, 9, 0)), "at least one block for each stage"),
        (lambda: CSPDarknet(channels=(8,), repeats=()), "at least one block for each stage"),
        (lambda: CSPDarknet(**SMALL_CSP, spp=(4,)), "spp has the windows [4]"),
        (lambda: ShuffleNetV2(repeats=(4, 8)), "channels for the stem and each stage"),
        (lambda: ShuffleNetV2(repeats=(4, 0, 4)), "at least one block for each stage"),
        (lambda: ShuffleNetV2(0.25, spp=(7, 5)), "spp has the windows [7, 5]"),
    ],
)
def test_bad_requests(make, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert sentence in str(error.value) and "\n" not in str(error.value)
