"""Pytorch_Retinaface by biubug6: RetinaFace with MobileNetV1 x 0.25 and with ResNet-50."""

import re
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from facezoo.errors import CheckpointError
from facezoo.zoo.converters import Converted

SMALL, LARGE = "body.stage1.0.0.weight", "body.layer4.2.conv3.weight"

RENAMED = (
    (r"^body\.stage", "backbone.stage"),
    (r"^body\.", "backbone.network."),
    (r"^fpn\.output(\d)\.", lambda found: f"neck.lateral.{int(found[1]) - 1}."),
    (r"^fpn\.merge(\d)\.", lambda found: f"neck.merge.{int(found[1]) - 1}."),
    (r"^ssh(\d)\.conv3X3\.", lambda found: f"head.context.levels.{int(found[1]) - 1}.view3."),
    (r"^ssh(\d)\.conv5X5_1\.", lambda found: f"head.context.levels.{int(found[1]) - 1}.shared."),
    (r"^ssh(\d)\.conv5X5_2\.", lambda found: f"head.context.levels.{int(found[1]) - 1}.view5."),
    (r"^ssh(\d)\.conv7X7_2\.", lambda found: f"head.context.levels.{int(found[1]) - 1}.view7."),
    # The chain of the widest view goes on after the three layers of its first convolution.
    (
        r"^ssh(\d)\.conv7x7_3\.(\d)",
        lambda found: f"head.context.levels.{int(found[1]) - 1}.view7.{int(found[2]) + 3}",
    ),
    (r"^BboxHead\.(\d)\.conv1x1\.", r"head.box_towers.\1."),
    (r"^LandmarkHead\.(\d)\.conv1x1\.", r"head.landmark_towers.\1."),
    (r"^ClassHead\.(\d)\.conv1x1\.", r"head.class_towers.\1."),
)


def convert(tensors: Mapping[str, Tensor], source: Path) -> Converted:
    """Returns the tensors by facezoo's names.

    The two filters of background and face become one, their difference: the sigmoid of the
    difference of two logits is their softmax.

    Raises:
        CheckpointError: the file is of neither network.
    """
    if SMALL not in tensors and LARGE not in tensors:
        raise CheckpointError(
            f"{source} is no checkpoint of Pytorch_Retinaface: it has neither {SMALL} "
            f"(MobileNetV1 x 0.25) nor {LARGE} (ResNet-50)."
        )
    renamed, folded = {}, 0
    for name, value in tensors.items():
        new = _rename(name)
        if new.startswith("head.class_towers."):
            pairs = value.unflatten(0, (-1, 2))  # anchors x (background, face) x ...
            value = pairs[:, 1] - pairs[:, 0]
            folded += value.numel()
        renamed[new] = value
    if SMALL in tensors:
        return Converted(renamed, "retinaface_mnet025", (), folded)
    bgr = "model.pixels={order: bgr, mean: [104, 117, 123], std: [1, 1, 1]}"
    return Converted(renamed, "retinaface_r50", ("model.backbone.pretrained=false", bgr), folded)


def _rename(name: str) -> str:
    for pattern, replacement in RENAMED:
        new, count = re.subn(pattern, replacement, name)  # type: ignore[arg-type]
        if count:
            return new
    return name
