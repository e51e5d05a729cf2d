"""How good a model is on a data set: the faces it finds, what they are worth, and its losses."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from facezoo import distributed
from facezoo.data.datasets.annotated_images import AnnotatedImages
from facezoo.data.datasets.combined import Subset
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.distributed import RunInterrupted
from facezoo.evaluation.prediction_cache import PredictionCache
from facezoo.inference.detector import Detector
from facezoo.inference.photographs import Watch, detect_batches, in_batches
from facezoo.metrics.evaluator import Curve, Evaluator
from facezoo.metrics.evaluators import WiderFaceAP
from facezoo.metrics.matching import is_counted
from facezoo.structures import Batch, Faces, LossTerm, Truth

Value = TypeVar("Value")

PARTS = ("read", "detect", "whole")


@dataclass(frozen=True)
class Predictions:
    """The faces found in some photographs, by image id, and how long it took.

    Attributes:
        seconds: of each photograph that went through the detector; see
            ``facezoo.inference.photographs.Photograph``.
        sizes_hw: height and width of these photographs in pixels.
        from_cache: how many others had their faces in a cache.
    """

    faces: dict[str, Faces]
    seconds: list[tuple[float, float, float]] = field(default_factory=list)
    sizes_hw: list[tuple[int, ...]] = field(default_factory=list)
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
        """
        if not self.is_timed:
            return {}
        metrics: dict[str, float] = {}
        for name, of_images in zip(PARTS, 1000 * np.array(self.seconds).T, strict=True):
            metrics[f"time/{name}_ms"] = float(np.median(of_images))
            metrics[f"time/{name}_ms_mean"] = float(of_images.mean())
        return metrics

    def describe_times(self, device_name: str) -> dict[str, Any]:
        """Returns what a time depends on: the device, its threads, the sizes of the photographs."""
        if not self.is_timed:
            return {}
        pixels = np.prod(self.sizes_hw, axis=1)
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

    See ``judge``; ``batches`` holds the indices of photographs that are looked at together.
    """
    # A batch is looked at as a whole if the cache lacks one of its photographs, since the
    # neighbours of a photograph move its result by rounding errors.
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
    return Predictions(faces, seconds, sizes_hw, sum(map(len, batches)) - len(seconds))


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Returns the predictions of several processes for parts of one set as those for the set."""
    return Predictions(
        {image_id: faces for part in parts for image_id, faces in part.faces.items()},
        [one for part in parts for one in part.seconds],
        [one for part in parts for one in part.sizes_hw],
        sum(part.from_cache for part in parts),
    )


@dataclass(frozen=True)
class Validation:
    """The validation set of a run and how it is judged.

    Attributes:
        dataset: photographs with truth.
        open_batches: gives this process's share of them as batches of one size, for the losses.
        evaluators: what judges the faces found.
        detection: how they are looked for: arguments of the ``Detector``.
    """

    dataset: FaceDataset
    open_batches: Callable[[], Iterable[Batch]]
    evaluators: Sequence[Evaluator]
    detection: Mapping[str, Any]


@dataclass(frozen=True)
class EvaluationResults:
    """What was found in a data set, and what it is worth.

    Attributes:
        predictions: the faces found.
        truth: annotated faces by image id.
        metrics: by name, as the evaluators give them.
        curves: precision over recall by name.
        official_truth: folder of the official files that easy, medium and hard were judged by.
    """

    predictions: Predictions
    truth: dict[str, Truth]
    metrics: dict[str, float]
    curves: dict[str, Curve]
    official_truth: Path | None = None


def judge(
    detector: Detector,
    dataset: FaceDataset,
    evaluators: Sequence[Evaluator],
    batch_size: int = 8,
    watch: Watch = iter,
    cache: PredictionCache | None = None,
) -> EvaluationResults:
    """Finds the faces of every photograph of a data set and judges them.

    Several processes take turns with the batches, which are those of one process, and each gets
    all results.

    Args:
        detector: finds faces.
        dataset: photographs with truth.
        evaluators: give numbers.
        batch_size: photographs that are given to the detector at once.
        watch: passes on the batches, such as a progress bar.
        cache: gives the faces that are known already and keeps the others.
    """
    share = distributed.share()
    own = in_batches(range(len(dataset)), batch_size)[share.rank :: share.world_size]
    found = join_predictions(gather_work(lambda: find_faces(detector, dataset, own, watch, cache)))
    truth = {dataset.image_id(i): dataset.truth(i) for i in range(len(dataset))}
    predictions = replace(found, faces={image_id: found.faces[image_id] for image_id in truth})
    metrics: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    if distributed.is_main():
        for evaluator in evaluators:
            result = evaluator(predictions.faces, truth)
            metrics |= result.metrics
            curves |= result.curves
    metrics, curves = distributed.from_main((metrics, curves))
    folders = [one.truth for one in evaluators if isinstance(one, WiderFaceAP) and one.truth]
    return EvaluationResults(predictions, truth, metrics, curves, next(iter(folders), None))


def describe_set(
    dataset: FaceDataset, truth: Mapping[str, Truth], official: Path | None
) -> dict[str, Any]:
    """Returns which photographs, faces and official files the numbers are about."""
    annotated = list(truth.values())
    counted = [is_counted(one) for one in annotated]
    whole = dataset
    while isinstance(whole, Subset):
        whole = whole.dataset
    with_landmarks = [
        int((~np.isnan(one.landmarks[counts, :, 0])).any(axis=1).sum())
        for one, counts in zip(annotated, counted, strict=True)
        if one.landmarks is not None
    ]
    return {
        "data": type(whole).__name__,
        **({"annotation": str(whole.source)} if isinstance(whole, AnnotatedImages) else {}),
        "images": len(annotated),
        "faces": sum(int(counts.sum()) for counts in counted),
        "ignored_faces": sum(int((~counts).sum()) for counts in counted),
        "faces_with_landmarks": sum(with_landmarks),
        "truth": "the annotation" if official is None else str(official),
    }


@torch.no_grad()
def validation_loss(
    loss_terms: Callable[[Batch], Mapping[str, LossTerm]], batches: Iterable[Batch]
) -> dict[str, float]:
    """Returns ``loss`` and ``loss_<term>`` over a whole set: each sum divided by its whole count.

    ``batches`` hold every image once, over all processes.
    """

    def measure() -> list[dict[str, tuple[float, float]]]:
        return [
            {name: (float(one.total), float(one.count)) for name, one in loss_terms(batch).items()}
            for batch in batches
        ]

    # Exact sums, so that the number does not depend on which process had which batch.
    rows = [row for part in gather_work(measure) for row in part]
    losses = {
        name: math.fsum(row[name][0] for row in rows)
        / max(math.fsum(row[name][1] for row in rows), 1)
        for name in (rows[0] if rows else ())
    }
    return {"loss": sum(losses.values()), **{f"loss_{name}": x for name, x in losses.items()}}


def gather_work(work: Callable[[], Value]) -> list[Value]:
    """Does this process's part of some work, and returns the parts of all, in the order of ranks.

    Raises:
        RunInterrupted: a signal came to one of the processes.
    """
    result: Value | None = None
    interruption: tuple[str, str] | None = None
    try:
        result = work()
    except RunInterrupted as error:
        interruption = error.signal_name, str(error)
    parts = distributed.gather((result, interruption))
    for _, one in parts:
        if one is not None:
            raise RunInterrupted(*one)
    return [part for part, _ in parts if part is not None]
