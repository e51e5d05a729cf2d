"""Partners: drawn by seed and position alone, and changed by the transforms before."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from facezoo.builder import build
from facezoo.config.config import load_config
from facezoo.data.build_data import build_batch_transforms
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.loading.loader import BatchAugmentation, train_stream, val_batches
from facezoo.data.loading.sampler import Share, TrainPlan, ValPlan, epoch_order
from facezoo.data.loading.samples import SampleMaker
from facezoo.data.transforms import (
    HSV,
    Flip,
    MixUp,
    Mosaic,
    PartnerTransform,
    RandomPerspective,
    SquareCrop,
    Transform,
)
from facezoo.registry import TRANSFORMS
from facezoo.structures import Batch, Sample, Targets


@cache
def drawn(index: int) -> Sample:
    return SyntheticFaces(0, 11, 64, (8, 40), max_faces=10)[index]


class Remembered(SyntheticFaces):
    """Draws each of its images once."""

    def __getitem__(self, index: int) -> Sample:
        return drawn(index)


DATASET = Remembered(0, 11, 64, (8, 40), max_faces=10)
RECIPE: list[Transform] = [
    Mosaic(96, p=0.8, until=2),
    RandomPerspective(48, 10, min_size=3, small="drop"),
    MixUp(p=0.5, until=2),
    HSV(),
    Flip(),
]


def take(count: int, **arguments: object) -> list[Batch]:
    given = {"dataset": DATASET, "transforms": RECIPE, "batch_size": 4, "seed": 3}
    return list(itertools.islice(train_stream(**(given | arguments)), count))  # type: ignore[arg-type]


def assert_same(one: Batch, two: Batch) -> None:
    assert one.ids == two.ids and one.dropped == two.dropped
    assert torch.equal(one.images, two.images) and torch.equal(one.maps, two.maps)
    for name in Targets.__dataclass_fields__:
        assert torch.equal(getattr(one.targets, name), getattr(two.targets, name)), name


def test_a_stream_goes_on_at_any_step() -> None:
    whole = take(8)
    for start in (1, 5):
        for one, two in zip(whole[start:], take(8 - start, start_step=start), strict=True):
            assert_same(one, two)


def test_ranks_together_take_what_one_process_does() -> None:
    whole = take(4)
    parts = [take(4, share=Share(rank, 2)) for rank in range(2)]
    for step, batch in enumerate(whole):
        images = torch.cat([part[step].images for part in parts])
        assert torch.equal(images, batch.images)
        assert sum(part[step].dropped for part in parts) == batch.dropped
        faces = sum(int(part[step].targets.valid.sum()) for part in parts)
        assert faces == int(batch.targets.valid.sum())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_make_no_difference(workers: int) -> None:
    for one, two in zip(take(7), take(7, workers=workers), strict=True):
        assert_same(one, two)


@pytest.mark.slow
def test_spawned_workers_make_no_difference() -> None:
    # A new process finds no class of a test's own.
    dataset = SyntheticFaces(0, 11, 64, (8, 40), max_faces=10)
    spawned = take(3, dataset=dataset, workers=2, start_method="spawn")
    for one, two in zip(take(3), spawned, strict=True):
        assert_same(one, two)


def test_the_streams_of_earlier_runs_are_what_they_were() -> None:
    assert epoch_order(7, 2, 8).tolist() == [5, 2, 4, 3, 6, 0, 1, 7]
    draws = [TrainPlan(9, 1, 7).generator(position).integers(1000) for position in range(5)]
    assert draws == [322, 992, 943, 553, 522]
    evaluated = [ValPlan(9, 2).generator(index).integers(1000) for index in range(3)]
    assert evaluated == [312, 740, 423]


class Mark(Transform):
    """Marks a sample that went through it."""

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        return replace(sample, path=sample.path + "+")


class Chain(PartnerTransform):
    """Keeps the names and marks of what it joins."""

    partners = 2

    def __init__(self, p: float = 1.0, until: int | None = None) -> None:
        super().__init__(p, until)

    def join(
        self, sample: Sample, partners: Sequence[Sample], generator: np.random.Generator
    ) -> Sample:
        assert len(partners) == self.partners
        names = ", ".join(f"{one.image_id}{one.path}" for one in (sample, *partners))
        return replace(sample, image_id=f"[{names}]", path="")


def made(position: int, *transforms: Transform, seed: int = 0) -> Sample:
    plan = TrainPlan(len(DATASET), 4, seed)
    return SampleMaker(DATASET, transforms, plan)(position, [])


def test_partners_went_through_the_transforms_before_and_no_others() -> None:
    names = made(5, Mark(), Chain(), Mark()).image_id.strip("[]").split(", ")
    assert len(names) == 3
    assert all(name.endswith(".jpg+") for name in names)


def test_a_partner_has_partners_of_its_own() -> None:
    nested = made(5, Chain(), Chain()).image_id
    assert nested.count("[") == 4 and nested.count(".jpg") == 9
    one, two, three = nested[1:-1].split("], ")
    assert len({one, two, three}) == 3


def test_partners_are_drawn_from_all_images_and_anew_at_each_position() -> None:
    seen = [made(position, Chain()).image_id.strip("[]").split(", ") for position in range(300)]
    partners = [name for names in seen for name in names[1:]]
    counts = [partners.count(DATASET.image_id(index)) for index in range(len(DATASET))]
    assert min(counts) > 25  # of 600 / 11 expected
    assert len({tuple(names[1:]) for names in seen}) > 80  # of 121 pairs
    assert sum(one == two for _, one, two in seen) < 60


def test_no_two_partners_share_a_stream() -> None:
    plan = TrainPlan(11, 4, 0)
    paths = [(), (0, 0), (0, 1), (1, 0), (0, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 0, 1)]
    draws = {
        plan.partner_generator(at, path).random() for at in range(50) for path in paths if path
    }
    draws |= {plan.generator(at).random() for at in range(50)}
    draws |= {ValPlan(50, 2).partner_generator(at, (0, 0)).random() for at in range(50)}
    assert len(draws) == 50 * 9


def test_the_epoch_says_until_when_samples_are_joined() -> None:
    length = len(DATASET)
    joined = [made(at, Chain(until=2)).image_id.startswith("[") for at in range(4 * length)]
    assert joined == [True] * (2 * length) + [False] * (2 * length)


def test_one_that_is_off_leaves_the_sample_as_it_is() -> None:
    plan = TrainPlan(len(DATASET), 4, 0)
    off = SampleMaker(DATASET, (Mosaic(64, until=0), MixUp(until=0)), plan)(3, [])
    np.testing.assert_array_equal(off.image, DATASET[next(plan.indices(3))].image)


def test_a_partner_is_read_only_where_one_is_wanted() -> None:
    class Counting(SyntheticFaces):
        read = 0

        def __getitem__(self, index: int) -> Sample:
            self.read += 1
            return super().__getitem__(index)

    dataset = Counting(0, 11, 64, (8, 40))
    maker = SampleMaker(dataset, (Chain(p=0.5),), TrainPlan(11, 4, 0))
    for position in range(40):
        before = dataset.read
        joined = maker(position, []).image_id.startswith("[")
        assert dataset.read - before == (3 if joined else 1)


def test_what_is_dropped_of_any_of_them_is_counted() -> None:
    plan = TrainPlan(len(DATASET), 4, 0)
    transforms = (SquareCrop(64), Mosaic(64), MixUp(p=1.0))
    for position in range(10):
        sample = SampleMaker(DATASET, transforms, plan)(position, [])
        faces = len(sample.boxes) + sample.dropped
        generator = plan.generator(position)
        generator.random()
        indices = [next(plan.indices(position))]
        indices += [
            int(plan.partner_generator(position, path).integers(len(DATASET)))
            for path in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 0, 1, 0), (2, 0, 1, 1), (2, 0, 1, 2)]
        ]
        assert faces == sum(len(DATASET[index].boxes) for index in indices)


def test_an_evaluation_draws_the_same_partners_each_time() -> None:
    transforms = [Mosaic(64), Flip()]
    one, two = (list(val_batches(DATASET, transforms, 4)) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        assert_same(first, second)


def test_the_recipes_of_the_docs_run(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "augmentation.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    recipes = []
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.yaml"
        file.write_text("_BASE_: quickstart\n" + block)
        config = load_config(file)
        recipes += [config] if "transforms:" in block else []
    assert len(blocks) == 6 and len(recipes) == 4
    for config in recipes:
        transforms = [build(node, TRANSFORMS) for node in config["data.train.transforms"]]
        (batch,) = take(1, transforms=transforms)
        plan = TrainPlan(8, 4, 3)
        batch = BatchAugmentation(tuple(build_batch_transforms(config)), plan)(batch, 0)
        assert batch.images.shape == (4, 3, 640, 640)
