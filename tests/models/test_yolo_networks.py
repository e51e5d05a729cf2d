"""Backbone and neck of published YOLO networks: their parameter counts, and their numbers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facezoo.models.backbones import Backbone, CSPDarknet, ShuffleNetV2
from facezoo.models.necks import PAFPN

YOLO5FACE = {"stem": "stem_block", "repeats": (3, 9, 9, 3), "spp": (3, 5, 7), "spp_place": "before"}
YOLOV8 = {"stem": "3x3", "block": "C2f", "repeats": (3, 6, 6, 3)}


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for one in modules for parameter in one.parameters())


def with_anchors(backbone: Backbone, outputs: int, **neck: object) -> int:
    """Parameters with the head of YOLOv5: a 1 x 1 convolution per level, three anchors."""
    pyramid = PAFPN(backbone.out_channels, backbone.out_strides, **neck)
    head = sum(3 * outputs * (channels + 1) for channels in pyramid.out_channels)
    return count(backbone, pyramid) + head


def with_points(backbone: Backbone, classes: int, **neck: object) -> int:
    """Parameters with the head of YOLOv8: two towers per level, each of three convolutions."""
    pyramid = PAFPN(backbone.out_channels, backbone.out_strides, block="C2f", **neck)
    finest = pyramid.out_channels[0]
    head = 0
    for hidden, outputs in (
        (max(16, finest // 4, 64), 64),
        (max(finest, min(classes, 100)), classes),
    ):
        for channels in pyramid.out_channels:
            head += 9 * channels * hidden + 9 * hidden**2 + 2 * 2 * hidden  # norms: two numbers
            head += (hidden + 1) * outputs
    # The fixed weights that turn a distribution of 16 bins into a number count there too.
    return count(backbone, pyramid) + head + 16


@pytest.mark.parametrize(
    ("found", "published"),
    [
        (lambda: with_anchors(ShuffleNetV2(0.5), 16, channels=[64] * 3), 447_456),
        (lambda: with_anchors(ShuffleNetV2(1.0), 16, channels=[128] * 3), 1.726e6),
        (lambda: with_anchors(CSPDarknet(0.33, 0.5, **YOLO5FACE), 16, repeats=1), 7.075e6),
        (lambda: with_anchors(CSPDarknet(0.67, 0.75, **YOLO5FACE), 16, repeats=2), 21.063e6),
        (lambda: with_anchors(CSPDarknet(**YOLO5FACE), 16, repeats=3), 46.627e6),
    ],
    ids=["n-0.5", "n", "s", "m", "l"],
)
def test_yolo5face_has_its_published_parameters(found, published: float) -> None:
    """Qi et al. 2021, table 3, in thousands; n-0.5 counted in its public checkpoint."""
    with torch.device("meta"):
        assert abs(found() - published) <= (0 if isinstance(published, int) else 500)


@pytest.mark.parametrize(
    ("found", "published"),
    [
        (lambda: with_anchors(CSPDarknet(0.33, 0.5), 85, repeats=1), 7_235_389),
        (lambda: with_points(CSPDarknet(0.33, 0.25, **YOLOV8), 80, repeats=1), 3_157_200),
        (lambda: with_points(CSPDarknet(0.33, 0.5, **YOLOV8), 80, repeats=1), 11_166_560),
        (
            lambda: with_points(
                CSPDarknet(0.67, 0.75, channels=(64, 128, 256, 512, 768), **YOLOV8), 80, repeats=2
            ),
            25_902_640,
        ),
    ],
    ids=["yolov5s", "yolov8n", "yolov8s", "yolov8m"],
)
def test_yolov5_and_yolov8_have_their_published_parameters(found, published: int) -> None:
    """What their authors' code prints for 80 classes."""
    with torch.device("meta"):
        assert found() == published


def test_yolov8n_for_one_class_has_the_published_parameters() -> None:
    with torch.device("meta"):
        backbone = CSPDarknet(0.33, 0.25, **YOLOV8)
        assert with_points(backbone, 1, repeats=1) == 3_011_043


def test_four_levels_have_the_published_parameters() -> None:
    """YOLOv5s6 of release 6.0: 12.6 million."""
    with torch.device("meta"):
        backbone = CSPDarknet(
            0.33,
            0.5,
            channels=(64, 128, 256, 512, 768, 1024),
            repeats=(3, 6, 9, 3, 3),
            levels=(3, 4, 5, 6),
        )
        assert abs(with_anchors(backbone, 85, repeats=1) - 12.6e6) < 0.05e6


@pytest.mark.slow
def test_yolov8_lite_t_equals_its_onnx(shared_data: Path) -> None:
    """The weights go over in the order in which the convolutions run; batch norm is folded."""
    onnxruntime = pytest.importorskip("onnxruntime")
    path = shared_data / "weights" / "yolov8face" / "yolov8-lite-t.onnx"
    weights, convolutions = read_onnx(path)
    backbone = ShuffleNetV2(channels=(16, 48, 96, 192), repeats=(3, 6, 3), spp=(5, 9, 13)).eval()
    neck = PAFPN(
        backbone.out_channels, backbone.out_strides, channels=[48] * 3, block="separable"
    ).eval()
    images = torch.rand(1, 3, 640, 640, generator=torch.Generator().manual_seed(0))
    pairs = list(in_order(nn.Sequential(backbone, neck), images))
    assert len(pairs) == len(convolutions) - 27, "the head has nine convolutions per level"
    for (convolution, norm), (weight, bias) in zip(pairs, convolutions, strict=False):
        convolution.weight.data.copy_(weights[weight])
        norm.bias.data.copy_(weights[bias])
        norm.running_var.fill_(1 - norm.eps)

    session = onnxruntime.InferenceSession(str(path))
    expected = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        for level, (feature, numbers) in enumerate(
            zip(neck(backbone(images)), expected, strict=True)
        ):
            said = torch.cat([tower(weights, feature, part, level) for part in (2, 3, 4)], dim=1)
            assert np.abs(said.numpy() - numbers).max() < 1e-4 * np.abs(numbers).max()


def tower(weights: dict[str, Tensor], feature: Tensor, part: int, level: int) -> Tensor:
    for layer in ("0.conv", "1.conv", "2"):
        name = f"model.22.cv{part}.{level}.{layer}"
        kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        feature = F.conv2d(feature, kernel, bias, padding=kernel.shape[-1] // 2)
        feature = feature if layer == "2" else F.silu(feature)
    return feature


def in_order(network: nn.Module, images: Tensor) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution and its batch norm, in the order in which they run."""
    ran: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: ran.append(module))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d)
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    return zip(ran[::2], ran[1::2], strict=True)


def read_onnx(path: Path) -> tuple[dict[str, Tensor], list[tuple[str, str]]]:
    """The tensors of a graph by name, and the names of weight and bias of each convolution.

    The field numbers are those of onnx.proto.
    """
    (graph,) = (value for number, value in fields(path.read_bytes()) if number == 7)
    tensors, convolutions = {}, []
    for number, value in fields(graph):
        if number == 5:
            dims, name, raw = [], "", b""
            for part, content in fields(value):
                if part == 1:
                    dims += [content] if isinstance(content, int) else list(varints(content))
                elif part == 8:
                    name = content.decode()
                elif part == 9:
                    raw = content
            if len(raw) == 4 * int(np.prod(dims)):
                array = np.frombuffer(raw, "<f4").reshape(dims).copy()
                tensors[name] = torch.from_numpy(array)
        elif number == 1:
            node = list(fields(value))
            if (4, b"Conv") in node:
                inputs = [content.decode() for part, content in node if part == 1]
                convolutions.append((inputs[1], inputs[2]))
    return tensors, convolutions


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protocol buffer: number and value."""
    place = 0
    while place < len(message):
        key, place = varint(message, place)
        kind = key & 7
        if kind == 0:
            value, place = varint(message, place)
        else:
            size, place = varint(message, place) if kind == 2 else ({1: 8, 5: 4}[kind], place)
            value, place = message[place : place + size], place + size
        yield key >> 3, value


def varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[place]
        value, shift, place = value | (byte & 127) << shift, shift + 7, place + 1
        if byte < 128:
            return value, place


def varints(message: bytes) -> Iterator[int]:
    place = 0
    while place < len(message):
        value, place = varint(message, place)
        yield value
