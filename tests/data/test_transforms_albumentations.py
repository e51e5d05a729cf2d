"""The adapter for albumentations: faces follow the pixels, and mistakes are named."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from facezoo.builder import build
from facezoo.config.config import load_config, zoo_folder
from facezoo.data.transforms import Albumentations
from facezoo.errors import ConfigError
from facezoo.registry import TRANSFORMS
from facezoo.structures import Sample

HEIGHT, WIDTH = 240, 320
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]


def discs() -> Sample:
    """A black image with one face, whose landmarks are five discs of their own colours."""
    landmarks = np.array([[130, 90], [190, 94], [164, 120], [138, 150], [186, 156]], np.float32)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for point, colour in zip(landmarks, COLOURS, strict=True):
        cv2.circle(image, tuple(int(one) for one in point), 5, colour, -1)
    return Sample(
        image=image,
        boxes=np.array([[110, 70, 210, 176]], np.float32),
        landmarks=landmarks[None] + 0.5,
        ignore=np.zeros(1, bool),
        labels=np.zeros(1, np.int64),
        image_id="discs",
    )


def found(image: np.ndarray) -> np.ndarray:
    """Returns where the discs are: weighted means over the pixels nearest to each colour."""
    pixels = image.astype(np.float64)
    hues = pixels / np.maximum(np.linalg.norm(pixels, axis=-1, keepdims=True), 1)
    pure = np.array(COLOURS) / np.linalg.norm(COLOURS, axis=-1, keepdims=True)
    alike = hues @ pure.T
    nearest, bright = alike.argmax(-1), pixels.max(-1)
    rows, columns = np.indices(bright.shape) + 0.5
    points = []
    for index in range(5):
        weight = np.where((nearest == index) & (bright > 40), bright, 0)
        points.append([(weight * columns).sum(), (weight * rows).sum()] / weight.sum())
    return np.array(points)


CASES: list[tuple[str, dict[str, Any], bool, bool]] = [
    ("HorizontalFlip", {}, True, True),
    ("VerticalFlip", {}, True, True),
    ("Transpose", {}, True, True),
    ("RandomRotate90", {}, False, True),
    ("Rotate", {"limit": 30}, False, True),
    ("Rotate", {"limit": 30, "rotate_method": "ellipse"}, False, True),
    ("SafeRotate", {"limit": 30}, False, True),
    ("Affine", {"scale": [0.7, 1.1], "rotate": [-20, 20], "shear": [-8, 8]}, False, True),
    ("Affine", {"translate_percent": [-0.1, 0.1]}, False, True),
    ("Perspective", {"scale": [0.05, 0.1]}, False, False),
    ("Resize", {"height": 500, "width": 400}, False, True),
    ("LongestMaxSize", {"max_size": 160}, False, True),
    ("CenterCrop", {"height": 160, "width": 170}, False, True),
    ("PadIfNeeded", {"min_height": 400, "min_width": 400}, False, True),
]


@pytest.mark.parametrize(("name", "arguments", "mirrors", "affine"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_faces_follow_the_pixels(
    name: str, arguments: dict[str, Any], mirrors: bool, affine: bool, seed: int
) -> None:
    before = discs()
    after = Albumentations(name, p=1.0, **arguments)(before, np.random.default_rng(seed))
    order = [1, 0, 2, 4, 3] if mirrors else [0, 1, 2, 3, 4]
    points = found(after.image)[order]
    np.testing.assert_allclose(after.landmarks[0], points, atol=0.6)
    assert after.dropped == 0
    centre = after.boxes.reshape(2, 2).mean(0)
    back = np.vstack([after.landmarks[0], centre]) @ after.to_original[:, :2].T
    back += after.to_original[:, 2]
    tolerance = 0.5 if affine else 12
    np.testing.assert_allclose(back[:5], before.landmarks[0][order], atol=tolerance)
    if affine:  # SafeRotate's own boxes are up to a pixel off
        np.testing.assert_allclose(back[5], before.boxes.reshape(2, 2).mean(0), atol=1.0)
    assert (after.landmarks[0] >= after.boxes[0, :2]).all()
    assert (after.landmarks[0] <= after.boxes[0, 2:]).all()


@pytest.mark.parametrize("seed", range(4))
def test_d4_swaps_where_it_mirrors(seed: int) -> None:
    after = Albumentations("D4", p=1.0)(discs(), np.random.default_rng(seed))
    mirrors = np.linalg.det(after.to_original[:, :2]) < 0
    points = found(after.image)[[1, 0, 2, 4, 3] if mirrors else [0, 1, 2, 3, 4]]
    np.testing.assert_allclose(after.landmarks[0], points, atol=0.6)


def crowd(count: int) -> Sample:
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 280, (count, 2))
    boxes = np.hstack([corners, corners + generator.uniform(2, 40, (count, 2))])
    landmarks = np.repeat(boxes[:, None, :2] + 1, 5, axis=1)
    landmarks[::3, 1] = np.nan
    return Sample(
        image=generator.integers(0, 255, (320, 320, 3), np.uint8),
        boxes=boxes.astype(np.float32),
        landmarks=landmarks.astype(np.float32),
        ignore=np.arange(count) % 4 == 0,
        labels=np.arange(count),
        image_id="crowd",
        attributes=(np.arange(count)[:, None] % 100 + np.zeros((1, 6))).astype(np.int8),
    )


@pytest.mark.parametrize("count", [0, 1, 2000])
@pytest.mark.parametrize("name", ["Rotate", "RandomRotate90", "GaussianBlur"])
def test_what_belongs_to_a_face_stays_with_it(name: str, count: int) -> None:
    before = crowd(count)
    after = Albumentations(name, p=1.0)(before, np.random.default_rng(1))
    kept = after.labels
    assert len(kept) + after.dropped == count
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(after.ignore, before.ignore[kept])
    assert after.attributes is not None and before.attributes is not None
    np.testing.assert_array_equal(after.attributes, before.attributes[kept])
    assert np.isnan(after.landmarks[kept % 3 == 0, 1]).all()
    inverse = np.linalg.inv(np.vstack([after.to_original, [0, 0, 1]]))[:2]
    moved = before.landmarks[kept] @ inverse[:, :2].T + inverse[:, 2]
    shown = np.isfinite(after.landmarks)
    np.testing.assert_allclose(after.landmarks[shown], moved[shown], atol=1e-2)
    if name != "GaussianBlur":
        assert (after.boxes >= 0).all() and (after.boxes <= 320).all()


def test_boxes_without_area_or_outside_are_dropped_and_counted() -> None:
    boxes = [[5, 5, 5, 9], [10, 10, 40, 40], [-30, 5, -2, 9], [300, 5, 360, 30]]
    before = replace(crowd(4), boxes=np.array(boxes, np.float32))
    after = Albumentations("HorizontalFlip", p=1.0)(before, np.random.default_rng(0))
    assert after.labels.tolist() == [1]
    assert after.dropped == 3


def test_the_generator_alone_decides() -> None:
    transform = Albumentations("RandomBrightnessContrast", p=1.0)
    images = [transform(discs(), np.random.default_rng(seed)).image for seed in (1, 2, 1)]
    np.testing.assert_array_equal(images[0], images[2])
    assert (images[0] != images[1]).any()
    copy = pickle.loads(pickle.dumps(transform))  # noqa: S301 - of our own making
    np.testing.assert_array_equal(copy(discs(), np.random.default_rng(1)).image, images[0])


def test_two_transforms_draw_apart() -> None:
    generator = np.random.default_rng(0)
    one, two = (Albumentations("Rotate", p=1.0, limit=45) for _ in range(2))
    angles = [one(discs(), generator).to_original[0, 1], two(discs(), generator).to_original[0, 1]]
    assert abs(angles[0] - angles[1]) > 1e-3


def test_probability() -> None:
    transform = Albumentations("HorizontalFlip", p=0.25)
    sample, generator = discs(), np.random.default_rng(0)
    changed = sum(transform(sample, generator) is not sample for _ in range(400))
    assert 70 <= changed <= 130
    assert Albumentations("MotionBlur").p == 0.5


def test_the_recipe_of_the_zoo_runs() -> None:
    config = load_config(str(zoo_folder() / "_base_" / "augmentation.yaml"))
    sample, generator = crowd(50), np.random.default_rng(0)
    transforms = [build(node, TRANSFORMS) for node in config["data.train.transforms"]]
    for _ in range(5):
        after = sample
        for transform in transforms:
            after = transform(after, generator)
        assert after.image.shape == (640, 640, 3)
        assert len(after.boxes) + after.dropped == 50


@pytest.mark.parametrize(
    ("node", "place", "says"),
    [
        ({"type": "albumentations.MotionBlurr"}, "t.type: ", "did you mean 'MotionBlur'"),
        (
            {"type": "albumentations.MotionBlur", "blur_limt": 7},
            "t.blur_limt: ",
            "did you mean 'blur_limit'",
        ),
        ({"type": "albumentations.MotionBlur", "p": 3.0}, "t.p: ", "less than or equal to 1"),
        (
            {"type": "albumentations.MotionBlur", "blur_limit": "a"},
            "t.blur_limit: ",
            "valid integer",
        ),
        ({"type": "albumentations.RandomCrop", "height": 5}, "t: ", "width of albumentations"),
        ({"type": "albumentations.MaskDropout"}, "t.type: ", "needs mask"),
        ({"type": "albumentations.FDA"}, "t.type: ", "needs fda_metadata"),
        ({"type": "albumentations.OverlayElements"}, "t.type: ", "needs overlay_metadata"),
        ({"type": "albumentations.CoarseDropout3D"}, "t.type: ", "no transform"),
        ({"type": "albumentations.Affine", "border_mode": 4}, "t.border_mode: ", "a second time"),
        ({"type": "albumentations.CropAndPad"}, "t", "refuses its arguments"),
    ],
)
def test_mistakes_are_named(node: dict[str, Any], place: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(node, TRANSFORMS, path="t")
    assert any(one.startswith(place) and says in one for one in error.value.problems), error.value


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("Normalize", {}, "does not give 8-bit RGB"),
        ("RandomCrop", {"height": 999, "width": 999}, "fails on image discs of 320 x 240 pixels"),
    ],
)
def test_what_does_not_fit_a_sample(name: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Albumentations(name, p=1.0, **arguments)(discs(), np.random.default_rng(0))
