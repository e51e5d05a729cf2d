"""Backbones: what they promise of their features, and what is wrong with bad requests."""

from pathlib import Path

import pytest
import timm
import torch

from facezoo.errors import CheckpointError, ConfigError
from facezoo.models.backbones import MobileNetV1, TimmBackbone

NETWORKS = ["resnet18", "mobilenetv3_small_100", "convnext_atto", "swin_tiny_patch4_window7_224"]


@pytest.mark.parametrize("name", NETWORKS)
def test_features_have_the_promised_channels_and_strides(name: str) -> None:
    backbone = TimmBackbone(name).eval()
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 224, 224))
    assert [feature.shape[1] for feature in features] == backbone.out_channels
    assert [224 // feature.shape[2] for feature in features] == backbone.out_strides == [8, 16, 32]


def test_other_strides() -> None:
    backbone = TimmBackbone("resnet18", strides=(4, 32))
    assert backbone.out_strides == [4, 32] and backbone.out_channels == [64, 512]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "resnet5O"}, "did you mean 'resnet50"),
        ({"name": "resnet18", "strides": (8, 64)}, "resnet18 gives [2, 4, 8, 16, 32]"),
        ({"name": "resnet18", "strides": (16, 8)}, "rising order"),
        ({"name": "resnet18", "strides": ()}, "rising order"),
    ],
)
def test_bad_requests(arguments: dict, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        TimmBackbone(**arguments)
    assert sentence in str(error.value)


def test_weights_from_a_local_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = timm.create_model("resnet18")
    torch.save(whole.state_dict(), tmp_path / "r18.pth")
    backbone = TimmBackbone("resnet18", pretrained=tmp_path / "r18.pth")
    own = backbone.network.state_dict()
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in own.items())
    with pytest.raises(CheckpointError, match=r"nowhere\.pth.*no such file"):
        TimmBackbone("resnet18", pretrained=tmp_path / "nowhere.pth")
    (tmp_path / "torn.pth").write_bytes(b"PK torn")
    with pytest.raises(CheckpointError, match=r"torn\.pth.*no weights of resnet18"):
        TimmBackbone("resnet18", pretrained=tmp_path / "torn.pth")


def test_a_network_that_nobody_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which networks of timm have no weights changes; what it says of one does not."""
    network = timm.create_model("resnet18", features_only=True)

    def create(*_: object, **options: object) -> object:
        if options.get("pretrained"):
            raise RuntimeError("No pretrained weights exist for resnet18.")
        return network

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(ConfigError, match="timm has no weights of resnet18"):
        TimmBackbone("resnet18", pretrained=True)


def test_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **options: object) -> None:
        if options.get("pretrained"):
            raise FileNotFoundError("cannot find the requested files in the local cache")
        return None

    network = timm.create_model("resnet18", features_only=True)
    monkeypatch.setattr(
        timm, "create_model", lambda *a, **options: unreachable(*a, **options) or network
    )
    with pytest.raises(CheckpointError) as error:
        TimmBackbone("resnet18", pretrained=True)
    assert "model.backbone.pretrained=false" in str(error.value)
    assert "local file" in str(error.value) and "\n" not in str(error.value)


def test_mobilenet_fits_its_imagenet_weights(shared_data: Path) -> None:
    path = shared_data / "weights/retinaface/mobilenetV1X0.25_pretrain.tar"
    published = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    published = {name.removeprefix("module."): value for name, value in published.items()}
    body = {name: value for name, value in published.items() if not name.startswith("fc.")}
    MobileNetV1(0.25).load_state_dict(body)


def test_mobilenet_promises_and_refusal() -> None:
    backbone = MobileNetV1(0.5).eval()
    features = backbone(torch.zeros(1, 3, 64, 96))
    assert [tuple(one.shape[1:]) for one in features] == [(128, 8, 12), (256, 4, 6), (512, 2, 3)]
    assert backbone.out_channels == [128, 256, 512]
    with pytest.raises(ConfigError, match="no channel is left"):
        MobileNetV1(0.01)
