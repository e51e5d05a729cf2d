"""The faces of a data set: those that a cache knows, the others found by a detector; the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.evaluation.prediction_cache import PredictionCache
from facezoo.inference.detector import Detector
from facezoo.inference.photographs import Watch, detect_batches
from facezoo.structures import Faces

PARTS = ("read", "detect", "whole")


@dataclass(frozen=True)
class Predictions:
    """The faces found in some photographs, and how long it took.

    Attributes:
        faces: by image id.
        seconds: n x 3, float64, of each photograph that went through the detector; see
            ``facezoo.inference.photographs.Photograph``.
        sizes_hw: n x 2, int64, height and width of these photographs in pixels.
        from_cache: photographs whose faces came from a cache.
    """

    faces: dict[str, Faces]
    seconds: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, len(PARTS))))
    sizes_hw: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    from_cache: int = 0

    @property
    def is_timed(self) -> bool:
        """Whether all faces were found now; a time of some would not be that of the set."""
        return not self.from_cache and len(self.seconds) > 0

    def time_metrics(self) -> dict[str, float]:
        """Returns milliseconds per photograph: ``time/detect_ms``, the median, and ``…_ms_mean``.

            time/read_ms     reading and decoding, in threads, while others are looked at
            time/detect_ms   scaling, network, decoding and NMS, the voting of several views
            time/whole_ms    from one photograph to the next

        Empty where not ``is_timed``, as is ``describe_times``.
        """
        if not self.is_timed:
            return {}
        metrics: dict[str, float] = {}
        for name, of_images in zip(PARTS, 1000 * self.seconds.T, strict=True):
            metrics[f"time/{name}_ms"] = float(np.median(of_images))
            metrics[f"time/{name}_ms_mean"] = float(of_images.mean())
        return metrics

    def describe_times(self, device_name: str) -> dict[str, Any]:
        """Returns what a time depends on: the device, its threads, the sizes of the photographs."""
        if not self.is_timed:
            return {}
        pixels = self.sizes_hw.prod(axis=1)
        smallest, largest = (self.sizes_hw[one] for one in (pixels.argmin(), pixels.argmax()))
        return {
            "device": device_name,
            "threads": torch.get_num_threads(),
            "image_sizes": f"{smallest[1]} x {smallest[0]} to {largest[1]} x {largest[0]} px, "
            f"median {np.median(pixels) / 1e6:.2f} megapixels",
        }


def find_faces(
    detector: Detector,
    dataset: FaceDataset,
    batches: Sequence[Sequence[int]],
    watch: Watch = iter,
    cache: PredictionCache | None = None,
) -> Predictions:
    """Returns the faces of some photographs; no more than a few of these are in memory at a time.

    Args:
        detector: finds faces.
        dataset: the photographs.
        batches: their indices, those together that are given to the detector at once. A batch is
            given to it as a whole if the cache lacks one of its photographs, since the neighbours
            of a photograph move its result by rounding errors.
        watch: passes on the batches, such as a progress bar.
        cache: gives what is known and keeps what is found, or None.
    """
    faces = {} if cache is None else cache.read()
    missing = [one for one in batches if not all(dataset.image_id(i) in faces for i in one)]
    seconds: list[tuple[float, float, float]] = []
    sizes_hw: list[tuple[int, ...]] = []
    try:
        for batch in detect_batches(detector, missing, lambda i: dataset[i].image, watch):
            found = {dataset.image_id(one.source): one.faces for one in batch}
            seconds += [one.seconds for one in batch]
            sizes_hw += [one.image.shape[:2] for one in batch]
            faces |= found
            if cache is not None:
                cache.add(found)
    finally:
        if cache is not None:
            cache.write()
    return Predictions(
        faces,
        np.array(seconds, np.float64).reshape(-1, len(PARTS)),
        np.array(sizes_hw, np.int64).reshape(-1, 2),
        sum(map(len, batches)) - len(seconds),
    )


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Returns the predictions of several processes for parts of one set as those for the set."""
    return Predictions(
        {image_id: faces for part in parts for image_id, faces in part.faces.items()},
        np.concatenate([part.seconds for part in parts]),
        np.concatenate([part.sizes_hw for part in parts]),
        sum(part.from_cache for part in parts),
    )
