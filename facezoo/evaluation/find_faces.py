"""Looking for the faces of a set of photographs: reading ahead, what is known already, the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.evaluation.prediction_cache import PredictionCache
from facezoo.inference.detector import Detector
from facezoo.structures import Faces

READERS = 4
AHEAD = 4
PARTS = ("read", "detect", "whole")

Item = TypeVar("Item")
Result = TypeVar("Result")
Watch = Callable[[Iterable[list[int]]], Iterable[list[int]]]


@dataclass(frozen=True)
class Search:
    """What was found in some photographs, and how long it took.

    Attributes:
        faces: by image id.
        seconds: n x 3, float64, of each photograph that was looked at: reading it, finding its
            faces, and its share of the time that passed; the last two are those of its batch,
            divided by the photographs in it.
        sizes_hw: n x 2, int64, height and width of these photographs in pixels.
        from_cache: photographs that were not looked at, as their faces were kept.
    """

    faces: dict[str, Faces]
    seconds: NDArray[np.float64]
    sizes_hw: NDArray[np.int64]
    from_cache: int = 0


NO_SEARCH = Search({}, np.zeros((0, len(PARTS))), np.zeros((0, 2), np.int64))


def find_faces(
    detector: Detector,
    dataset: FaceDataset,
    batches: Sequence[list[int]],
    watch: Watch = iter,
    cache: PredictionCache | None = None,
) -> Search:
    """Returns the faces of some photographs; no more than a few of these are held at a time.

    Args:
        detector: finds faces.
        dataset: the photographs.
        batches: their indices, those together that are given to the detector at once. A batch is
            looked at as a whole if the cache lacks one of its photographs, since the neighbours of
            a photograph move its result by rounding errors.
        watch: passes on the batches, such as a progress bar.
        cache: gives what is known and keeps what is found, or None.
    """
    faces = {} if cache is None else cache.read()
    missing = [one for one in batches if not all(dataset.image_id(i) in faces for i in one)]
    seconds: list[tuple[float, float, float]] = []
    sizes_hw: list[tuple[int, int]] = []

    def load(batch: list[int]) -> tuple[list[NDArray[np.uint8]], list[float]]:
        images, took = [], []
        for i in batch:
            start = perf_counter()
            images.append(dataset[i].image)
            took.append(perf_counter() - start)
        return images, took

    try:
        last = perf_counter()
        for batch, (images, reading) in zip(watch(missing), read_ahead(load, missing), strict=True):
            start = perf_counter()
            found = dict(zip(map(dataset.image_id, batch), detector(images), strict=True))
            now = perf_counter()
            shares = ((now - start) / len(batch), (now - last) / len(batch))
            seconds += [(one, *shares) for one in reading]
            sizes_hw += [(image.shape[0], image.shape[1]) for image in images]
            last = now
            faces |= found
            if cache is not None:
                cache.add(found)
    finally:
        if cache is not None:
            cache.write()
    return Search(
        faces,
        np.array(seconds, np.float64).reshape(-1, len(PARTS)),
        np.array(sizes_hw, np.int64).reshape(-1, 2),
        sum(map(len, batches)) - len(seconds),
    )


def join(parts: Sequence[Search]) -> Search:
    """Returns several searches of one set, such as those of several processes, as one."""
    return Search(
        {image_id: faces for part in parts for image_id, faces in part.faces.items()},
        np.concatenate([part.seconds for part in parts]),
        np.concatenate([part.sizes_hw for part in parts]),
        sum(part.from_cache for part in parts),
    )


def time_metrics(search: Search) -> dict[str, float]:
    """Returns milliseconds per photograph: ``time/detect_ms``, the median, and ``…_ms_mean``.

        time/read_ms     reading and decoding, in threads, while others are looked at
        time/detect_ms   scaling, network, decoding and NMS, the voting of several views
        time/whole_ms    from one photograph to the next

    Empty where faces came from a cache, as a time of the others would not be that of the set.
    """
    if search.from_cache or not len(search.seconds):
        return {}
    metrics: dict[str, float] = {}
    for name, of_images in zip(PARTS, 1000 * search.seconds.T, strict=True):
        metrics[f"time/{name}_ms"] = float(np.median(of_images))
        metrics[f"time/{name}_ms_mean"] = float(of_images.mean())
    return metrics


def describe_times(search: Search, detector: Detector) -> dict[str, Any]:
    """Returns what a time depends on: the device, its threads, the sizes of the photographs.

    Empty where ``time_metrics`` is.
    """
    if search.from_cache or not len(search.seconds):
        return {}
    pixels = search.sizes_hw.prod(axis=1)
    smallest, largest = (search.sizes_hw[one] for one in (pixels.argmin(), pixels.argmax()))
    return {
        "device": detector.device_name,
        "threads": torch.get_num_threads(),
        "image_sizes": f"{smallest[1]} x {smallest[0]} to {largest[1]} x {largest[0]} px, "
        f"median {np.median(pixels) / 1e6:.2f} megapixels",
    }


def read_ahead(load: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Gives ``load(item)`` in order, while threads are busy with the next few."""
    with ThreadPoolExecutor(READERS) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(load, item))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
