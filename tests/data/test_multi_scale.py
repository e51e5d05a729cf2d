"""Batches of another side at each step."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from facezoo.config.config import load_config
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.loading.loader import train_stream
from facezoo.data.loading.sampler import TrainPlan, side_of_step
from facezoo.data.transforms import Flip, SquareCrop, Transform
from facezoo.data.transforms.transform import scaled_to_side
from facezoo.errors import ConfigError
from facezoo.structures import Batch, Sample, Targets

DATASET = SyntheticFaces(0, 11, 96, (8, 40))
TRANSFORMS = [SquareCrop(64), Flip()]
SIDES = [32, 64, 160]


def take(count: int, **arguments: object) -> list[Batch]:
    given = {"dataset": DATASET, "transforms": TRANSFORMS, "batch_size": 4, "seed": 3}
    return list(itertools.islice(train_stream(**(given | arguments)), count))  # type: ignore[arg-type]


def assert_same(one: list[Batch], two: list[Batch]) -> None:
    for a, b in zip(one, two, strict=True):
        assert a.ids == b.ids
        assert torch.equal(a.images, b.images) and torch.equal(a.maps, b.maps)
        for name in Targets.__dataclass_fields__:
            assert torch.equal(getattr(a.targets, name), getattr(b.targets, name)), name


def test_each_step_has_one_of_the_sides_and_what_it_shows_is_scaled() -> None:
    plain, scaled = take(12), take(12, sides=SIDES)
    assert {batch.images.shape[-1] for batch in scaled} == set(SIDES)
    for before, after in zip(plain, scaled, strict=True):
        side = after.images.shape[-1]
        factor = side / 64
        assert after.ids == before.ids and after.dropped == before.dropped
        assert after.images.shape == (4, 3, side, side) and after.images.dtype == torch.uint8
        torch.testing.assert_close(after.targets.boxes, before.targets.boxes * factor)
        torch.testing.assert_close(after.targets.landmarks, before.targets.landmarks * factor)
        for name in ("valid", "ignore", "labels", "landmarks_valid"):
            assert torch.equal(getattr(after.targets, name), getattr(before.targets, name))
        corner = torch.tensor([side, side, 1.0], dtype=torch.float64)
        before_corner = torch.tensor([64, 64, 1.0], dtype=torch.float64)
        torch.testing.assert_close(after.maps @ corner, before.maps @ before_corner)


def test_a_step_of_the_side_of_the_transforms_is_what_it_was() -> None:
    assert_same(take(3, sides=[64]), take(3))


def test_the_sides_are_a_function_of_seed_and_step() -> None:
    sides = [side_of_step(3, step, SIDES) for step in range(300)]
    assert [batch.images.shape[-1] for batch in take(4, sides=SIDES)] == sides[:4]
    assert [side_of_step(3, step, SIDES) for step in reversed(range(300))] == sides[::-1]
    assert min(sides.count(side) for side in SIDES) > 60
    assert [side_of_step(4, step, SIDES) for step in range(300)] != sides


def test_a_resumed_stream_goes_on_with_its_sides() -> None:
    assert_same(take(9, sides=SIDES)[5:], take(4, sides=SIDES, start_step=5))


def test_the_other_random_streams_are_those_of_before() -> None:
    draws = [
        TrainPlan(9, 1, 7).generator(position).integers(1000, size=2).tolist()
        for position in (0, 1)
    ]
    key = [np.random.SeedSequence(7, spawn_key=(1, position)) for position in (0, 1)]
    expected = [np.random.Generator(np.random.Philox(one)).integers(1000, size=2) for one in key]
    assert draws == [one.tolist() for one in expected]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize(("workers", "method"), [(1, None), (4, None), (1, "spawn")])
def test_workers_make_no_difference(workers: int, method: str | None) -> None:
    expected = take(6, sides=SIDES)
    assert_same(take(6, sides=SIDES, workers=workers, start_method=method), expected)


def square(image: np.ndarray) -> Sample:
    box = np.array([[0, 0, 64, 64]], np.float32)
    landmarks = np.full((1, 5, 2), np.nan, np.float32)
    landmarks[0, 0] = 32, 16
    return Sample(image, box, landmarks, np.zeros(1, bool), np.zeros(1, np.int64), "square")


def test_down_is_the_mean_of_an_area_and_up_lies_between_neighbours() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[::4, ::4] = 160  # bilinear would see all of it or nothing
    down = scaled_to_side(square(image), 16)
    assert down.image.shape == (16, 16, 3) and (down.image == 10).all()
    assert down.boxes.tolist() == [[0, 0, 16, 16]] and down.landmarks[0, 0].tolist() == [8, 4]
    assert np.isnan(down.landmarks[0, 1:]).all()
    image[:, :32], image[:, 32:] = 0, 200
    up = scaled_to_side(square(image), 128)
    assert sorted(set(up.image[0, :, 0].tolist())) == [0, 50, 150, 200]
    assert up.boxes.tolist() == [[0, 0, 128, 128]]
    assert up.to_original.tolist() == [[0.5, 0, 0], [0, 0.5, 0]]


class Low(Transform):
    """Cuts the lower half off."""

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        return replace(sample, image=sample.image[:48])


def test_what_is_no_square_is_not_squeezed() -> None:
    with pytest.raises(ConfigError, match=r"^data\.multi_scale scales squares, .* 96 x 48 pixels"):
        take(1, transforms=[Low()], sides=[64])


@pytest.mark.parametrize("sides", [[], [0], [-32], [64, 100]])
def test_sides_that_cannot_be(sides: list[int]) -> None:
    says = r"data\.multi_scale is \[.*\]; give sides that are multiples of 32"
    with pytest.raises(ConfigError, match=says):
        take(1, sides=sides)
    with pytest.raises(ConfigError, match=says + r".* \(command line\)"):
        load_config("retinaface_r50", [f"data.multi_scale={sides}"])


@pytest.mark.parametrize("value", ["640", "[256.0]", "['256']"])
def test_a_value_of_another_kind_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.multi_scale: takes list\[int\] \| null"):
        load_config("retinaface_r50", [f"data.multi_scale={value}"])


def test_a_config_says_its_sides_where_it_names_none_too() -> None:
    assert load_config("retinaface_r50").data["data"]["multi_scale"] is None
    config = load_config("retinaface_r50", ["data.multi_scale=[256,320]"])
    assert config["data.multi_scale"] == [256, 320]
    assert "multi_scale: null" in load_config("retinaface_r50").to_yaml()
