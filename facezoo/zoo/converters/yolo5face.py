"""YOLO5Face by deepcam-cn: n and n-0.5 with ShuffleNetV2, s and m with CSPDarknet.

Their files hold a pickled network, which is not read; its tensors alone are:
``torch.save(model.state_dict(), FILE)``.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from facezoo.errors import CheckpointError
from facezoo.zoo.converters import Converted

STEM, UNIT = "model.0.stem_1.conv.weight", "model.1.branch1.0.weight"

SHUFFLENETS = {16: "yoloface_n05", 32: "yoloface_n"}
CSP_DARKNETS = {32: "yoloface_s", 48: "yoloface_m"}
"""Models by the channels of their stem."""

SHUFFLENET = {
    "0": "stem",
    **{f"{2 * stage + 1}": f"stages.{stage}.0" for stage in range(3)},
    **{
        f"{2 * stage + 2}.{unit}": f"stages.{stage}.{unit + 1}"
        for stage, units in enumerate((3, 7, 3))
        for unit in range(units)
    },
}
CSP_DARKNET = {
    "0": "stem",
    "1": "stages.0.block",
    "2": "stages.1.reduce",
    "3": "stages.1.block",
    "4": "stages.2.reduce",
    "5": "stages.2.block",
    "6": "stages.3.reduce",
    "7": "stages.3.pool",
    "8": "stages.3.block",
}
"""Layers of the backbone: facezoo's name by the number there."""

NECK = {
    0: "lateral.1",
    3: "top_down.1",
    4: "lateral.0",
    7: "top_down.0",
    8: "reduce.0",
    10: "bottom_up.0",
    11: "reduce.1",
    13: "bottom_up.1",
}
HEAD = 14
"""Layers of the neck, and the head: their numbers counted from the neck's first."""

PARTS = (
    (r"^m\.(\d+)\.cv1\.", r"blocks.\1.first."),
    (r"^m\.(\d+)\.cv2\.", r"blocks.\1.second."),
    (r"^cv1\.", "enter."),
    (r"^cv2\.", "around."),
    (r"^cv3\.", "join."),
    (r"^stem_1\.", "first."),
    (r"^stem_2a\.conv\.", "reduce.0."),
    (r"^stem_2a\.bn\.", "reduce.1."),
    (r"^stem_2b\.conv\.", "reduce.3."),
    (r"^stem_2b\.bn\.", "reduce.4."),
    (r"^stem_3\.", "join."),
    (r"^branch1\.", "short."),
    (r"^branch2\.", "convs."),
    (r"\bconv\.", "0."),
    (r"\bbn\.", "1."),
)
"""Parts of a layer, each rule applied in turn."""

TOWERS = {
    "box_towers": slice(0, 4),
    "quality_towers": slice(4, 5),
    "landmark_towers": slice(5, 15),
    "class_towers": slice(15, 16),
}
"""What the 16 outputs of an anchor are."""

STRIDES = (8, 16, 32)


def convert(tensors: Mapping[str, Tensor], source: Path) -> Converted:
    """Returns the tensors by facezoo's names.

    The convolution of each level of the head becomes four, one for each kind of output. The
    anchors, which the file holds in cells of their level, go to the config.

    Raises:
        CheckpointError: the file is of none of the four networks.
    """
    models = SHUFFLENETS if UNIT in tensors else CSP_DARKNETS
    first = 7 if UNIT in tensors else 9
    head = f"model.{first + HEAD}"
    channels, outputs = (len(tensors.get(name, ())) for name in (STEM, f"{head}.m.0.bias"))
    if channels not in models or outputs != 48 or f"{head}.anchors" not in tensors:
        raise CheckpointError(
            f"{source} is no checkpoint of YOLO5Face n-0.5, n, s or m, which have {STEM} with "
            f"{', '.join(map(str, models))} channels, {head}.m.0.bias with 48 and {head}.anchors; "
            "give the state dict of one of these."
        )
    layers = SHUFFLENET if UNIT in tensors else CSP_DARKNET
    places = {number: f"backbone.{name}" for number, name in layers.items()}
    places |= {str(first + number): f"neck.{name}" for number, name in NECK.items()}
    renamed: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.startswith(f"{head}.m."):
            renamed |= _split(name.removeprefix(f"{head}.m."), value)
        elif name not in (f"{head}.anchors", f"{head}.anchor_grid"):
            renamed[_rename(name, places)] = value
    pixels = tensors[f"{head}.anchors"].double() * torch.tensor(STRIDES).view(-1, 1, 1)
    anchors = dict(zip(STRIDES, pixels.tolist(), strict=True))
    return Converted(renamed, models[channels], (f"model.head.anchors={anchors}",), 0)


def _rename(name: str, places: Mapping[str, str]) -> str:
    found = re.match(r"model\.(\d+(?:\.\d+)?)\.(.*)", name)
    if found is None or found[1] not in places:
        return name
    place, part = places[found[1]], found[2]
    if place.endswith(".pool"):  # the pyramid pooling has two convolutions, not three
        part = re.sub(r"^cv2\.", "join.", part)
    for pattern, replacement in PARTS:
        part = re.sub(pattern, replacement, part)
    return f"{place}.{part}"


def _split(name: str, value: Tensor) -> dict[str, Tensor]:
    """Returns the four convolutions of a level; ``name`` is such as ``0.weight``."""
    outputs = value.unflatten(0, (-1, 16))  # anchors x outputs x ...
    return {
        f"head.{tower}.{name}": outputs[:, kind].flatten(0, 1) for tower, kind in TOWERS.items()
    }
