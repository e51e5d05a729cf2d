"""What the catalogue says of the zoo, against counting by hand."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facezoo.errors import ConfigError
from facezoo.structures import Grid, RawOutputs
from facezoo.zoo import catalogue
from facezoo.zoo.model_size import count_macs


class TwoLayers(nn.Module):
    """A convolution of stride 2 and a pointwise one, and their multiplications written down."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 5, 1)

    def forward(self, images: Tensor) -> RawOutputs:
        maps = self.second(self.first(images.float())).flatten(2).transpose(1, 2)
        priors = torch.zeros(maps.shape[1], 4)
        grid = Grid(priors, priors[:, 0], (int(maps.shape[1]),))
        return RawOutputs(maps[..., :1], maps[..., 1:], None, None, grid)


def test_macs_of_two_convolutions(caplog: pytest.LogCaptureFixture) -> None:
    model = TwoLayers().train()
    by_hand = 32 * 32 * (8 * 3 * 9 + 5 * 8)
    assert count_macs(model, side=64) == by_hand
    assert model.training
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One sentence.\n# Another.\nmodel: {}\n", "One sentence."),
        ("# MobileNetV1 x 0.25 (arXiv 1905.00641), the\n# network of it. More.\n", None),
        ("model: {}\n# later\n", ""),
        ("# no full stop\nmodel: {}\n", "no full stop"),
    ],
)
def test_description_is_the_first_sentence(text: str, expected: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    if expected is None:
        expected = "MobileNetV1 x 0.25 (arXiv 1905.00641), the network of it."
    assert catalogue.description(path) == expected


def test_entry_of_the_default_model() -> None:
    one = catalogue.entry(catalogue.DEFAULT_MODEL)
    # Pytorch_Retinaface's 426,608 less one of two filters per class logit: 3 levels x 2 anchors of
    # 64 weights and a bias.
    assert one.size.parameters == 426_608 - 3 * 2 * 65
    assert 0.5e9 < one.size.macs < 1.5e9
    assert one.description.startswith("RetinaFace with MobileNetV1")


def test_every_yaml_is_listed_and_described() -> None:
    assert catalogue.DEFAULT_MODEL in catalogue.names() and "retinaface_r50" in catalogue.names()
    for name in catalogue.names():
        path = catalogue.zoo_folder() / f"{name}.yaml"
        assert len(catalogue.description(path)) > 10, name


def test_unknown_model() -> None:
    with pytest.raises(ConfigError, match="retinaface_r50"):
        catalogue.entry("retinaface_r5")


def test_weights_that_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "WEIGHTS", tmp_path)
    assert catalogue.default_weights("mine") is None
    (tmp_path / "mine.safetensors").touch()
    assert catalogue.default_weights("mine") == tmp_path / "mine.safetensors"
