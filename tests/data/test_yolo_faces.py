"""``YoloFaces`` over folders made by hand."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from facezoo.builder import build
from facezoo.data.datasets import Subset, YoloFaces
from facezoo.errors import DataError
from facezoo.registry import DATASETS

FACE = "0 0.5 0.25 0.5 0.25"
POINTS = "0.1 0.2 0.3 0.2 -1 -1 0.1 0.4 0.3 1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/two.png", "b/none.png", "one.PNG", "unlabelled.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        data = cv2.imencode(".png", np.zeros((40, 60, 3), np.uint8))[1]
        (tmp_path / "images" / name).write_bytes(data.tobytes())
    (tmp_path / "labels/b").mkdir(parents=True)
    (tmp_path / "labels/b/two.txt").write_text(f"{FACE} {POINTS}\n\n0 0.5 0.5 0 1 {POINTS}\n")
    (tmp_path / "labels/b/none.txt").write_text("\n")
    (tmp_path / "labels/one.txt").write_bytes(f"\ufeff{FACE}\r\n2 0.1 0.1 0.1 0.1\r\n".encode())
    (tmp_path / "labels/classes.txt").write_text("face\n")
    return tmp_path


def opened(folder: Path) -> YoloFaces:
    return YoloFaces(folder / "images", folder / "labels")


def test_both_forms(folder: Path) -> None:
    dataset = opened(folder)
    names = [dataset.image_id(i) for i in range(len(dataset))]
    assert names == ["b/none.png", "b/two.png", "one.PNG", "unlabelled.png"]
    sample = dataset[1]
    assert sample.image.shape == (40, 60, 3) and sample.boxes.dtype == np.float32
    np.testing.assert_allclose(sample.boxes, [[15, 5, 45, 15]])
    wanted = [[6, 8], [18, 8], [np.nan, np.nan], [6, 16], [18, 40]]
    np.testing.assert_allclose(sample.landmarks, [wanted], rtol=1e-6)
    np.testing.assert_allclose(dataset[2].boxes, [[15, 5, 45, 15]])
    assert np.isnan(dataset[2].landmarks).all() and dataset[2].attributes is None
    assert dataset[0].boxes.shape == (0, 4) and dataset[0].landmarks.shape == (0, 5, 2)
    assert dataset.truth(1).ignore.tolist() == [False, True]  # the second has no area


def test_half_a_landmark_is_unknown(folder: Path) -> None:
    (folder / "labels/b/two.txt").write_text(f"{FACE} -1 0.5 0.5 -1 0.3 0.3 0.3 0.3 0.3 0.3\n")
    unknown = np.isnan(opened(folder)[1].landmarks)
    assert unknown[0, :2].all() and not unknown[0, 2:].any()


def test_counts(folder: Path) -> None:
    assert opened(folder).counts == {
        "images": 4,
        "faces": 3,
        "dropped": 1,
        "ignored": 0,
        "with_landmarks": 2,
        "unlabelled": 1,
        "other_categories": 1,
    }
    other = YoloFaces(folder / "images", folder / "labels", category=2)
    assert other.counts["faces"] == 1 and other.counts["other_categories"] == 3


def test_built_by_name_and_pickled(folder: Path) -> None:
    node = {"type": "YoloFaces", "images": str(folder / "images"), "labels": str(folder / "labels")}
    dataset = pickle.loads(pickle.dumps(build(node, DATASETS)))  # noqa: S301
    assert isinstance(dataset, YoloFaces) and len(Subset(dataset, ["one.PNG"])[0].boxes) == 1


@pytest.mark.parametrize(
    "line, said",
    [
        ("0 0.5 0.5 0.5", "two.txt:2: a face has 4 values where 15, as in the lines above, belong"),
        (f"{FACE} {POINTS} 1", "two.txt:2: a face has 16 values"),
        (FACE, "two.txt:2: a face has 5 values where 15, as in the lines above,"),
        (f"face 0.5 0.5 0.5 0.5 {POINTS}", "two.txt:2: 'face' is no finite number"),
        (f"0 0.5 0.5 inf 0.5 {POINTS}", "two.txt:2: 'inf' is no finite number"),
        (f"0 0.5 1.25 0.5 0.5 {POINTS}", "two.txt:2: 1.25 is no share of the image from 0 to 1;"),
        (f"0 0.5 -1 0.5 0.5 {POINTS}", "two.txt:2: -1 is no share of the image from 0 to 1;"),
        (f"0.5 0.5 1 0.5 0.5 {POINTS}", "two.txt:2: 0.5 is no class, which is a whole number"),
        (f"-1 0.5 1 0.5 0.5 {POINTS}", "two.txt:2: -1 is no class"),
        (f"{FACE} -0.5{POINTS[3:]}", "two.txt:2: -0.5 is no share .* nor -1 for unknown"),
    ],
)
def test_malformed_line(folder: Path, line: str, said: str) -> None:
    (folder / "labels/b/two.txt").write_text(f"{FACE} {POINTS}\n{line}\n")
    with pytest.raises(DataError, match=said) as error:
        opened(folder)
    assert "\n" not in str(error.value)


def test_what_is_missing_or_twice(folder: Path) -> None:
    with pytest.raises(DataError, match=r"folder of images .* does not exist"):
        YoloFaces(folder / "nowhere", folder / "labels")
    with pytest.raises(DataError, match=r"folder of labels .* does not exist"):
        YoloFaces(folder / "images", folder / "nowhere")
    (folder / "labels/lonely.txt").write_text(FACE)
    with pytest.raises(DataError, match=r"lonely\.txt: it belongs to no image in .*images; "):
        opened(folder)
    (folder / "labels/lonely.txt").unlink()
    (folder / "images/one.jpg").touch()
    with pytest.raises(DataError, match=r"one\.PNG and one\.jpg have the same labels"):
        opened(folder)
