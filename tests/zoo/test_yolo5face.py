"""YOLO5Face converted: against its authors' ONNX, and against its layers by their names."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facezoo.builder import build_model
from facezoo.errors import CheckpointError
from facezoo.models.backbones import Backbone, CSPDarknet, ShuffleNetV2
from facezoo.models.necks import PAFPN
from facezoo.zoo.converters import Converted, convert_file, yolo5face
from facezoo.zoo.safe_load import load_tensors, load_weights

CSP = {"stem": "stem_block", "repeats": (3, 9, 9, 3), "spp": (3, 5, 7), "spp_place": "before"}
ANCHORS = {
    "8": [[4, 5], [8, 10], [13, 16]],
    "16": [[23, 29], [43, 55], [73, 105]],
    "32": [[146, 217], [231, 300], [335, 433]],
}
TOWERS = ("box_towers", "quality_towers", "landmark_towers", "class_towers")


def loaded(converted: Converted, backbone: Backbone, neck: PAFPN) -> nn.Module:
    """Backbone and neck with the converted weights, all of which have a place."""
    network = nn.ModuleDict({"backbone": backbone, "neck": neck}).eval()
    names = [name for name in converted.tensors if not name.startswith("head.")]
    network.load_state_dict({name: converted.tensors[name] for name in names})
    heads = {name for name in converted.tensors if name.startswith("head.")}
    kinds = ("weight", "bias")
    assert heads == {f"head.{t}.{i}.{kind}" for t in TOWERS for i in range(3) for kind in kinds}
    return nn.Sequential(*network.values())


def said(converted: Converted, features: list[Tensor]) -> list[Tensor]:
    """What the towers say, per level B x 3 anchors x H x W x 16, in the order of the ONNX."""
    levels = []
    for level, feature in enumerate(features):
        parts = []
        for tower in TOWERS:
            name = f"head.{tower}.{level}"
            weight, bias = converted.tensors[f"{name}.weight"], converted.tensors[f"{name}.bias"]
            parts.append(F.conv2d(feature, weight, bias).unflatten(1, (3, -1)))
        levels.append(torch.cat(parts, dim=2).permute(0, 1, 3, 4, 2))
    return levels


@pytest.mark.slow
def test_n05_equals_its_onnx(shared_data: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = shared_data / "weights" / "yolo5face" / "yolov5n-0.5.state_dict.pt"
    tensors, _ = load_tensors(path)
    converted = yolo5face.convert(tensors, path)
    assert converted.config == "yoloface_n05" and converted.folded == 0
    (override,) = converted.overrides
    assert override.startswith("model.head.anchors=")
    anchors = json.loads(re.sub(r"(\d+):", r'"\1":', override.partition("=")[2]))
    assert anchors == ANCHORS

    backbone = ShuffleNetV2(0.5)
    neck = PAFPN(backbone.out_channels, backbone.out_strides, channels=[64, 64, 64])
    network = loaded(converted, backbone, neck)
    session = onnxruntime.InferenceSession(str(path.with_name("yolov5n-0.5.onnx")))
    image = torch.from_numpy(drawn_image()).permute(2, 0, 1)[None] / 255
    expected = session.run(["stride_8", "stride_16", "stride_32"], {"data": image.numpy()})
    with torch.no_grad():
        for found, numbers in zip(said(converted, network(image)), expected, strict=True):
            assert np.abs(found.numpy() - numbers).max() < 1e-4 * np.abs(numbers).max()


def decoded(said: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, scores and landmarks of a level of the ONNX, in the order of rows, columns, anchors.

    As YOLO5Face decodes them: a landmark counts from its cell's corner, in sides of its anchor.
    """
    said = said[0].transpose(1, 2, 0, 3).astype(np.float64)
    rows, columns = said.shape[:2]
    corner = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)[:, :, None]
    anchors = np.array(ANCHORS[str(stride)], dtype=np.float64)
    some = 1 / (1 + np.exp(-said))
    centre = (2 * some[..., 0:2] - 0.5 + corner) * stride
    half = (2 * some[..., 2:4]) ** 2 * anchors / 2
    landmarks = said[..., 5:15].reshape(*said.shape[:3], 5, 2) * anchors[:, None]
    landmarks += corner[..., None, :] * stride
    boxes = np.concatenate([centre - half, centre + half], axis=-1)
    scores = some[..., 4] * some[..., 15]
    return boxes.reshape(-1, 4), scores.reshape(-1), landmarks.reshape(-1, 5, 2)


@pytest.mark.slow
def test_the_converted_file_finds_what_the_onnx_finds(shared_data: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    folder, out = shared_data / "weights" / "yolo5face", tmp_path / "n05.safetensors"
    report = convert_file(folder / "yolov5n-0.5.state_dict.pt", "yolo5face", out)
    assert "447,456 parameters here, 0 folded" in "\n".join(report)
    model = build_model("yoloface_n05").eval()
    load_weights(model, out)
    image = torch.from_numpy(drawn_image()).permute(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(str(folder / "yolov5n-0.5.onnx"))
    levels = session.run(["stride_8", "stride_16", "stride_32"], {"data": (image / 255).numpy()})
    by_hand = [decoded(one, stride) for one, stride in zip(levels, (8, 16, 32), strict=True)]
    boxes, scores, landmarks = (np.concatenate(one) for one in zip(*by_hand, strict=True))
    assert (scores > 0.5).sum() > 3, "the drawing shows faces"
    with torch.no_grad():
        found = model.head.decode(model(image.byte()))
    for mine, theirs in zip(found, (boxes, scores, landmarks), strict=True):
        assert np.abs(mine[0].numpy() - theirs).max() < 1e-4 * np.abs(theirs).max()


def drawn_image() -> np.ndarray:
    """A scene with faces, 640 x 640, float32."""
    from facezoo.data.datasets import SyntheticFaces

    return SyntheticFaces(seed=0, num_images=1, image_size=640)[0].image.astype(np.float32)


class Theirs:
    """YOLO5Face layer by layer as its authors number and name them, with random weights."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.generator = torch.Generator().manual_seed(0)

    def conv_norm(
        self, conv: str, norm: str, x: Tensor, outputs: int, size: int, stride: int, groups: int = 1
    ) -> Tensor:
        inputs = x.shape[1] // groups
        weight = torch.randn(outputs, inputs, size, size, generator=self.generator)
        scale, shift, mean = torch.randn(3, outputs, generator=self.generator) * 0.1
        values = (scale + 1, shift, mean, torch.full((outputs,), 0.9), torch.tensor(1))
        self.tensors[f"{conv}.weight"] = weight / (inputs * size * size) ** 0.5
        names = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        self.tensors |= {f"{norm}.{name}": value for name, value in zip(names, values, strict=True)}
        x = F.conv2d(x, self.tensors[f"{conv}.weight"], None, stride, size // 2, groups=groups)
        return F.batch_norm(x, mean, values[3], scale + 1, shift, eps=1e-3)

    def conv(self, name: str, x: Tensor, outputs: int, size: int = 1, stride: int = 1) -> Tensor:
        return F.silu(self.conv_norm(f"{name}.conv", f"{name}.bn", x, outputs, size, stride))

    def stem(self, x: Tensor, outputs: int) -> Tensor:
        x = self.conv("model.0.stem_1", x, outputs, 3, 2)
        narrow = self.conv("model.0.stem_2a", x, outputs // 2)
        narrow = self.conv("model.0.stem_2b", narrow, outputs, 3, 2)
        return self.conv("model.0.stem_3", torch.cat([narrow, F.max_pool2d(x, 2)], 1), outputs)

    def c3(self, name: str, x: Tensor, outputs: int, repeats: int, shortcut: bool) -> Tensor:
        y = self.conv(f"{name}.cv1", x, outputs // 2)
        for place in range(repeats):
            z = self.conv(f"{name}.m.{place}.cv1", y, outputs // 2)
            z = self.conv(f"{name}.m.{place}.cv2", z, outputs // 2, 3)
            y = y + z if shortcut else z
        y = torch.cat([y, self.conv(f"{name}.cv2", x, outputs // 2)], 1)
        return self.conv(f"{name}.cv3", y, outputs)

    def spp(self, name: str, x: Tensor) -> Tensor:
        channels = x.shape[1]
        x = self.conv(f"{name}.cv1", x, channels // 2)
        pooled = [F.max_pool2d(x, window, 1, window // 2) for window in (3, 5, 7)]
        return self.conv(f"{name}.cv2", torch.cat([x, *pooled], 1), channels)

    def unit(self, name: str, x: Tensor, outputs: int, stride: int) -> Tensor:
        half = outputs // 2
        if stride == 1:
            x, y = x[:, :half], x[:, half:]
        else:
            y = x
            x = self.branch(
                f"{name}.branch1", x, [("depthwise", x.shape[1], 2), ("point", half, 1)]
            )
        layers = [("point", half, 1), ("depthwise", half, stride), ("point", half, 1)]
        y = self.branch(f"{name}.branch2", y, layers)
        return torch.stack([x, y], dim=2).flatten(1, 2)

    def branch(self, name: str, x: Tensor, layers: list[tuple[str, int, int]]) -> Tensor:
        place = 0
        for kind, outputs, stride in layers:
            size, groups = (3, outputs) if kind == "depthwise" else (1, 1)
            conv, norm = f"{name}.{place}", f"{name}.{place + 1}"
            x = self.conv_norm(conv, norm, x, outputs, size, stride, groups)
            x = x if kind == "depthwise" else F.silu(x)
            place += 2 if kind == "depthwise" else 3
        return x

    def head(self, first: int, features: list[Tensor], channels: list[int], repeats: int) -> list:
        fine, middle, coarse = features
        a, b, c = channels
        double = nn.Upsample(scale_factor=2)
        coarse = self.conv(f"model.{first}", coarse, b)
        x = torch.cat([double(coarse), middle], 1)
        middle = self.c3(f"model.{first + 3}", x, b, repeats, False)
        middle = self.conv(f"model.{first + 4}", middle, a)
        x = torch.cat([double(middle), fine], 1)
        fine = self.c3(f"model.{first + 7}", x, a, repeats, False)
        x = torch.cat([self.conv(f"model.{first + 8}", fine, a, 3, 2), middle], 1)
        middle = self.c3(f"model.{first + 10}", x, b, repeats, False)
        x = torch.cat([self.conv(f"model.{first + 11}", middle, b, 3, 2), coarse], 1)
        coarse = self.c3(f"model.{first + 13}", x, c, repeats, False)
        levels, name = [], f"model.{first + 14}"
        self.tensors[f"{name}.anchors"] = torch.ones(3, 3, 2)
        self.tensors[f"{name}.anchor_grid"] = torch.ones(3, 1, 3, 1, 1, 2)
        for level, x in enumerate((fine, middle, coarse)):
            weight = torch.randn(48, x.shape[1], 1, 1, generator=self.generator)
            bias = torch.randn(48, generator=self.generator)
            self.tensors |= {f"{name}.m.{level}.weight": weight, f"{name}.m.{level}.bias": bias}
            levels.append(F.conv2d(x, weight, bias).unflatten(1, (3, 16)).permute(0, 1, 3, 4, 2))
        return levels


def csp(theirs: Theirs, x: Tensor, width: int, repeats: tuple[int, ...]) -> list[Tensor]:
    """S (width 32) and m (48), without the factor 64 of the published widths."""
    x = theirs.c3("model.1", theirs.stem(x, width), 2 * width, repeats[0], True)
    x = theirs.conv("model.2", x, 4 * width, 3, 2)
    fine = theirs.c3("model.3", x, 4 * width, repeats[1], True)
    x = theirs.conv("model.4", fine, 8 * width, 3, 2)
    middle = theirs.c3("model.5", x, 8 * width, repeats[2], True)
    x = theirs.spp("model.7", theirs.conv("model.6", middle, 16 * width, 3, 2))
    coarse = theirs.c3("model.8", x, 16 * width, repeats[3], False)
    channels = [4 * width, 8 * width, 16 * width]
    return theirs.head(9, [fine, middle, coarse], channels, repeats[0])


def shuffle(theirs: Theirs, x: Tensor, width: int) -> list[Tensor]:
    x, features = theirs.stem(x, width), []
    for stage, units in enumerate((3, 7, 3)):
        channels = 4 * width * 2**stage
        x = theirs.unit(f"model.{2 * stage + 1}", x, channels, 2)
        for place in range(units):
            x = theirs.unit(f"model.{2 * stage + 2}.{place}", x, channels, 1)
        features.append(x)
    return theirs.head(7, features, [4 * width] * 3, 1)


@pytest.mark.parametrize(
    ("config", "network", "backbone", "neck"),
    [
        (
            "yoloface_n",
            lambda theirs, x: shuffle(theirs, x, 32),
            lambda: ShuffleNetV2(1.0),
            {"channels": [128, 128, 128]},
        ),
        (
            "yoloface_s",
            lambda theirs, x: csp(theirs, x, 32, (1, 3, 3, 1)),
            lambda: CSPDarknet(0.33, 0.5, **CSP),
            {},
        ),
        (
            "yoloface_m",
            lambda theirs, x: csp(theirs, x, 48, (2, 6, 6, 2)),
            lambda: CSPDarknet(0.67, 0.75, **CSP),
            {"repeats": 2},
        ),
    ],
    ids=["n", "s", "m"],
)
def test_other_sizes_equal_the_layers_by_name(
    config: str,
    network: Callable[[Theirs, Tensor], list[Tensor]],
    backbone: Callable[[], Backbone],
    neck: dict,
) -> None:
    """No public file of them is at hand."""
    theirs, images = Theirs(), torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    expected = network(theirs, images)
    converted = yolo5face.convert(theirs.tensors, Path("a.pt"))
    assert converted.config == config
    mine = backbone()
    with torch.no_grad():
        features = loaded(converted, mine, PAFPN(mine.out_channels, mine.out_strides, **neck))(
            images
        )
        found = said(converted, features)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_anchors_of_the_file_go_to_the_config() -> None:
    theirs = Theirs()
    shuffle(theirs, torch.zeros(1, 3, 32, 32), 16)
    theirs.tensors["model.21.anchors"][1, 2] = torch.tensor([4.5, 6.0])
    (override,) = yolo5face.convert(theirs.tensors, Path("a.pt")).overrides
    assert "16: [[16.0, 16.0], [16.0, 16.0], [72.0, 96.0]]" in override


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.clear(),
        lambda tensors: tensors.pop("model.21.anchors"),
        lambda tensors: tensors.update({"model.0.stem_1.conv.weight": torch.zeros(24, 3, 3, 3)}),
        lambda tensors: tensors.update({"model.21.m.0.bias": torch.zeros(51)}),
    ],
    ids=["empty", "no anchors", "another width", "more classes"],
)
def test_another_network(change: Callable[[dict], None]) -> None:
    theirs = Theirs()
    shuffle(theirs, torch.zeros(1, 3, 32, 32), 16)
    change(theirs.tensors)
    with pytest.raises(CheckpointError, match=r"a\.pt is no checkpoint of YOLO5Face") as error:
        yolo5face.convert(theirs.tensors, Path("a.pt"))
    assert "give the state dict" in str(error.value) and "\n" not in str(error.value)


def test_unknown_layers_keep_their_names() -> None:
    """So that loading says which tensors have no place."""
    theirs = Theirs()
    shuffle(theirs, torch.zeros(1, 3, 32, 32), 16)
    theirs.tensors["model.30.conv.weight"] = torch.zeros(1)
    converted = yolo5face.convert(theirs.tensors, Path("a.pt"))
    assert "model.30.conv.weight" in converted.tensors
