"""Photographs that cannot be read: an end, or the next of the epoch, the same for any workers."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from facezoo.config.config import load_config
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.images import read_image
from facezoo.data.loading.loader import train_stream, val_batches
from facezoo.data.loading.sampler import Share, epoch_order
from facezoo.data.transforms import Flip, MixUp, Transform
from facezoo.errors import ConfigError, DataError
from facezoo.structures import Batch, Sample, Truth

SEED, LENGTH = 5, 9


class Photographs(FaceDataset):
    """The JPEG files of a folder, without faces."""

    num_landmarks = 5

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Sample:
        return Sample(
            image=read_image(self.paths[index]),
            boxes=np.zeros((0, 4), np.float32),
            landmarks=np.zeros((0, 5, 2), np.float32),
            ignore=np.zeros(0, bool),
            labels=np.zeros(0, np.int64),
            image_id=self.image_id(index),
        )

    def truth(self, index: int) -> Truth:
        return Truth(np.zeros((0, 4)), np.zeros(0, bool))

    def image_id(self, index: int) -> str:
        return self.paths[index].name


def photographs(folder: Path, broken: Sequence[int]) -> Photographs:
    """Nine photographs, of which those that are named are cut in half."""
    noise = np.random.default_rng(0)
    for index in range(LENGTH):
        data = cv2.imencode(".jpg", noise.integers(0, 255, (32, 32, 3), np.uint8))[1].tobytes()
        end = len(data) // 2 if index in broken else len(data)
        (folder / f"{index}.jpg").write_bytes(data[:end])
    return Photographs(folder)


def take(dataset: FaceDataset, count: int, **arguments: object) -> list[Batch]:
    given = {"transforms": [Flip()], "batch_size": 4, "seed": SEED, "on_unreadable": "next"}
    stream = train_stream(dataset, **(given | arguments))  # type: ignore[arg-type]
    return list(itertools.islice(stream, count))


def expected(broken: Sequence[int], positions: int) -> tuple[list[str], int]:
    """The ids by the definition, and how often an image could not be read."""
    ids, failures = [], 0
    for position in range(positions):
        order = epoch_order(SEED, position // LENGTH, LENGTH).tolist()
        place = position % LENGTH
        while order[place] in broken:
            place = (place + 1) % LENGTH
            failures += 1
        ids.append(f"{order[place]}.jpg")
    return ids, failures


@pytest.mark.parametrize("broken", [[], [4], [0, 1, 7, 8]])
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_the_next_of_the_epoch_takes_the_place(
    tmp_path: Path, broken: list[int], workers: int
) -> None:
    batches = take(photographs(tmp_path, broken), 9, workers=workers)
    ids, failures = expected(broken, 36)
    assert [name for batch in batches for name in batch.ids] == ids
    assert sum(len(batch.unreadable) for batch in batches) == failures
    for batch in batches:
        assert all("is a JPEG that is broken off" in reason for reason in batch.unreadable)


def test_the_others_are_what_they_would_have_been(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = take(photographs(tmp_path / "whole", []), 5)
    some = take(photographs(tmp_path, [3]), 5)
    for one, two in zip(whole, some, strict=True):
        for number, name in enumerate(one.ids):
            if name != "3.jpg":
                assert two.ids[number] == name
                assert torch.equal(one.images[number], two.images[number])


def test_ranks_and_resuming_take_the_same(tmp_path: Path) -> None:
    dataset = photographs(tmp_path, [2, 6])
    whole = take(dataset, 6)
    later = take(dataset, 3, start_step=3)
    ranks = [take(dataset, 6, share=Share(rank, 2)) for rank in range(2)]
    for one, two in zip(whole[3:], later, strict=True):
        assert one.ids == two.ids and one.unreadable == two.unreadable
        assert torch.equal(one.images, two.images)
    for step, batch in enumerate(whole):
        assert batch.ids == ranks[0][step].ids + ranks[1][step].ids
        assert batch.unreadable == ranks[0][step].unreadable + ranks[1][step].unreadable


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_each_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int) -> None:
    with caplog.at_level(logging.WARNING, "facezoo.data.loading.loader"):
        take(photographs(tmp_path, [2, 6]), 12, workers=workers)
    assert sorted(caplog.messages) == [
        f"The image {tmp_path / name} is a JPEG that is broken off; fetch it again. The next image "
        "takes its place."
        for name in ("2.jpg", "6.jpg")
    ]


def test_a_partner_is_replaced_too(tmp_path: Path) -> None:
    broken = [index for index in range(LENGTH) if index != 4]
    batches = take(photographs(tmp_path, broken), 3, transforms=[MixUp(p=1.0)])
    (tmp_path / "one").mkdir()
    alone = photographs(tmp_path / "one", [])[4].image
    for batch in batches:
        assert batch.ids == ("4.jpg",) * 4
        np.testing.assert_allclose(batch.images[0].permute(1, 2, 0).numpy(), alone, atol=1)


def test_where_none_can_be_read_the_run_ends(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"^None of the 9 images can be read; the first says: The image .* fetch it"
    ):
        take(photographs(tmp_path, range(LENGTH)), 1)


def test_by_default_and_in_an_evaluation_it_ends(tmp_path: Path) -> None:
    dataset = photographs(tmp_path, [4])
    with pytest.raises(DataError, match=r"4\.jpg is a JPEG that is broken off"):
        take(dataset, 9, on_unreadable="stop")
    with pytest.raises(DataError, match=r"4\.jpg is a JPEG that is broken off"):
        list(val_batches(dataset, [], 4))


def test_a_spoilt_annotation_still_ends_a_run(tmp_path: Path) -> None:
    class Spoilt(Photographs):
        def __getitem__(self, index: int) -> Sample:
            return replace(super().__getitem__(index), labels=np.zeros(3, np.int64))

    photographs(tmp_path, [])
    with pytest.raises(DataError, match="3 labels"):
        take(Spoilt(tmp_path), 1)


def test_an_error_of_a_transform_still_ends_a_run(tmp_path: Path) -> None:
    class Failing(Transform):
        def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
            raise DataError("a transform that fails")

    with pytest.raises(DataError, match="a transform that fails"):
        take(photographs(tmp_path, []), 1, transforms=[Failing()])


def test_the_key_of_a_config() -> None:
    assert load_config({})["data.on_unreadable"] == "stop"
    with pytest.raises(ConfigError, match=r"^data\.on_unreadable: takes .*not 'skip'"):
        load_config({"data": {"on_unreadable": "skip"}})
