"""The stream of batches: complete, in an order of its own, and the same for any workers."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import re
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.loading.loader import train_stream, val_batches
from facezoo.data.loading.sampler import TrainPlan, epoch_order
from facezoo.data.loading.samples import MIN_FACES, collate, padded_faces
from facezoo.data.loading.workers import worker_failure
from facezoo.data.transforms import Albumentations, Flip, Letterbox, SquareCrop, Transform
from facezoo.errors import ConfigError, DataError
from facezoo.structures import Batch, Sample, Truth


class Numbered(FaceDataset):
    """Images of one grey value each, with ``index`` faces; some may be broken."""

    num_landmarks = 5

    def __init__(self, length: int = 10, size: int = 32, broken: int | None = None) -> None:
        self.length = length
        self.size = size
        self.broken = broken

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index == self.broken:
            raise DataError(f"{index}.jpg is no image; download it again.")
        faces = np.arange(index)[:, None]
        landmarks = np.full((index, 5, 2), 3.0, np.float32)
        landmarks[:, 2] = np.nan
        return Sample(
            image=np.full((self.size, self.size, 3), index % 256, np.uint8),
            boxes=np.add(faces, [1, 2, 9, 12]).astype(np.float32),
            landmarks=landmarks,
            ignore=np.arange(index) % 2 == 1,
            labels=np.arange(index),
            image_id=f"{index}.jpg",
            dropped=index,
        )

    def truth(self, index: int) -> Truth:
        sample = self[index]
        return Truth(sample.boxes.astype(np.float64), sample.ignore)

    def image_id(self, index: int) -> str:
        return f"{index}.jpg"


class Noise(Transform):
    """Adds a number of the generator to the image."""

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        return replace(sample, image=sample.image + generator.integers(100, dtype=np.uint8))


def take(count: int, **arguments: object) -> list[Batch]:
    given = {"dataset": Numbered(), "transforms": [Noise()], "batch_size": 4, "seed": 3}
    return list(itertools.islice(train_stream(**(given | arguments)), count))  # type: ignore[arg-type]


def assert_same(one: list[Batch], two: list[Batch]) -> None:
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert a.ids == b.ids and a.dropped == b.dropped
        assert torch.equal(a.images, b.images) and torch.equal(a.maps, b.maps)
        assert a.images.stride() == b.images.stride()
        for name in a.targets.__dataclass_fields__:
            assert torch.equal(getattr(a.targets, name), getattr(b.targets, name)), name


def test_every_epoch_takes_every_image_once_and_batches_cross_its_border() -> None:
    ids = [name for batch in take(10) for name in batch.ids]
    epochs = [ids[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(epoch) == sorted(f"{i}.jpg" for i in range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_a_data_set_smaller_than_a_batch() -> None:
    (batch,) = take(1, dataset=Numbered(3), batch_size=7)
    assert Counter(batch.ids).most_common()[-1][1] == 2


def test_start_step_goes_on_where_the_stream_was() -> None:
    assert_same(take(9)[6:], take(3, start_step=6))


def test_seeds_and_positions_differ() -> None:
    assert not np.array_equal(epoch_order(0, 0, 50), epoch_order(1, 0, 50))
    draws = [TrainPlan(9, 1, seed).generator(at).random() for seed in (0, 1) for at in range(50)]
    assert len(set(draws)) == 100
    assert take(1)[0].ids != take(1, seed=4)[0].ids


def test_the_augmentation_differs_between_epochs() -> None:
    shades = Counter(int(batch.images[0, 0, 0, 0]) for batch in take(8, dataset=Numbered(1)))
    assert len(shades) > 1


def test_steps_in_any_order_give_one_plan() -> None:
    forwards, backwards = TrainPlan(10, 4, 0), TrainPlan(10, 4, 0)
    there = [[next(forwards.indices(at)) for at in forwards(step)] for step in range(9)]
    back = [[next(backwards.indices(at)) for at in backwards(step)] for step in reversed(range(9))]
    assert there == back[::-1]


def test_the_global_generators_are_left_alone() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    take(2)
    list(val_batches(Numbered(), [], 4))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("start", [0, 5])
def test_workers_make_no_difference(workers: int, start: int) -> None:
    transforms = [Noise(), SquareCrop(48), Flip(), Albumentations("Affine", rotate=20)]
    expected = take(6, transforms=transforms, start_step=start)
    assert_same(take(6, transforms=transforms, start_step=start, workers=workers), expected)


@pytest.mark.slow
def test_spawned_workers_make_no_difference() -> None:
    transforms = [SquareCrop(48), Flip(), Albumentations("MotionBlur")]
    dataset = SyntheticFaces(0, 6, 64, (8, 40))
    one = take(3, dataset=dataset, transforms=transforms)
    two = take(3, dataset=dataset, transforms=transforms, workers=2, start_method="spawn")
    assert_same(one, two)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have their own default")
def test_workers_are_forked_whatever_the_default_of_python_is() -> None:
    dataset = Numbered()
    dataset.note = lambda: "only a fork can take this along"  # type: ignore[attr-defined]
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("forkserver", force=True)
    try:
        batch = next(train_stream(dataset, [Noise()], 4, 3, workers=1))
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert_same([batch], take(1))


@pytest.mark.slow
def test_workers_leave_ctrl_c_to_the_process_that_trains() -> None:
    stream = train_stream(Numbered(), [Noise()], 4, 3, workers=2)
    batches = [next(stream), next(stream)]  # one of each worker: both have started
    children = multiprocessing.active_children()
    assert len(children) >= 2
    for child in children:
        assert child.pid is not None
        os.kill(child.pid, signal.SIGINT)
    batches += itertools.islice(stream, 8)
    assert_same(batches, take(10))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_unreadable_image_is_one_sentence(workers: int) -> None:
    with pytest.raises(DataError) as error:
        take(9, dataset=Numbered(broken=6), workers=workers)
    assert str(error.value) == "6.jpg is no image; download it again."


@pytest.fixture
def time_limit() -> Iterator[None]:
    """Ends a test that waits for a batch which never comes."""

    def end(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Deadly(Numbered):
    """Ends the process that reads it."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__()
        self.by = by

    def __getitem__(self, index: int) -> Sample:
        os.kill(os.getpid(), self.by)
        return super().__getitem__(index)


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGBUS, signal.SIGTERM])
def test_a_worker_that_dies_is_one_sentence(by: signal.Signals, time_limit: None) -> None:
    # It dies at its first batch, so that this process is waiting when torch's handler raises.
    with pytest.raises(DataError) as error:
        next(train_stream(Deadly(by), [], 4, 3, workers=1))
    assert re.fullmatch(
        r"A worker process that reads images \(pid \d+\) died.*: give fewer data\.workers and "
        r"go on with --resume\.",
        str(error.value),
    )


GIVE = "give fewer data.workers and go on with --resume."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "DataLoader worker (pid 7) is killed by signal: Killed. ",
            "(pid 7) died (Killed), probably because the memory was used up: ",
        ),
        (
            "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that "
            "dataloader's workers are out of shared memory. Please try to raise your shared memory "
            "limit.",
            "(pid 7) died (Bus error), probably because /dev/shm is too small: ",
        ),
        (
            "DataLoader worker (pid 7) is killed by signal: Segmentation fault. ",
            "(pid 7) died (Segmentation fault): ",
        ),
        (
            "DataLoader worker (pid 7) exited unexpectedly with exit code 1. Details are lost.",
            "(pid 7) died, probably because the memory was used up or /dev/shm is too small: ",
        ),
        (
            "DataLoader worker (pid(s) 7, 8) exited unexpectedly",
            "(pid 7, 8) died, probably because the memory was used up or /dev/shm is too small: ",
        ),
    ],
)
def test_what_torch_says_of_a_dead_worker_is_recognised(said: str, told: str) -> None:
    failure = worker_failure(RuntimeError(said))
    assert isinstance(failure, DataError)
    assert str(failure) == f"A worker process that reads images {told}{GIVE}"


def test_the_signal_is_told_where_the_queue_noticed_first() -> None:
    error = RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")
    error.__cause__ = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    assert "(pid 7) died (Killed), probably because the memory" in str(worker_failure(error))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory"),
        RuntimeError("Pin memory thread exited unexpectedly"),
        ValueError("DataLoader worker (pid 7) is killed by signal: Killed. "),
        KeyboardInterrupt(),
    ],
)
def test_other_errors_are_no_dead_worker(error: BaseException) -> None:
    assert worker_failure(error) is None


class Defect(Numbered):
    """Fails as a mistake in a program does."""

    def __getitem__(self, index: int) -> Sample:
        raise RuntimeError("a defect")


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_defect_stays_what_it_is(workers: int) -> None:
    with pytest.raises(RuntimeError, match="a defect"):
        take(1, dataset=Defect(), workers=workers)


class NoSpace(Transform):
    """Leaves its process no space for shared memory."""

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        return sample


@pytest.mark.slow
def test_a_batch_without_space_in_shared_memory_is_one_sentence(time_limit: None) -> None:
    with pytest.raises(DataError, match=r"^A worker process cannot pass on its batch, .*/dev/shm"):
        take(1, transforms=[NoSpace()], workers=1)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_val_batches_take_every_image_once_in_order(workers: int) -> None:
    batches = list(val_batches(Numbered(), [Noise()], 4, workers))
    assert [len(batch.ids) for batch in batches] == [4, 4, 2]
    assert [name for batch in batches for name in batch.ids] == [f"{i}.jpg" for i in range(10)]
    assert_same(batches, list(val_batches(Numbered(), [Noise()], 4)))


def test_val_batches_of_nothing() -> None:
    assert list(val_batches(Numbered(0), [], 4)) == []


def test_a_batch_holds_what_the_samples_hold() -> None:
    (batch,) = val_batches(Numbered(6), [], 6)
    assert batch.images.shape == (6, 3, 32, 32) and batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.images[:, 1, 4, 5].tolist() == list(range(6))
    targets = batch.targets
    assert targets.valid.sum(1).tolist() == list(range(6))
    assert targets.boxes.shape == (6, MIN_FACES, 4)
    assert targets.boxes[5, :5, 0].tolist() == [1, 2, 3, 4, 5]
    assert not targets.boxes[~targets.valid].any()
    assert targets.labels[5].tolist() == [0, 1, 2, 3, 4, 0, 0, 0]
    assert targets.ignore[5].tolist() == [False, True, False, True, False, False, False, False]
    assert targets.landmarks_valid[5, 0].tolist() == [True, True, False, True, True]
    assert not targets.landmarks_valid[~targets.valid].any()
    assert targets.landmarks.isfinite().all()
    assert targets.landmarks[5, 0].tolist() == [[3, 3], [3, 3], [0, 0], [3, 3], [3, 3]]
    assert batch.maps.shape == (6, 2, 3) and batch.maps.dtype == torch.float64
    assert batch.dropped == 15


@pytest.mark.parametrize(
    ("most", "padded"), [(0, 8), (1, 8), (8, 8), (9, 16), (16, 16), (17, 32), (2000, 2048)]
)
def test_targets_are_padded_to_a_power_of_two(most: int, padded: int) -> None:
    assert padded_faces(most) == padded
    sample = Numbered(size=8)[most]
    assert collate([Numbered(size=8)[0], sample]).targets.valid.shape == (2, padded)


def test_images_of_two_sizes_are_refused() -> None:
    with pytest.raises(DataError, match=r"0\.jpg has 32 x 32 pixels and 1\.jpg 16 x 16: put Squ"):
        collate([Numbered()[0], Numbered(size=16)[1]])


def test_faces_with_other_landmarks_are_refused() -> None:
    other = replace(Numbered()[1], landmarks=np.zeros((1, 2, 2), np.float32))
    with pytest.raises(DataError, match="one number of landmarks"):
        collate([Numbered()[0], other])


class Spoilt(Numbered):
    """Gives a sample with one field spoilt."""

    def __init__(self, **fields: object) -> None:
        super().__init__(3)
        self.fields = fields

    def __getitem__(self, index: int) -> Sample:
        return replace(super().__getitem__(2), **self.fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("boxes", np.array([[0, 0, 1, 1], [0, np.nan, 1, 1]], np.float32), "at face 1 the box"),
        ("boxes", np.array([[0, 0, 1, 1], [0, 0, np.inf, 1]], np.float32), "at face 1 the box"),
        ("boxes", np.array([[4, 0, 3, 1], [0, 0, 1, 1]], np.float32), "at face 0 the box"),
        ("boxes", np.zeros((3, 4), np.float32), "boxes of shape"),
        ("landmarks", np.full((2, 5, 2), np.inf, np.float32), "at face 0"),
        ("labels", np.zeros(1, np.int64), "1 labels"),
        ("image", np.zeros((8, 8, 3), np.float32), "an array of float32"),
        ("image", np.zeros((8, 8), np.uint8), "shape"),
    ],
)
def test_a_spoilt_annotation_names_its_image(field: str, value: np.ndarray, says: str) -> None:
    with pytest.raises(DataError, match=says) as error:
        next(train_stream(Spoilt(**{field: value}), [Letterbox(32)], 2, 0))
    assert str(error.value).startswith("Image 2.jpg ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"dataset": Numbered(0)}, DataError, "has no images"),
        ({"batch_size": 0}, ConfigError, "data.batch_size is 0"),
        ({"workers": -1}, ConfigError, "data.workers is -1"),
    ],
)
def test_arguments_out_of_range(
    arguments: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        take(1, **arguments)
