"""Changes of whole batches: right for each image, and the same in whatever batch it is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from facezoo.config.config import load_config
from facezoo.data.build_data import build_batch_transforms, build_dataset
from facezoo.data.loading.loader import BatchAugmentation, prefetched, train_stream
from facezoo.data.loading.sampler import Share, TrainPlan
from facezoo.data.loading.samples import collate
from facezoo.data.transforms import (
    BatchColorJitter,
    BatchFlip,
    BatchGaussianBlur,
    BatchGrey,
    BatchTransform,
    ColorJitter,
    Flip,
)
from facezoo.data.transforms.colour import GREY_WEIGHTS
from facezoo.errors import ConfigError
from facezoo.runs.run_check import check_config
from facezoo.structures import Batch, Sample

ALL = (
    BatchColorJitter(0.4, 0.4, 0.4, 0.1, p=0.7),
    BatchGrey(0.3),
    BatchGaussianBlur((0.5, 2.0), p=0.5),
    BatchFlip(),
)


def samples(count: int = 6, landmarks: int = 5) -> list[Sample]:
    generator = np.random.default_rng(0)

    def one(number: int) -> Sample:
        corners = generator.uniform(0, 20, (number, 2))
        points = generator.uniform(0, 40, (number, landmarks, 2))
        points[::2, 1] = np.nan
        return Sample(
            generator.integers(0, 256, (24, 40, 3), dtype=np.uint8),
            boxes=np.hstack([corners, corners + generator.uniform(1, 9, (number, 2))]).astype("f4"),
            landmarks=points.astype("f4"),
            ignore=np.arange(number) % 2 == 1,
            labels=np.zeros(number, np.int64),
            image_id=f"{number}.jpg",
            to_original=generator.normal(size=(2, 3)),
        )

    return [one(number) for number in range(count)]


def numbers_of(transform: BatchTransform, count: int, seed: int = 0) -> torch.Tensor:
    generators = [np.random.default_rng([seed, one]) for one in range(count)]
    return torch.tensor([transform.draw(one) for one in generators], dtype=torch.float32)


def assert_same(one: Batch, two: Batch) -> None:
    assert torch.equal(one.images, two.images) and torch.equal(one.maps, two.maps)
    assert one.images.stride() == two.images.stride()
    for name in one.targets.__dataclass_fields__:
        assert torch.equal(getattr(one.targets, name), getattr(two.targets, name)), name


def part_of(batch: Batch, rows: slice) -> Batch:
    fields = {
        name: getattr(batch.targets, name)[rows] for name in batch.targets.__dataclass_fields__
    }
    targets = replace(batch.targets, **fields)
    return Batch(batch.images[rows], targets, batch.ids[rows], batch.maps[rows])


@pytest.mark.parametrize("landmarks", [5, 3])
def test_a_flip_is_that_of_a_sample(landmarks: int) -> None:
    single = samples(landmarks=landmarks)
    numbers = torch.tensor([[1.0], [0], [1], [1], [0], [1]])
    never = np.random.default_rng()
    expected = collate(
        [
            Flip(1.0)(one, never) if number else one
            for one, number in zip(single, numbers[:, 0].tolist(), strict=True)
        ]
    )
    found = BatchFlip().change(collate(single), numbers)
    assert_same(found, expected)


def test_colours_are_those_of_the_matrix_of_each_image() -> None:
    batch = collate(samples())
    transform = BatchColorJitter(0.5, 0.5, 0.5, 0.2, p=0.6)
    found = transform.change(batch, numbers_of(transform, 6)).images
    changed = 0
    for number in range(6):
        image = batch.images[number].permute(1, 2, 0).double().numpy()
        change = ColorJitter(0.5, 0.5, 0.5, 0.2, 0.6).draw_change(
            np.random.default_rng([0, number])
        )
        if change is None:
            assert torch.equal(found[number], batch.images[number])
            continue
        changed += 1
        matrix, share = change
        expected = image @ matrix.T + share * (GREY_WEIGHTS @ image.reshape(-1, 3).mean(0))
        shown = found[number].permute(1, 2, 0).numpy()
        assert np.abs(shown - np.clip(expected, 0, 255)).max() < 0.51
    assert 0 < changed < 6


def test_grey_is_that_of_opencv() -> None:
    batch = collate(samples())
    found = BatchGrey(1.0).change(batch, numbers_of(BatchGrey(1.0), 6)).images
    for image, grey in zip(batch.images, found, strict=True):
        expected = cv2.cvtColor(image.permute(1, 2, 0).numpy().copy(), cv2.COLOR_RGB2GRAY)
        assert (grey == grey[:1]).all()
        assert np.abs(grey[0].numpy().astype(int) - expected).max() <= 1


def test_blur_is_that_of_opencv() -> None:
    batch = collate(samples())
    transform = BatchGaussianBlur((0.5, 2.0), p=0.6)
    found = transform.change(batch, numbers_of(transform, 6)).images
    changed = 0
    for number in range(6):
        generator = np.random.default_rng([0, number])
        if generator.random() >= 0.6:
            assert torch.equal(found[number], batch.images[number])
            continue
        changed += 1
        side, sigma = 2 * transform.radius + 1, generator.uniform(0.5, 2.0)
        image = batch.images[number].permute(1, 2, 0).double().numpy()
        expected = cv2.GaussianBlur(image, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)
        assert np.abs(found[number].permute(1, 2, 0).numpy() - expected).max() < 0.51
    assert 0 < changed < 6


@pytest.mark.parametrize("transform", ALL, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("channels_last", [True, False])
def test_an_image_is_the_same_in_any_slice_and_the_batch_is_left_alone(
    transform: BatchTransform, channels_last: bool
) -> None:
    batch = collate(samples())
    if not channels_last:
        batch = replace(batch, images=batch.images.contiguous())
    before = batch.images.clone(), batch.targets.boxes.clone(), batch.maps.clone()
    numbers = numbers_of(transform, 6)
    whole = transform.change(batch, numbers)
    assert whole.images.dtype == torch.uint8 and whole.images.stride() == batch.images.stride()
    for start, end in ((0, 1), (1, 4), (4, 6)):
        part = transform.change(part_of(batch, slice(start, end)), numbers[start:end])
        assert_same(part, part_of(whole, slice(start, end)))
    unchanged = batch.images, batch.targets.boxes, batch.maps
    assert all(torch.equal(a, b) for a, b in zip(before, unchanged, strict=True))


CONFIG = [
    "data.train.dataset.num_images=10",
    "data.train.dataset.image_size=64",
    "data.train.batch_transforms=[{type: BatchColorJitter, p: 0.8}, {type: BatchFlip}]",
]


def augmented(share: Share, step: int, count: int) -> list[Batch]:
    """Returns batches of 4 images over all processes, changed."""
    config = load_config("tiny_test", CONFIG)
    dataset, transforms = build_dataset(config, "train")
    plan = TrainPlan(len(dataset), 4, 5, share)
    augmentation = BatchAugmentation(tuple(build_batch_transforms(config)), plan)
    stream = train_stream(dataset, transforms, 4, 5, start_step=step, share=share)
    found = prefetched(stream, torch.device("cpu"), augmentation.from_step(step))
    return [next(found) for _ in range(count)]


def test_a_step_is_the_same_wherever_the_stream_begins_and_over_ranks() -> None:
    whole = augmented(Share(), 0, 5)
    for one, two in zip(augmented(Share(), 3, 2), whole[3:], strict=True):
        assert_same(one, two)
    for rank in range(2):
        for one, two in zip(augmented(Share(rank, 2), 1, 4), whole[1:], strict=True):
            mine = part_of(two, slice(2 * rank, 2 * rank + 2))
            assert torch.equal(one.images, mine.images) and torch.equal(one.maps, mine.maps)
    config = load_config("tiny_test", CONFIG)
    plain = next(train_stream(*build_dataset(config, "train"), 4, 5))
    assert not torch.equal(plain.images, whole[0].images)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "data.train.transforms=[{type: BatchFlip}]",
            "data.train.transforms.0: BatchFlip changes whole batches; list it in "
            "data.train.batch_transforms",
        ),
        (
            "data.val.transforms=[{type: BatchGrey}]",
            "data.val.transforms.0: BatchGrey changes whole batches; list it in "
            "data.train.batch_transforms",
        ),
        (
            "data.train.batch_transforms=[{type: BatchGrey}, {type: Flip}]",
            "data.train.batch_transforms.1: Flip changes single samples; list it in "
            "data.train.transforms",
        ),
        (
            "data.val.batch_transforms=[{type: BatchFlip}]",
            "command line: 'data.val.batch_transforms=[{type: BatchFlip}]' names nothing: ",
        ),
    ],
)
def test_a_transform_in_the_wrong_list_is_one_sentence(override: str, sentence: str) -> None:
    (problem,) = check_config("tiny_test", [override])
    assert problem.startswith(sentence)
    if "val.batch" not in override:
        config = load_config("tiny_test", [override])
        with pytest.raises(ConfigError, match=r"transforms\.[01]: "):
            build_dataset(config, "val" if "val" in override else "train")
            build_batch_transforms(config)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: BatchFlip(2), "p of BatchFlip is 2; give a probability from 0 to 1."),
        (lambda: BatchGrey(-1), "p of BatchGrey is -1; give a probability from 0 to 1."),
        (
            lambda: BatchColorJitter(contrast=3),
            "contrast of BatchColorJitter is 3; give a share from 0 to 1.",
        ),
        (
            lambda: BatchGaussianBlur((2, 1)),
            "sigma of BatchGaussianBlur is [2, 1]; give the lowest, above 0, and then the highest.",
        ),
    ],
)
def test_an_argument_out_of_range_is_one_sentence(make, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value) == sentence


def test_a_blur_wider_than_the_images_is_one_sentence() -> None:
    transform = BatchGaussianBlur((9.0, 9.0), p=1.0)
    with pytest.raises(ConfigError, match="looks 27 pixels far, but images have 40 x 24; give"):
        transform.change(collate(samples()), numbers_of(transform, 6))


def test_a_sample_is_no_batch() -> None:
    with pytest.raises(
        ConfigError, match=r"BatchFlip changes whole batches; list it in data\.train"
    ):
        BatchFlip()(samples()[1], np.random.default_rng(0))
