"""``Mosaic`` against the pixels: each photograph has a grey of its own."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from facezoo.data.transforms import Mosaic
from facezoo.errors import ConfigError
from facezoo.structures import Sample

SIZE = 160


def photograph(number: int, size: tuple[int, int], count: int, seed: int) -> Sample:
    """A grey photograph (H x W) with faces all over it, some of them across its border."""
    generator = np.random.default_rng([seed, number])
    height, width = size
    sides = generator.integers(2, 30, (count, 2))
    corners = np.rint(generator.uniform(-0.1, 1, (count, 2)) * (width, height))
    landmarks = corners[:, None] + sides[:, None] * generator.uniform(0, 1, (count, 5, 2))
    landmarks[generator.random((count, 5)) < 0.2] = np.nan
    return Sample(
        image=np.full((height, width, 3), 10 * (number + 1), np.uint8),
        boxes=np.hstack([corners, corners + sides]).astype(np.float32),
        landmarks=landmarks.astype(np.float32),
        ignore=generator.random(count) < 0.3,
        labels=np.arange(count) + 1000 * number,
        image_id=f"{number}.jpg",
        attributes=np.zeros((count, 6), np.int8),
        dropped=number,
    )


def four(seed: int, count: int = 60) -> list[Sample]:
    sizes = np.random.default_rng(seed).integers(60, 220, (4, 2)).tolist()
    return [photograph(number, tuple(sizes[number]), count, seed) for number in range(4)]


def join(samples: list[Sample], transform: Mosaic, seed: int) -> Sample:
    return transform.join(samples[0], samples[1:], np.random.default_rng(seed))


def parts(image: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Where each of the four greys is seen: x1, y1, x2, y2."""
    found = []
    for number in range(4):
        rows, columns = np.nonzero((image == 10 * (number + 1)).all(-1))
        box = int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
        assert len(rows) == (box[2] - box[0]) * (box[3] - box[1])
        found.append(box)
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("small", ["ignore", "drop"])
def test_faces_are_kept_as_a_definition_face_by_face_says(seed: int, small: str) -> None:
    samples = four(seed)
    transform = Mosaic(SIZE, min_size=6, min_visible=0.5, small=small)  # type: ignore[arg-type]
    after = join(samples, transform, seed)
    assert after.image.shape == (SIZE, SIZE, 3)
    shown = parts(after.image)
    centre_x, centre_y = shown[0][2:]
    kept, boxes, ignored, points = [], [], [], []
    for number, (sample, part) in enumerate(zip(samples, shown, strict=True)):
        height, width = sample.image.shape[:2]
        corner = (
            centre_x if number % 2 else centre_x - width,
            centre_y if number > 1 else centre_y - height,
        )
        low, high = np.array(part[:2], float), np.array(part[2:], float)
        for index in range(len(sample.boxes)):
            start, end = sample.boxes[index, :2] + corner, sample.boxes[index, 2:] + corner
            cut_start, cut_end = np.clip(start, low, high), np.clip(end, low, high)
            middle = (start + end) / 2
            share = (cut_end - cut_start).prod() / (end - start).prod()
            is_small = (end - start).min() < 6 or share < 0.5
            if (middle < low).any() or (middle >= high).any() or (is_small and small == "drop"):
                continue
            kept.append(int(sample.labels[index]))
            boxes.append([*cut_start, *cut_end])
            ignored.append(bool(sample.ignore[index]) or is_small)
            moved = sample.landmarks[index].astype(float) + corner
            moved[((moved < low) | (moved >= high)).any(-1)] = np.nan
            points.append(moved)
    assert after.labels.tolist() == kept
    assert after.ignore.tolist() == ignored
    np.testing.assert_array_equal(after.boxes, boxes)
    np.testing.assert_allclose(after.landmarks, points, atol=1e-3)
    assert after.dropped == 0 + 1 + 2 + 3 + 240 - len(kept)
    assert len(after.attributes) == len(kept)  # type: ignore[arg-type]


def test_landmarks_are_where_their_dots_went() -> None:
    compared = 0
    for seed in range(60):
        samples = [replace(one, image=np.zeros_like(one.image)) for one in four(seed, 1)]
        number = seed % 4
        samples[number] = replace(
            samples[number],
            landmarks=np.full((1, 5, 2), (30.5, 40.5), np.float32),
            boxes=np.array([[20, 30, 40, 50]], np.float32),
        )
        samples[number].image[38:43, 28:33] = 255
        after = join(samples, Mosaic(SIZE, value=(0, 0, 0)), seed)
        rows, columns = np.nonzero(after.image[..., 0])
        face = np.flatnonzero(after.labels == 1000 * number)
        if len(rows) == 25:  # all of the dot is in view
            found = np.array([columns.mean(), rows.mean()]) + 0.5
            np.testing.assert_allclose(after.landmarks[face[0], 0], found, atol=1e-3)
            compared += 1
        elif not len(rows):
            assert not len(face)
    assert compared >= 20


def test_the_centre_is_where_the_shares_say() -> None:
    large = [photograph(number, (SIZE, SIZE), 0, 0) for number in range(4)]
    places = np.array([parts(join(large, Mosaic(SIZE), seed).image)[0][2:] for seed in range(200)])
    assert places.min() >= 40 and places.max() <= 120
    assert places.min() < 45 and places.max() > 115
    assert np.ptp(places[:, 0] - places[:, 1]) > 50  # one draw for each axis
    fixed = join(large, Mosaic(SIZE, centre=(0.3, 0.3)), 0)
    assert parts(fixed.image)[0] == (0, 0, 48, 48)


def test_what_no_photograph_reaches_is_padded() -> None:
    small = [photograph(number, (10, 20), 0, 0) for number in range(4)]
    image = join(small, Mosaic(100, (0.5, 0.5), value=(1, 2, 3)), 0).image
    assert image[0, 0].tolist() == [1, 2, 3]
    assert (image != (1, 2, 3)).any(-1).sum() == 4 * 200
    assert parts(image)[3] == (50, 50, 70, 60)


@pytest.mark.parametrize("seed", range(5))
def test_the_map_is_that_of_the_sample_itself(seed: int) -> None:
    samples = four(seed)
    after = join(samples, Mosaic(SIZE), seed)
    own = after.labels < 1000
    back = after.landmarks[own].astype(float) @ after.to_original[:, :2].T
    back += after.to_original[:, 2]
    expected = samples[0].landmarks[after.labels[own]]
    known = np.isfinite(back)
    assert known.any()
    np.testing.assert_allclose(back[known], expected[known], atol=1e-3)
    assert after.image_id == "0.jpg"


@pytest.mark.parametrize("centre", [(0.0, 0.0), (1.0, 1.0)])
def test_a_centre_in_a_corner_shows_one_photograph(centre: tuple[float, float]) -> None:
    samples = [photograph(number, (SIZE, SIZE), 30, 0) for number in range(4)]
    after = join(samples, Mosaic(SIZE, centre), 0)
    shown = 3 if centre == (0.0, 0.0) else 0
    np.testing.assert_array_equal(after.image, samples[shown].image)
    assert set(after.labels // 1000) == {shown}


def test_attributes_are_kept_where_all_have_them() -> None:
    samples = four(0)
    samples[2] = replace(samples[2], attributes=None)
    assert join(samples, Mosaic(SIZE), 0).attributes is None


def test_it_keeps_no_state_and_can_be_pickled() -> None:
    samples, transform = four(1), Mosaic(SIZE)
    before = [one.boxes.copy() for one in samples]
    first = join(samples, transform, 3)
    join(samples, transform, 4)
    again = join(samples, pickle.loads(pickle.dumps(transform)), 3)  # noqa: S301
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    for one, boxes in zip(samples, before, strict=True):
        np.testing.assert_array_equal(one.boxes, boxes)
        assert (one.image == one.image[0, 0]).all()


def test_a_crowd() -> None:
    after = join(four(0, 500), Mosaic(SIZE), 0)
    assert len(after.boxes) + after.dropped == 2000 + 6
    assert after.boxes.dtype == after.landmarks.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"size": 0}, "size of Mosaic is 0"),
        ({"centre": (0.6, 0.4)}, "centre of Mosaic is [0.6, 0.4]"),
        ({"p": 1.5}, "p of Mosaic is 1.5"),
        ({"until": -1}, "until of Mosaic is -1"),
        ({"min_size": -1}, "min_size of Mosaic is -1"),
        ({"min_visible": 2}, "min_visible of Mosaic is 2"),
        ({"value": (0, 0, 256)}, "value of Mosaic is [0, 0, 256]"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], start: str) -> None:
    with pytest.raises(ConfigError) as error:
        Mosaic(**({"size": 8} | arguments))  # type: ignore[arg-type]
    assert str(error.value).startswith(start)


def test_without_partners_it_says_what_it_needs() -> None:
    with pytest.raises(ConfigError, match=r"^Mosaic needs 3 other samples: "):
        Mosaic(8)(four(0)[0], np.random.default_rng(0))
