"""Batches that are on their way to the device one step early."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.loading.loader import ahead, prefetched, val_batches
from facezoo.errors import DataError
from facezoo.structures import Batch, Targets


def logged(events: list[str], count: int, error: BaseException | None = None) -> Iterator[int]:
    for number in range(count):
        events.append(f"read {number}")
        yield number
    if error is not None:
        raise error


def test_one_item_and_no_more_is_begun_before_it_is_asked_for() -> None:
    events: list[str] = []

    def begin(number: int) -> str:
        events.append(f"begin {number}")
        return f"item {number}"

    for item in ahead(logged(events, 4), begin):
        events.append(item)
    assert events == [
        *("read 0", "begin 0", "read 1", "begin 1", "item 0"),
        *("read 2", "begin 2", "item 1"),
        *("read 3", "begin 3", "item 2", "item 3"),
    ]


def test_nothing_is_read_before_the_first_item_is_asked_for() -> None:
    events: list[str] = []
    ahead(logged(events, 4), str)
    assert events == []


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_an_error_of_the_stream_comes_after_what_it_gave(count: int) -> None:
    items = ahead(logged([], count, DataError("7.jpg is no image")), str)
    assert [next(items) for _ in range(count)] == [str(number) for number in range(count)]
    with pytest.raises(DataError, match=r"7\.jpg"):
        next(items)
    assert list(items) == []


def test_an_error_of_beginning_comes_in_its_turn() -> None:
    items = ahead(iter([4, 2, 0, 1]), lambda number: 8 // number)
    assert [next(items), next(items)] == [2, 4]
    with pytest.raises(ZeroDivisionError):
        next(items)


def test_ctrl_c_does_not_wait_for_its_turn() -> None:
    with pytest.raises(KeyboardInterrupt):
        next(ahead(logged([], 1, KeyboardInterrupt()), str))


def test_the_end_of_use_is_the_end_of_reading() -> None:
    events: list[str] = []
    items = ahead(logged(events, 9), str)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert events == ["read 0", "read 1"]


def batches(events: list[str] | None = None) -> Iterator[Batch]:
    for number, batch in enumerate(val_batches(SyntheticFaces(0, 10, 64, (8, 40)), [], 2)):
        if events is not None:
            events.append(f"read {number}")
        yield batch


def assert_same(one: Batch, two: Batch) -> None:
    assert one.ids == two.ids and torch.equal(one.maps, two.maps)
    assert torch.equal(one.images.cpu(), two.images)
    assert one.images.stride() == two.images.stride()
    for name in Targets.__dataclass_fields__:
        assert torch.equal(getattr(one.targets, name).cpu(), getattr(two.targets, name)), name


def test_without_cuda_batches_pass_through_and_none_is_read_early() -> None:
    events: list[str] = []
    stream = prefetched(batches(events), torch.device("cpu"))
    for number, expected in enumerate(batches()):
        assert_same(next(stream), expected)
        assert events[-1] == f"read {number}"
    assert next(stream, None) is None


def test_a_device_without_cuda_gets_the_batches() -> None:
    batch = next(prefetched(batches(), torch.device("meta")))
    assert batch.images.is_meta and batch.targets.boxes.is_meta and not batch.maps.is_meta


class NamedStream:
    """Writes down what is asked of a stream of CUDA."""

    def __init__(self, name: str, events: list[str]) -> None:
        self.name = name
        self.events = events
        self.recorded = 0

    def record_event(self) -> int:
        self.recorded += 1
        self.events.append(f"copy {self.recorded - 1}")
        return self.recorded - 1

    def wait_event(self, event: int) -> None:
        self.events.append(f"{self.name} waits for {event}")


def test_the_order_of_the_work_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    user = NamedStream("user", events)
    copied: list[bool] = []

    def to(batch: Batch, _: object, non_blocking: bool = False) -> Batch:
        copied.append(non_blocking)
        return batch

    monkeypatch.setattr(Batch, "to", to)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: NamedStream("side", events))
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: user)
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda _, stream: events.append(f"kept for {stream.name}")
    )
    for number, _ in enumerate(prefetched(batches(), torch.device("cuda"))):
        events.append(f"train {number}")
    kept = ["kept for user"] * (1 + len(Targets.__dataclass_fields__))
    assert events[: 4 + len(kept)] == ["copy 0", "copy 1", "user waits for 0", *kept, "train 0"]
    assert events[4 + len(kept) :][:3] == ["copy 2", "user waits for 1", "kept for user"]
    assert events[-1] == "train 4" and events.count("kept for user") == 5 * len(kept)
    assert copied == [True] * 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_batches_arrive_whole_while_there_is_other_work() -> None:
    device = torch.device("cuda")
    ballast = torch.rand(4096, 4096, device=device)
    arrived = []
    for given in prefetched((batch.pin_memory() for batch in batches()), device):
        assert given.images.is_cuda and given.targets.valid.is_cuda and not given.maps.is_cuda
        for _ in range(20):  # the next copies overtake this, and must not take the memory
            ballast = ballast @ ballast / ballast.norm()
        arrived.append(
            replace(
                given,
                images=given.images + 0,
                targets=replace(given.targets, boxes=given.targets.boxes + 0),
            )
        )
    for given, expected in zip(arrived, batches(), strict=True):
        assert_same(given, expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda_an_error_comes_at_its_batch() -> None:
    def broken() -> Iterator[Batch]:
        yield next(batches()).pin_memory()
        raise DataError("7.jpg is no image")

    stream = prefetched(broken(), torch.device("cuda"))
    next(stream)
    with pytest.raises(DataError, match=r"7\.jpg"):
        next(stream)
