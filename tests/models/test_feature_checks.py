"""Backbones and necks have to give the features that they say: a wrong stride trains otherwise."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.geometry.priors import AnchorGrid, LandmarkCodec, SSDBoxCodec
from facezoo.models import FaceDetector
from facezoo.models.assigners import MaxIoU
from facezoo.models.backbones import MobileNetV1, TimmBackbone
from facezoo.models.backbones.backbone import Backbone
from facezoo.models.face_detector import Pixels
from facezoo.models.heads.head import Head, HeadLosses
from facezoo.models.heads.towers import Towers, build_towers, pointwise
from facezoo.models.losses import BCE, SmoothL1
from facezoo.models.necks import FPN
from facezoo.models.necks.fpn import Neck
from facezoo.structures import RawOutputs


class TwoLevels(Backbone):
    """Strides of 8 and 16, and what it says of them."""

    def __init__(self, out_strides: list[int], out_channels: list[int]) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 4, 8, stride=8), nn.Conv2d(4, 6, 2, stride=2)
        self.out_strides, self.out_channels = out_strides, out_channels

    def forward(self, images: Tensor) -> list[Tensor]:
        fine = self.fine(images)
        return [fine, self.coarse(fine)]


class Halving(Neck):
    """Gives half the cells that it says."""

    def __init__(self, in_channels: list[int], in_strides: list[int]) -> None:
        super().__init__()
        self.out_channels, self.out_strides = in_channels, in_strides

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        return [nn.functional.max_pool2d(feature, 2) for feature in features]


def detector(backbone: Backbone, neck: Neck | None = None) -> FaceDetector:
    last = neck or backbone
    grid = AnchorGrid({stride: [stride] for stride in last.out_strides}, last.out_strides)
    cells = grid.anchors_per_cell

    def towers(outputs: int) -> nn.ModuleList:
        return build_towers(pointwise, last.out_channels[: len(cells)], cells, outputs)

    head = Head(
        grid,
        MaxIoU(),
        HeadLosses(BCE(), SmoothL1()),
        SSDBoxCodec(),
        LandmarkCodec(),
        Towers(towers(1), towers(4)),
    )
    return FaceDetector(backbone, neck, head, Pixels("rgb"))


def images(height: int = 128, width: int = 160) -> Tensor:
    return torch.zeros(1, 3, height, width, dtype=torch.uint8)


WRONG = {
    "fine stride": (
        lambda: detector(TwoLevels([4, 16], [4, 6])),
        "The backbone TwoLevels says in out_strides that its level 0 has a stride of 4, which is "
        "32 x 40 cells of an image of 128 x 160 pixels, and gives 16 x 20: correct out_strides.",
    ),
    "coarse stride": (
        lambda: detector(TwoLevels([8, 32], [4, 6])),
        "level 1 has a stride of 32, which is 4 x 5 cells",
    ),
    "channels": (
        lambda: detector(TwoLevels([8, 16], [4, 8])),
        "The backbone TwoLevels says in out_channels that its level 1 has 8 channels, and gives 6",
    ),
    "one stride": (
        lambda: detector(TwoLevels([8], [4])),
        "gives 2 features, and has 1 out_strides and 1 out_channels",
    ),
    "three channels": (
        lambda: detector(TwoLevels([8, 16], [4, 6, 6])),
        "gives 2 features, and has 2 out_strides and 3 out_channels",
    ),
    "neck": (
        lambda: detector(TwoLevels([8, 16], [4, 6]), Halving([4, 6], [8, 16])),
        "The neck Halving says in out_strides that its level 0 has a stride of 8",
    ),
    "channels before the neck": (
        lambda: detector(TwoLevels([8, 16], [4, 8]), FPN([4, 8], [8, 16], channels=4)),
        "The backbone TwoLevels says in out_channels",
    ),
}


@pytest.mark.parametrize(("make", "sentence"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_named(make: Callable[[], FaceDetector], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()(images())
    assert sentence in str(error.value)
    assert len(error.value.problems) == 1 and "\n" not in str(error.value)


@pytest.mark.parametrize(("height", "width"), [(128, 160), (333, 500), (64, 96), (17, 31)])
def test_networks_that_round_up_or_down_are_taken(height: int, width: int) -> None:
    for backbone in (TwoLevels([8, 16], [4, 6]), MobileNetV1(width=0.0625)):
        raw = detector(backbone).eval()(images(height, width))
        assert isinstance(raw, RawOutputs) and len(raw.logits[0]) == len(raw.grid.priors)


@pytest.mark.parametrize(
    "name", ["convnext_atto", "inception_v3", "mobilevitv2_050", "densenet121"]
)
def test_networks_that_pad_otherwise_are_taken(name: str) -> None:
    with torch.device("meta"):
        model = detector(TimmBackbone(name)).eval()
        for height, width in [(320, 416), (333, 500)]:
            raw = model(images(height, width))
            assert isinstance(raw, RawOutputs) and raw.logits.shape[1] == len(raw.grid.priors)
