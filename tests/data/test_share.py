"""Several processes together take what one process takes."""

from __future__ import annotations

import itertools
import pickle

import pytest
import torch

from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.loading.loader import train_stream, val_batches
from facezoo.data.loading.sampler import Share, TrainPlan, ValPlan
from facezoo.data.transforms import Flip, SquareCrop
from facezoo.errors import ConfigError
from facezoo.structures import Batch, Targets

DATASET = SyntheticFaces(0, 11, 64, (8, 40), max_faces=20)
TRANSFORMS = [SquareCrop(48), Flip()]


def shares(world_size: int) -> list[Share]:
    return [Share(rank, world_size) for rank in range(world_size)]


def assert_joined(parts: list[Batch], whole: Batch) -> None:
    """The parts, one after another, are the whole, but for how many faces they are padded to."""
    assert tuple(name for part in parts for name in part.ids) == whole.ids
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.maps for part in parts]), whole.maps)
    assert sum(part.dropped for part in parts) == whole.dropped
    start = 0
    for part in parts:
        end = start + len(part.ids)
        faces = part.targets.valid.shape[1]
        for name in Targets.__dataclass_fields__:
            own, all_of_them = getattr(part.targets, name), getattr(whole.targets, name)
            assert torch.equal(own, all_of_them[start:end, :faces]), name
            assert not all_of_them[start:end, faces:].any(), name
        start = end


@pytest.mark.parametrize("world_size", [1, 2, 3, 6])
@pytest.mark.parametrize("sides", [None, [32, 64, 96]])
def test_ranks_together_train_on_what_one_process_does(
    world_size: int, sides: list[int] | None
) -> None:
    whole = train_stream(DATASET, TRANSFORMS, 6, 5, start_step=1, sides=sides)
    streams = [
        train_stream(DATASET, TRANSFORMS, 6, 5, start_step=1, sides=sides, share=share)
        for share in shares(world_size)
    ]
    for batch, *parts in itertools.islice(zip(whole, *streams, strict=True), 4):
        assert [len(part.ids) for part in parts] == [6 // world_size] * world_size
        assert_joined(parts, batch)


@pytest.mark.slow
def test_workers_take_only_the_share_of_their_process() -> None:
    first, second = (train_stream(DATASET, TRANSFORMS, 6, 5, share=s, workers=1) for s in shares(2))
    whole = train_stream(DATASET, TRANSFORMS, 6, 5)
    for _ in range(3):
        assert_joined([next(first), next(second)], next(whole))


@pytest.mark.parametrize("world_size", [1, 2, 3, 5, 8])
def test_ranks_take_turns_at_the_batches_of_one_evaluation(world_size: int) -> None:
    whole = list(val_batches(DATASET, TRANSFORMS, 2))
    assert [len(batch.ids) for batch in whole] == [2, 2, 2, 2, 2, 1]
    for share in shares(world_size):
        own = list(val_batches(DATASET, TRANSFORMS, 2, share=share))
        expected = whole[share.rank :: world_size]
        assert len(own) == len(expected) == len(ValPlan(len(DATASET), 2, share))
        for batch, same in zip(own, expected, strict=True):
            assert_joined([batch], same)
            assert batch.targets.valid.shape == same.targets.valid.shape


def test_the_share_leaves_the_order_of_one_process_alone() -> None:
    plan = TrainPlan(7, 4, 0)
    assert plan == TrainPlan(7, 4, 0, Share()) == pickle.loads(pickle.dumps(plan))  # noqa: S301
    halves = [TrainPlan(7, 4, 0, share) for share in shares(2)]
    for step in range(5):
        places = [(next(plan.indices(at)), plan.generator(at).random()) for at in plan(step)]
        assert places == [
            (next(half.indices(at)), half.generator(at).random())
            for half in halves
            for at in half(step)
        ]


def test_a_batch_that_processes_cannot_share() -> None:
    with pytest.raises(
        ConfigError, match=r"^data\.batch_size \(6\) is not a multiple of the 4 processes that tra"
    ):
        train_stream(DATASET, TRANSFORMS, 6, 5, share=Share(0, 4))
    assert list(val_batches(DATASET, TRANSFORMS, 6, share=Share(3, 4))) == []


@pytest.mark.parametrize(
    ("rank", "world_size", "says"),
    [
        (2, 2, r"The rank 2 is none of 2 processes; give 0 to 1\."),
        (-1, 1, r"The rank -1 is none of 1 processes"),
        (0, 0, r"The number of processes is 0; give at least 1\."),
    ],
)
def test_a_rank_that_does_not_exist(rank: int, world_size: int, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Share(rank, world_size)
