"""The detector: pixels, backbone, neck and head in a row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from facezoo.errors import ConfigError, did_you_mean
from facezoo.geometry.boxes import batched_nms
from facezoo.models.backbones.backbone import Backbone
from facezoo.models.heads.head import Head
from facezoo.models.necks.fpn import Neck
from facezoo.registry import DETECTORS
from facezoo.structures import Faces, LossTerm, RawOutputs, Targets

_SIZE_TOLERANCE = 3
"""How far a feature may be from side / stride: a network that pads otherwise than by half a kernel
gives some cells fewer (timm's Inceptions three) or more (its MobileViTs one), at any size."""


@dataclass(frozen=True)
class Padding:
    """How a photograph is filled up to the sides that a network takes.

    Attributes:
        colour: RGB, 0 to 255; by default the one nearest to the mean that ``Pixels`` subtracts,
            which is about zero to the network.
        centred: pad on both sides instead of right and below.
        square: pad to a square instead of to the next multiple of the stride.
    """

    colour: tuple[int, int, int] | None = None
    centred: bool = False
    square: bool = False

    def __post_init__(self) -> None:
        if self.colour is not None and not all(0 <= one <= 255 for one in self.colour):
            raise ConfigError(f"colour of padding is {list(self.colour)}: give 0 to 255 for each.")


class Pixels(nn.Module):
    """Channel order, mean and deviation, kept in buffers: a checkpoint carries its preprocessing.

    Args:
        order: order of the channels that the network sees.
        mean: subtracted per channel, 0 to 255, in that order.
        std: divided by per channel, in that order; 255 scales to 0 to 1.
        padding: how photographs are filled up; it is no buffer, the config says it.

    Raises:
        ConfigError: a deviation is not positive.
    """

    order: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        order: Literal["rgb", "bgr"] = "rgb",
        mean: tuple[float, float, float] = (123.675, 116.28, 103.53),
        std: tuple[float, float, float] = (58.395, 57.12, 57.375),
        padding: Padding | None = None,
    ) -> None:
        super().__init__()
        if min(std) <= 0:
            raise ConfigError(f"std of Pixels is {list(std)}: each has to be more than 0.")
        self.register_buffer("order", torch.tensor(["rgb".index(channel) for channel in order]))
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))
        self.padding = padding or Padding()

    def forward(self, images: Tensor) -> Tensor:
        """Returns the network's input, float32.

        Args:
            images: B x 3 x H x W, RGB, 0 to 255.
        """
        if images.is_contiguous(memory_format=torch.channels_last):  # and so it stays
            images = images.permute(0, 2, 3, 1).index_select(3, self.order).permute(0, 3, 1, 2)
        else:
            images = images.index_select(1, self.order)
        return (images.float() - self.mean.view(1, 3, 1, 1)) / self.std.view(1, 3, 1, 1)

    def padding_rgb(self) -> tuple[int, int, int]:
        """Returns the colour of the padding."""
        if self.padding.colour is not None:
            return self.padding.colour
        rgb = [0, 0, 0]
        for channel, value in zip(self.order.tolist(), self.mean.tolist(), strict=True):
            rgb[channel] = min(max(round(value), 0), 255)
        return rgb[0], rgb[1], rgb[2]


@DETECTORS.register
class FaceDetector(nn.Module):
    """Every detector of facezoo; families differ by their parts.

    Args:
        backbone: from an image to features.
        neck: combines the features of several strides, or None.
        head: from features to scores, boxes and landmarks.
        pixels: how an image is normalised.
        freeze: parts that are not trained, such as ``backbone`` or ``backbone.stage1``; batch norm
            in them keeps its statistics too.
        freeze_batch_norm: parts whose batch norm keeps its statistics, scale and shift, while
            their other weights train.
        lr_scale: factor of the learning rate by part, such as ``{backbone: 0.1}``.

    Attributes:
        stride: the coarsest stride in pixels: image sides are multiples of it.

    Raises:
        ConfigError: there is no such part, or a factor is negative.
    """

    def __init__(
        self,
        backbone: Backbone,
        neck: Neck | None,
        head: Head,
        pixels: Pixels,
        freeze: list[str] | None = None,
        freeze_batch_norm: list[str] | None = None,
        lr_scale: dict[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.pixels = pixels
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.stride = max((neck or backbone).out_strides)
        self.lr_scale = dict(lr_scale or {})
        for name, factor in self.lr_scale.items():
            self._part(name, "lr_scale")
            if factor < 0:
                raise ConfigError(f"lr_scale of {name!r} is {factor}: it cannot be below 0.")
        self._frozen_norms: list[nn.Module] = []
        for name in freeze or []:
            part = self._part(name, "freeze")
            part.requires_grad_(False)
            self._frozen_norms += _batch_norms(part)
        for name in freeze_batch_norm or []:
            for norm in _batch_norms(self._part(name, "freeze_batch_norm")):
                norm.requires_grad_(False)
                self._frozen_norms.append(norm)
        self.train()

    def _part(self, name: str, argument: str) -> nn.Module:
        try:
            return self.get_submodule(name)
        except AttributeError:
            known = [path for path, _ in self.named_modules() if path and path.count(".") < 3]
            raise ConfigError(
                f"{argument} names {name!r}, and the model has no such part"
                f"{did_you_mean(name, known)}; its parts begin with "
                f"{', '.join(path for path, _ in self.named_children())}."
            ) from None

    def train(self, mode: bool = True) -> FaceDetector:
        """Sets the mode; frozen batch norm stays in evaluation mode."""
        super().train(mode)
        for norm in self._frozen_norms:
            norm.eval()
        return self

    def forward(
        self, images: Tensor, targets: Targets | None = None
    ) -> RawOutputs | dict[str, LossTerm]:
        """Returns the raw predictions or, given targets, the terms of the loss.

        Args:
            images: B x 3 x H x W, uint8, RGB; H and W multiples of ``stride``.
            targets: the faces.

        Raises:
            ConfigError: backbone or neck give other features than their ``out_strides`` and
                ``out_channels`` say; not checked while torch compiles.
        """
        features = self.backbone(self.pixels(images))
        _check_features("backbone", self.backbone, features, images)
        if self.neck is not None:
            features = self.neck(features)
            _check_features("neck", self.neck, features, images)
        raw = self.head(features)
        return raw if targets is None else self.head.loss(raw, targets)

    @torch.no_grad()
    def predict(
        self,
        images: Tensor,
        maps: Tensor | None = None,
        score_thresh: float = 0.02,
        nms_thresh: float = 0.4,
    ) -> list[Faces]:
        """Returns the faces of each image, best score first, as many as there are.

        Boxes are not clipped: a face at the border may reach beyond the image.

        Args:
            images: B x 3 x H x W, uint8, RGB; H and W multiples of ``stride``.
            maps: B x 2 x 3, affine map from each image to its photograph; None for no change.
            score_thresh: a face has a score above it.
            nms_thresh: IoU above which the worse of two faces is dropped.
        """
        raw = self(images)
        boxes, scores, landmarks = self.head.decode(raw)
        kept = batched_nms(boxes, scores, score_thresh, nms_thresh)
        if maps is None:
            maps = torch.eye(2, 3, dtype=torch.float64).expand(len(kept), 2, 3)
        return [
            Faces(
                _map_boxes(boxes[i, keep].cpu().double(), maps[i].cpu()).float().numpy(),
                scores[i, keep].cpu().numpy(),
                None
                if landmarks is None
                else _map_points(landmarks[i, keep].cpu().double(), maps[i].cpu()).float().numpy(),
            )
            for i, keep in enumerate(kept)
        ]


def _check_features(
    role: str, part: Backbone | Neck, features: list[Tensor], images: Tensor
) -> None:
    """Refuses features of other strides, which would train with priors in the wrong places."""
    if torch.compiler.is_compiling():
        return
    who = f"The {role} {type(part).__name__}"
    strides, channels = part.out_strides, part.out_channels
    if not len(features) == len(strides) == len(channels):
        raise ConfigError(
            f"{who} gives {len(features)} features, and has {len(strides)} out_strides and "
            f"{len(channels)} out_channels: make it one of each for each feature."
        )
    height, width = images.shape[-2:]
    for level, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        given, rows, columns = feature.shape[1:]
        if given != channels[level]:
            raise ConfigError(
                f"{who} says in out_channels that its level {level} has {channels[level]} "
                f"channels, and gives {given}: correct out_channels."
            )
        fitting = -(-height // stride), -(-width // stride)
        if max(abs(rows - fitting[0]), abs(columns - fitting[1])) > _SIZE_TOLERANCE:
            raise ConfigError(
                f"{who} says in out_strides that its level {level} has a stride of {stride}, which "
                f"is {fitting[0]} x {fitting[1]} cells of an image of {height} x {width} pixels, "
                f"and gives {rows} x {columns}: correct out_strides."
            )


def _batch_norms(part: nn.Module) -> Iterator[nn.Module]:
    return (module for module in part.modules() if isinstance(module, _BatchNorm))


def _map_points(points: Tensor, affine: Tensor) -> Tensor:
    """Returns points ``... x 2`` after the map 2 x 3."""
    return points @ affine[:, :2].T + affine[:, 2]


def _map_boxes(boxes: Tensor, affine: Tensor) -> Tensor:
    """Returns boxes ``n x 4`` after a map that keeps their sides upright; it may mirror them."""
    corners = _map_points(boxes.view(-1, 2, 2), affine)
    return torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=-1)
