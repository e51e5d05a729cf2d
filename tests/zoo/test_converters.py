"""Public checkpoints: the same numbers as their authors' ONNX after conversion."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facezoo.builder import build_model
from facezoo.errors import CheckpointError
from facezoo.inference.detector import Detector
from facezoo.zoo.converters import biubug6, convert_file
from facezoo.zoo.safe_load import load_weights


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference in units of the largest number."""
    return float(np.abs(a - b).max() / np.abs(b).max())


def by_hand(
    loc: np.ndarray, landmarks: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """SSD's decoding with priors counted out, as an independent way to boxes and landmarks."""
    priors = []
    for stride, sides in ((8, (16, 32)), (16, (64, 128)), (32, (256, 512))):
        for row in range(height // stride):
            for column in range(width // stride):
                priors += [((column + 0.5) * stride, (row + 0.5) * stride, s) for s in sides]
    p = np.array(priors)
    centre = p[:, :2] + loc[:, :2] * 0.1 * p[:, 2:]
    size = p[:, 2:] * np.exp(loc[:, 2:] * 0.2)
    points = p[:, None, :2] + landmarks.reshape(-1, 5, 2) * 0.1 * p[:, None, 2:]
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1), points


@pytest.mark.slow
def test_biubug6_equals_its_onnx(shared_data: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = shared_data / "weights" / "retinaface"
    out = tmp_path / "m.safetensors"
    report = convert_file(folder / "mobilenet0.25_Final.pth", "biubug6", out)
    assert "426,218 parameters here, 390 folded" in "\n".join(report)
    model = build_model("retinaface_mnet025").eval()
    load_weights(model, out)
    session = onnxruntime.InferenceSession(str(folder / "mobilenet0.25_Final.onnx"))
    photograph = cv2.imread(str(shared_data / "media" / "solvay_1927.jpg"))[:640, 200:1096]
    blob = (photograph - np.array([104.0, 117, 123])).transpose(2, 0, 1)[None].astype(np.float32)
    loc, conf, landmarks = session.run(None, {session.get_inputs()[0].name: blob})
    expected_boxes, expected_landmarks = by_hand(loc[0], landmarks[0], 640, 896)

    rgb = torch.from_numpy(photograph[..., ::-1].copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        boxes, scores, points = model.head.decode(model(rgb))
    assert relative(scores[0].numpy(), conf[0, :, 1]) < 1e-4
    assert relative(boxes[0].numpy(), expected_boxes) < 1e-4
    assert relative(points[0].numpy(), expected_landmarks) < 1e-4
    assert (conf[0, :, 1] > 0.5).sum() > 20, "the photograph shows faces"

    # The file stands for the model by itself.
    (faces,) = Detector(out, score_thresh=0.5)([photograph[..., ::-1].copy()])
    assert len(faces) > 10


def test_large_network_has_the_names_of_the_model() -> None:
    """No public file of it is at hand: its names are made from ours by the inverse rules."""
    model = build_model("retinaface_r50", "model.backbone.pretrained=false")
    theirs = {_name_there(name): value for name, value in model.state_dict().items()}
    theirs = {name: value for name, value in theirs.items() if not name.startswith("pixels.")}
    for name in [one for one in theirs if one.startswith("ClassHead.")]:
        pairs = theirs[name]
        theirs[name] = torch.stack([torch.zeros_like(pairs), pairs], dim=1).flatten(0, 1)
    converted = biubug6.convert(theirs, Path("r50.pth"))
    assert converted.config == "retinaface_r50"
    own = {n: v for n, v in model.state_dict().items() if not n.startswith("pixels.")}
    assert converted.tensors.keys() == own.keys()
    assert all(torch.equal(converted.tensors[name], own[name]) for name in own)


def _name_there(name: str) -> str:
    parts = name.split(".")
    if name.startswith("backbone.network."):
        return "body." + ".".join(parts[2:])
    if name.startswith("neck.lateral."):
        return f"fpn.output{int(parts[2]) + 1}." + ".".join(parts[3:])
    if name.startswith("neck.merge."):
        return f"fpn.merge{int(parts[2]) + 1}." + ".".join(parts[3:])
    if name.startswith("head.context.levels."):
        level, view, layer = int(parts[3]) + 1, parts[4], int(parts[5])
        there = {"view3": "conv3X3", "shared": "conv5X5_1", "view5": "conv5X5_2"}.get(view)
        if there is None:
            there = "conv7X7_2" if layer < 3 else "conv7x7_3"
            layer %= 3
        return f"ssh{level}.{there}.{layer}." + ".".join(parts[6:])
    for here, there in (("class", "Class"), ("box", "Bbox"), ("landmark", "Landmark")):
        if name.startswith(f"head.{here}_towers."):
            return f"{there}Head.{parts[2]}.conv1x1." + ".".join(parts[3:])
    return name


def test_another_familys_file(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="no checkpoint of Pytorch_Retinaface"):
        convert_file(tmp_path / "a.pth", "biubug6", tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()
