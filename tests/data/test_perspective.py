"""``RandomPerspective`` against the pixels, and against ellipses of many points."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.data.transforms import RandomPerspective
from facezoo.data.transforms.perspective import ellipse_boxes
from facezoo.errors import ConfigError
from facezoo.structures import Sample

HEIGHT, WIDTH, SIZE = 180, 240, 200
WILD = {"degrees": 180, "translate": 0.2, "scale": (0.6, 1.6), "shear": 20, "perspective": 0.2}
BLACK = (0, 0, 0)


def face(box: tuple[float, float, float, float], landmarks: np.ndarray) -> Sample:
    return Sample(
        image=np.zeros((HEIGHT, WIDTH, 3), np.uint8),
        boxes=np.array([box], np.float32),
        landmarks=landmarks[None].astype(np.float32),
        ignore=np.zeros(1, bool),
        labels=np.zeros(1, np.int64),
        image_id="face",
    )


def crowd(seed: int, count: int = 150) -> Sample:
    """Faces all over a photograph, some of them across its border."""
    generator = np.random.default_rng(seed)
    sides = generator.uniform(2, 40, (count, 2))
    centres = generator.uniform(0, 1, (count, 2)) * (WIDTH, HEIGHT)
    landmarks = centres[:, None] + sides[:, None] * generator.uniform(-0.5, 0.5, (count, 5, 2))
    landmarks[generator.random((count, 5)) < 0.2] = np.nan
    return Sample(
        image=generator.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8),
        boxes=np.hstack([centres - sides / 2, centres + sides / 2]).astype(np.float32),
        landmarks=landmarks.astype(np.float32),
        ignore=generator.random(count) < 0.3,
        labels=np.arange(count),
        image_id="crowd",
        attributes=np.zeros((count, 6), np.int8),
        dropped=2,
    )


def with_blob(sample: Sample, point: np.ndarray) -> Sample:
    """The sample with a small soft dot at a point."""
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    distance = np.hypot(columns - point[0], rows - point[1])
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[...] = (255 * np.clip(1 - distance / 5, 0, 1))[..., None]
    return replace(sample, image=image)


def centroid(image: np.ndarray) -> np.ndarray:
    weights = image[..., 0].astype(np.float64)
    rows, columns = np.indices(weights.shape) + 0.5
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


def moved(sample: Sample, transform: RandomPerspective, seed: int) -> Sample:
    return transform(sample, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(25))
def test_landmarks_are_where_their_dots_went(seed: int) -> None:
    points = np.random.default_rng(seed).uniform((70, 50), (170, 130), (5, 2))
    sample = face((60, 40, 180, 140), points)
    transform = RandomPerspective(SIZE, **WILD, value=BLACK)
    for index, point in enumerate(sample.landmarks[0]):
        after = moved(with_blob(sample, point), transform, seed)
        margin = np.abs(after.landmarks[0, index] - SIZE / 2).max()
        if margin < SIZE / 2 - 12:  # all of the dot is in view
            np.testing.assert_allclose(after.landmarks[0, index], centroid(after.image), atol=1)


@pytest.mark.parametrize("seed", range(25))
def test_a_box_holds_the_ellipse_that_was_drawn_in_it(seed: int) -> None:
    sample = face((90, 50, 150, 130), np.full((5, 2), np.nan))
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    inside = ((columns - 120) / 30) ** 2 + ((rows - 90) / 40) ** 2 <= 1
    sample.image[inside] = 255
    after = moved(sample, RandomPerspective(SIZE, **WILD, value=BLACK), seed)
    shown = after.image[..., 0] > 127
    if len(after.boxes) and (after.boxes > 2).all() and (after.boxes < SIZE - 2).all():
        lit_columns, lit_rows = np.flatnonzero(shown.any(0)), np.flatnonzero(shown.any(1))
        found = [lit_columns[0], lit_rows[0], lit_columns[-1] + 1, lit_rows[-1] + 1]
        np.testing.assert_allclose(after.boxes[0], found, atol=1)


def test_most_of_the_seeds_above_have_something_to_compare() -> None:
    sample = face((90, 50, 150, 130), np.full((5, 2), np.nan))
    transform = RandomPerspective(SIZE, **WILD, value=BLACK)
    whole = [
        len(after.boxes) and (after.boxes > 2).all() and (after.boxes < SIZE - 2).all()
        for after in (moved(sample, transform, seed) for seed in range(25))
    ]
    assert sum(map(bool, whole)) >= 10


@given(
    st.tuples(*[st.floats(-0.5, 0.5)] * 4),
    st.tuples(*[st.floats(-0.002, 0.002)] * 2),
    st.tuples(st.floats(0, 150), st.floats(0, 150), st.floats(1, 80), st.floats(1, 80)),
)
@settings(deadline=None)
def test_the_box_of_a_moved_ellipse_is_that_of_its_points(
    linear: tuple[float, ...], tilt: tuple[float, float], box: tuple[float, ...]
) -> None:
    there = np.array([[1 + linear[0], linear[1], 5], [linear[2], 1 + linear[3], -7], [*tilt, 1]])
    x, y, width, height = box
    boxes = np.array([[x, y, x + width, y + height]], np.float32)
    angles = np.linspace(0, 2 * np.pi, 4000, endpoint=False)
    centre, half = (boxes[0, :2] + boxes[0, 2:]) / 2.0, (boxes[0, 2:] - boxes[0, :2]) / 2.0
    points = centre + half * np.column_stack([np.cos(angles), np.sin(angles)])
    image = np.column_stack([points, np.ones(len(points))]) @ there.T
    if image[:, 2].min() < 0.1:  # at the horizon
        return
    image = image[:, :2] / image[:, 2:]
    expected = np.concatenate([image.min(0), image.max(0)])
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(ellipse_boxes(boxes, there)[0], expected, atol=1e-4 * scale)


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("small", ["ignore", "drop"])
def test_faces_are_kept_as_a_definition_face_by_face_says(seed: int, small: str) -> None:
    sample = crowd(seed)
    transform = RandomPerspective(
        SIZE, 40, 0.2, (0.5, 1.5), 10, min_size=7, min_visible=0.6, small=small
    )
    after = moved(sample, transform, seed)
    there = np.linalg.inv(np.vstack([after.to_original, [0, 0, 1]]))[:2]
    angles = np.linspace(0, 2 * np.pi, 4000)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    kept, ignored = [], []
    for index, (x1, y1, x2, y2) in enumerate(sample.boxes.astype(np.float64)):
        points = np.array([x1 + x2, y1 + y2]) / 2 + circle * ((x2 - x1) / 2, (y2 - y1) / 2)
        points = points @ there[:, :2].T + there[:, 2]
        low, high = points.min(0), points.max(0)
        sides = high - low
        cut = np.clip(high, 0, SIZE) - np.clip(low, 0, SIZE)
        centre = (low + high) / 2
        is_small = sides.min() < 7 or cut.prod() < 0.6 * sides.prod()
        if (centre < 0).any() or (centre >= SIZE).any() or (is_small and small == "drop"):
            continue
        kept.append(index)
        ignored.append(bool(sample.ignore[index]) or is_small)
        box = np.clip(np.concatenate([low, high]), 0, SIZE)
        np.testing.assert_allclose(after.boxes[len(kept) - 1], box, atol=2e-2)
    assert after.labels.tolist() == kept
    assert after.ignore.tolist() == ignored
    assert after.dropped == 2 + len(sample.boxes) - len(kept)
    expected = sample.landmarks[kept].astype(np.float64) @ there[:, :2].T + there[:, 2]
    expected[((expected < 0) | (expected >= SIZE)).any(-1)] = np.nan
    np.testing.assert_allclose(after.landmarks, expected, atol=1e-2)


@pytest.mark.parametrize("perspective", [0.0, 0.25])
def test_no_draw_is_a_mirror_image(perspective: float) -> None:
    points = np.array([[105, 75], [135, 75], [120, 90], [110, 105], [130, 105]], np.float64)
    sample = face((90, 60, 150, 120), points)
    transform = RandomPerspective(400, 180, 0.0, (0.5, 1.5), 44, perspective, value=BLACK)
    for seed in range(300):
        left, right, _, mouth, _ = moved(sample, transform, seed).landmarks[0]
        across, down = right - left, mouth - left
        assert across[0] * down[1] - across[1] * down[0] > 0


@pytest.mark.parametrize("seed", range(5))
def test_with_perspective_the_map_is_affine_and_near(seed: int) -> None:
    points = np.random.default_rng(seed).uniform((60, 45), (180, 135), (5, 2))
    sample = face((50, 40, 190, 140), points)
    after = moved(sample, RandomPerspective(2000, 30, 0.0, perspective=0.05), seed)
    back = after.landmarks[0] @ after.to_original[:, :2].T + after.to_original[:, 2]
    np.testing.assert_allclose(back, points, atol=6)


def test_where_nothing_is_to_change_nothing_does() -> None:
    sample = crowd(0, 0)
    sample = replace(sample, image=sample.image[:, :HEIGHT])
    transform = RandomPerspective(HEIGHT, 0, 0, (1, 1))
    after = moved(sample, transform, 0)
    np.testing.assert_array_equal(after.image, sample.image)
    np.testing.assert_array_equal(after.to_original, np.eye(2, 3))


def test_the_middle_is_shown_at_its_own_scale() -> None:
    sample = crowd(0)
    after = moved(sample, RandomPerspective(100, 0, 0, (1, 1)), 0)
    np.testing.assert_array_equal(after.image, sample.image[40:140, 70:170])
    np.testing.assert_allclose(after.to_original, [[1, 0, 70], [0, 1, 40]], atol=1e-9)
    large = moved(sample, RandomPerspective(300, 0, 0, (1, 1), value=(1, 2, 3)), 0)
    np.testing.assert_array_equal(large.image[60:240, 30:270], sample.image)
    assert large.image[0, 0].tolist() == [1, 2, 3] and large.dropped == 2
    uncut = (sample.boxes > 0).all(1) & (sample.boxes < (WIDTH, HEIGHT) * 2).all(1)
    expected = sample.boxes[uncut] + (30, 60, 30, 60)
    np.testing.assert_allclose(large.boxes[uncut], expected, atol=1e-3)


def test_it_keeps_no_state_and_can_be_pickled() -> None:
    sample, transform = crowd(1), RandomPerspective(SIZE, **WILD)
    before = sample.image.copy(), sample.boxes.copy(), sample.landmarks.copy()
    first = moved(sample, transform, 3)
    moved(sample, transform, 4)
    again = moved(sample, pickle.loads(pickle.dumps(transform)), 3)  # noqa: S301
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)
    for one, other in zip(before, (sample.image, sample.boxes, sample.landmarks), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(first.image, moved(sample, transform, 4).image)


@pytest.mark.parametrize("count", [0, 2000])
def test_no_faces_and_many(count: int) -> None:
    after = moved(crowd(0, count), RandomPerspective(SIZE, **WILD), 0)
    assert len(after.boxes) + after.dropped == count + 2
    assert after.boxes.dtype == after.landmarks.dtype == np.float32
    assert after.image.dtype == np.uint8 and after.image.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"size": 0}, "size of RandomPerspective is 0"),
        ({"degrees": 181}, "degrees of RandomPerspective is 181"),
        ({"translate": -0.1}, "translate of RandomPerspective is -0.1"),
        ({"scale": (0, 1)}, "scale of RandomPerspective is [0, 1]"),
        ({"shear": 45}, "shear of RandomPerspective is 45; give a number from 0 to 44."),
        ({"perspective": 0.3}, "perspective of RandomPerspective is 0.3"),
        ({"min_size": -1}, "min_size of RandomPerspective is -1"),
        ({"min_visible": 1.1}, "min_visible of RandomPerspective is 1.1"),
        ({"small": "keep"}, "small of RandomPerspective is 'keep'"),
        ({"value": (0, 0, 256)}, "value of RandomPerspective is [0, 0, 256]"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], start: str) -> None:
    with pytest.raises(ConfigError) as error:
        RandomPerspective(**({"size": 8} | arguments))  # type: ignore[arg-type]
    assert str(error.value).startswith(start)
