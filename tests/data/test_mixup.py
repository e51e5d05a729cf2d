"""``MixUp`` against the blend that the two photographs themselves tell."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from facezoo.data.transforms import MixUp
from facezoo.errors import ConfigError
from facezoo.structures import Sample


def photograph(number: int, faces: int, size: tuple[int, int] = (40, 60)) -> Sample:
    generator = np.random.default_rng(number)
    image = generator.integers(0, 256, (*size, 3), np.uint8)
    image[0] = 250 * number  # tells the weight
    corners = generator.uniform(0, 30, (faces, 2))
    landmarks = generator.uniform(0, 30, (faces, 5, 2)).astype(np.float32)
    landmarks[:, 2] = np.nan
    return Sample(
        image=image,
        boxes=np.hstack([corners, corners + 9]).astype(np.float32),
        landmarks=landmarks,
        ignore=generator.random(faces) < 0.5,
        labels=np.arange(faces) + 10 * number,
        image_id=f"{number}.jpg",
        to_original=np.array([[2.0, 0, number], [0, 2, 5]]),
        dropped=3 + number,
    )


def blend(seed: int, alpha: float = 32.0) -> tuple[Sample, Sample, Sample]:
    one, two = photograph(0, 3), photograph(1, 5)
    return one, two, MixUp(alpha).join(one, [two], np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(10))
def test_every_pixel_is_blended_with_one_weight(seed: int) -> None:
    one, two, after = blend(seed)
    weight = 1 - after.image[0].mean() / 250
    expected = weight * one.image.astype(float) + (1 - weight) * two.image
    np.testing.assert_allclose(after.image, expected, atol=1.6)


def test_it_has_the_faces_of_both() -> None:
    one, two, after = blend(0)
    for name in ("boxes", "landmarks", "ignore", "labels"):
        both = np.concatenate([getattr(one, name), getattr(two, name)])
        np.testing.assert_array_equal(getattr(after, name), both)
    assert after.dropped == 3 + 4 and after.image_id == "0.jpg"
    np.testing.assert_array_equal(after.to_original, one.to_original)


def test_weights_are_spread_as_alpha_says() -> None:
    for alpha in (1.5, 32.0):
        weights = [1 - blend(seed, alpha)[2].image[0].mean() / 250 for seed in range(400)]
        # The deviation of Beta(a, a) is 1 / (2 sqrt(2 a + 1)).
        assert np.std(weights) == pytest.approx(0.5 / np.sqrt(2 * alpha + 1), rel=0.12)
        assert np.mean(weights) == pytest.approx(0.5, abs=0.05)


def test_photographs_of_two_sizes_are_refused() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^MixUp blends images of one size, but 0\.jpg has 60 x 40 pixels and 1\.jpg 20 x 30",
    ):
        MixUp().join(photograph(0, 1), [photograph(1, 1, (30, 20))], np.random.default_rng(0))


def test_no_faces_at_all() -> None:
    after = MixUp().join(photograph(0, 0), [photograph(1, 0)], np.random.default_rng(0))
    assert after.boxes.shape == (0, 4) and after.landmarks.shape == (0, 5, 2)


def test_it_keeps_no_state_and_can_be_pickled() -> None:
    one, two = photograph(0, 3), photograph(1, 5)
    before, transform = replace(one, image=one.image.copy()), MixUp()
    first = transform.join(one, [two], np.random.default_rng(1)).image
    transform.join(two, [one], np.random.default_rng(2))
    copy = pickle.loads(pickle.dumps(transform))  # noqa: S301
    again = copy.join(one, [two], np.random.default_rng(1)).image
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(one.image, before.image)


def test_it_is_wanted_with_its_probability_and_until_its_epoch() -> None:
    generator = np.random.default_rng(0)
    wanted = [MixUp(p=0.3).wants(7, generator) for _ in range(2000)]
    assert np.mean(wanted) == pytest.approx(0.3, abs=0.04)
    assert not any(MixUp(p=0.0).wants(0, generator) for _ in range(50))
    last = MixUp(p=1.0, until=2)
    assert [last.wants(epoch, generator) for epoch in range(4)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ({"alpha": 0}, "alpha of MixUp is 0"),
        ({"p": -0.1}, "p of MixUp is -0.1"),
        ({"until": -1}, "until of MixUp is -1; give a number of epochs, or null."),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], start: str) -> None:
    with pytest.raises(ConfigError) as error:
        MixUp(**arguments)  # type: ignore[arg-type]
    assert str(error.value).startswith(start)
