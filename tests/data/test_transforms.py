"""Each transform against the pixels themselves: a blob drawn at a point is where the point went."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facezoo.data.transforms import Flip, Letterbox, SquareCrop, Transform
from facezoo.errors import ConfigError
from facezoo.structures import Sample

HEIGHT, WIDTH = 240, 320


def blobs(centre: tuple[float, float] = (160, 120), spread: float = 30) -> Sample:
    """A black image with one face, whose landmarks are five discs of their own colours."""
    x, y = centre
    offsets = np.array([[-1, -1], [1, -0.8], [0.2, 0], [-0.7, 1], [0.8, 1.1]]) * spread
    landmarks = np.round(offsets + centre).astype(np.float32) + 0.5
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for index, point in enumerate(landmarks):
        paint_disc(image, point, index)
    box = [x - 2 * spread, y - 2 * spread, x + 2 * spread, y + 2 * spread]
    return Sample(
        image=image,
        boxes=np.array([box], np.float32),
        landmarks=landmarks[None],
        ignore=np.zeros(1, bool),
        labels=np.zeros(1, np.int64),
        image_id="blobs",
        attributes=np.zeros((1, 6), np.int8),
    )


def paint_disc(image: np.ndarray, point: np.ndarray, index: int) -> None:
    """Paints landmark ``index`` in a hue of its own: red, green, blue, yellow, cyan."""
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]
    cv2.circle(image, tuple(int(one) for one in point), 5, colours[index], -1)


def found(image: np.ndarray) -> np.ndarray:
    """Returns where the five discs are, as weighted means of pixel middles, or NaN."""
    red, green, blue = (image[..., one].astype(np.float64) for one in range(3))
    shares = [
        np.clip(red - green - blue, 0, None),
        np.clip(green - red - blue, 0, None),
        np.clip(blue - red - green, 0, None),
        np.clip(np.minimum(red, green) - blue, 0, None),
        np.clip(np.minimum(green, blue) - red, 0, None),
    ]
    points = []
    for share in shares:
        share = np.where(share > 60, share, 0)
        rows, columns = np.indices(share.shape) + 0.5
        total = share.sum()
        points.append(
            [(share * columns).sum() / total, (share * rows).sum() / total]
            if total
            else [np.nan, np.nan]
        )
    return np.array(points)


def apply(map_2x3: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ map_2x3[:, :2].T + map_2x3[:, 2]


def assert_follows(before: Sample, transform: Transform, seed: int, mirrored: bool) -> Sample:
    """Checks landmarks and map of a transform against the pixels; returns what it made."""
    after = transform(before, np.random.default_rng(seed))
    assert after.image.flags["C_CONTIGUOUS"]
    order = [1, 0, 2, 4, 3] if mirrored else [0, 1, 2, 3, 4]
    np.testing.assert_allclose(after.landmarks[0], found(after.image)[order], atol=0.6)
    back = apply(after.to_original, after.landmarks[0].astype(np.float64))
    np.testing.assert_allclose(back, before.landmarks[0][order], atol=0.5)
    assert before.image.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(before.to_original, np.eye(2, 3))
    return after


def test_flip() -> None:
    after = assert_follows(blobs((100, 120)), Flip(p=1.0), 0, mirrored=True)
    np.testing.assert_array_equal(after.boxes, [[160, 60, 280, 180]])


def test_flip_twice_is_nothing_and_never_is_never() -> None:
    sample, generator = blobs((90, 100)), np.random.default_rng(0)
    twice = Flip(p=1.0)(Flip(p=1.0)(sample, generator), generator)
    np.testing.assert_array_equal(twice.image, sample.image)
    np.testing.assert_array_equal(twice.boxes, sample.boxes)
    np.testing.assert_array_equal(twice.landmarks, sample.landmarks)
    np.testing.assert_array_equal(twice.to_original, sample.to_original)
    assert Flip(p=0.0)(sample, generator) is sample


def test_flip_keeps_unknown_landmarks_unknown() -> None:
    sample = blobs()
    landmarks = sample.landmarks.copy()
    landmarks[0, 0] = np.nan
    after = Flip(p=1.0)(replace(sample, landmarks=landmarks), np.random.default_rng(0))
    assert np.isnan(after.landmarks[0]).all(-1).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("size", [161, 320, 500])
@pytest.mark.parametrize("centred", [False, True])
def test_letterbox(size: int, centred: bool) -> None:
    sample = blobs()
    after = assert_follows(sample, Letterbox(size, (0, 0, 0), centred), 0, mirrored=False)
    assert after.image.shape == (size, size, 3)
    scale = size / WIDTH
    top = (size - round(HEIGHT * scale)) // 2 if centred else 0
    expected = sample.boxes * scale + [[0, top, 0, top]]
    np.testing.assert_allclose(after.boxes, expected, atol=0.6)


def test_letterbox_pads_with_its_colour() -> None:
    image = Letterbox(64, (1, 2, 3))(blobs(), np.random.default_rng(0)).image
    assert image[-1, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("ratios", [(0.8, 1.0), (0.9, 1.8)])
def test_square_crop(seed: int, ratios: tuple[float, float]) -> None:
    sample = blobs((150, 110), 15)
    crop = SquareCrop(200, ratios, value=(0, 0, 0))
    after = crop(sample, np.random.default_rng(seed))
    assert after.image.shape == (200, 200, 3)
    if np.isnan(after.landmarks).any():
        assert (after.boxes >= 0).all() and (after.boxes <= 200).all()
        return
    assert_follows(sample, crop, seed, mirrored=False)
    corners = apply(after.to_original, after.boxes.reshape(2, 2).astype(np.float64)).ravel()
    inside = ((after.boxes > 0) & (after.boxes < 200))[0]
    np.testing.assert_allclose(corners[inside], sample.boxes[0][inside], atol=1e-3)


def crowd(count: int, seed: int = 0, size: tuple[int, int] = (480, 640)) -> Sample:
    generator = np.random.default_rng(seed)
    height, width = size
    sides = generator.uniform(4, 30, (count, 2))
    corners = generator.uniform(0, 1, (count, 2)) * ([width, height] - sides)
    boxes = np.hstack([corners, corners + sides]).astype(np.float32)
    landmarks = corners[:, None] + sides[:, None] * generator.uniform(0, 1, (count, 5, 2))
    landmarks[generator.random((count, 5)) < 0.2] = np.nan
    return Sample(
        image=generator.integers(0, 255, (height, width, 3), np.uint8),
        boxes=boxes,
        landmarks=landmarks.astype(np.float32),
        ignore=generator.random(count) < 0.3,
        labels=np.arange(count),
        image_id=f"crowd {seed}",
        attributes=np.zeros((count, 6), np.int8),
    )


@pytest.mark.parametrize("seed", range(10))
def test_square_crop_keeps_exactly_the_faces_whose_centre_it_shows(seed: int) -> None:
    sample = crowd(200, seed)
    after = SquareCrop(128, (0.2, 1.4))(sample, np.random.default_rng(seed))
    inverse = np.linalg.inv(np.vstack([after.to_original, [0, 0, 1]]))[:2]
    centres = apply(inverse, (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2.0)
    shown = ((centres >= 0) & (centres < 128)).all(1)
    assert after.labels.tolist() == np.flatnonzero(shown).tolist()
    assert after.dropped == 200 - shown.sum()
    expected = np.clip(
        np.hstack([apply(inverse, sample.boxes[:, i : i + 2]) for i in (0, 2)]), 0, 128
    )
    np.testing.assert_allclose(after.boxes, expected[shown], atol=1e-3)
    landmarks = np.stack([apply(inverse, one) for one in sample.landmarks[shown].astype(float)])
    landmarks[((landmarks < 0) | (landmarks >= 128)).any(-1)] = np.nan
    np.testing.assert_allclose(after.landmarks, landmarks, atol=1e-3)


def test_square_crop_looks_for_a_face_that_teaches() -> None:
    sample = crowd(2, size=(400, 400))
    boxes = np.array([[95, 95, 105, 105], [250, 250, 290, 290]], np.float32)
    sample = replace(sample, boxes=boxes, ignore=np.array([False, True]))
    for seed in range(20):
        after = SquareCrop(64, (0.3, 0.3), tries=200)(sample, np.random.default_rng(seed))
        assert 0 in after.labels


def test_square_crop_draws_its_choices_only() -> None:
    crop = SquareCrop(100, choices=[0.5, 1.0])
    scales = {
        round(float(crop(crowd(0), np.random.default_rng(seed)).to_original[0, 0]) * 100)
        for seed in range(20)
    }
    assert scales == {240, 480}


SCRFD = [0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]


def test_square_crop_covers_the_recipe_of_scrfd() -> None:
    sample, crop = crowd(300, size=(400, 500)), SquareCrop(64, choices=SCRFD, tries=250)
    counts = dict.fromkeys(SCRFD, 0)
    for seed in range(600):
        after = crop(sample, np.random.default_rng(seed))
        share = round(float(after.to_original[0, 0]) * 64 / 400, 6)
        counts[share] += 1
        left, top = after.to_original[:, 2]
        width = height = 400 * share
        if width > 500:  # the whole photograph is within the square
            assert left <= 0 and left + width >= 500
        if height > 400:
            assert top <= 0 and top + height >= 400
    assert min(counts.values()) > 30  # of 60 expected


@pytest.mark.parametrize("small", ["ignore", "drop"])
def test_square_crop_says_what_becomes_of_cut_faces(small: str) -> None:
    sample = crowd(2000, 1)
    crop = SquareCrop(128, (0.3, 0.5), small=small, min_visible=0.9)  # type: ignore[arg-type]
    after = crop(sample, np.random.default_rng(1))
    every = SquareCrop(128, (0.3, 0.5))(sample, np.random.default_rng(1))
    inverse = np.linalg.inv(np.vstack([every.to_original, [0, 0, 1]]))[:2]
    scale = inverse[0, 0]
    whole = (sample.boxes[every.labels, 2:] - sample.boxes[every.labels, :2]) * scale
    shares = (every.boxes[:, 2:] - every.boxes[:, :2]).prod(1) / whole.prod(1)
    assert (shares < 0.9).sum() >= 5
    if small == "ignore":
        assert after.labels.tolist() == every.labels.tolist()
        assert after.ignore.tolist() == (every.ignore | (shares < 0.9)).tolist()
    else:
        assert after.labels.tolist() == every.labels[shares >= 0.9].tolist()
    assert len(after.boxes) + after.dropped == 2000


@pytest.mark.parametrize("small", ["ignore", "drop"])
def test_square_crop_says_what_becomes_of_small_faces(small: str) -> None:
    sample = replace(crowd(2, size=(100, 100)), ignore=np.zeros(2, bool))
    sample = replace(sample, boxes=np.array([[10, 10, 14, 40], [50, 50, 80, 80]], np.float32))
    crop = SquareCrop(100, (1.0, 1.0), min_size=5, small=small)  # type: ignore[arg-type]
    after = crop(sample, np.random.default_rng(0))
    if small == "ignore":
        assert after.ignore.tolist() == [True, False] and after.dropped == 0
    else:
        assert after.labels.tolist() == [1] and after.dropped == 1


@pytest.mark.parametrize("transform", [Flip(1.0), Letterbox(64), SquareCrop(64)])
@pytest.mark.parametrize("count", [0, 2000])
def test_no_faces_and_a_crowd(transform: Transform, count: int) -> None:
    after = transform(crowd(count), np.random.default_rng(0))
    assert len(after.boxes) + after.dropped == count
    assert after.boxes.dtype == after.landmarks.dtype == np.float32
    assert after.image.dtype == np.uint8


@pytest.mark.parametrize(
    ("make", "start"),
    [
        (lambda: Flip(1.5), "p of Flip is 1.5"),
        (lambda: Letterbox(0), "size of Letterbox is 0"),
        (lambda: Letterbox(8, (0, 0, 256)), "value of Letterbox is [0, 0, 256]"),
        (lambda: SquareCrop(0), "size of SquareCrop is 0"),
        (lambda: SquareCrop(8, (0.0, 1.0)), "ratios of SquareCrop are [0.0, 1.0]"),
        (lambda: SquareCrop(8, (1.0, 0.5)), "ratios of SquareCrop are [1.0, 0.5]"),
        (lambda: SquareCrop(8, choices=[]), "choices of SquareCrop are []"),
        (lambda: SquareCrop(8, tries=0), "tries of SquareCrop are 0"),
        (lambda: SquareCrop(8, min_size=-1), "min_size of SquareCrop is -1"),
        (lambda: SquareCrop(8, min_visible=2), "min_visible of SquareCrop is 2"),
        (lambda: SquareCrop(8, small="keep"), "small of SquareCrop is 'keep'"),  # type: ignore[arg-type]
    ],
)
def test_arguments_out_of_range(make: object, start: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()  # type: ignore[operator]
    assert str(error.value).startswith(start)
