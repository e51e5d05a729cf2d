"""How good a model is on a data set: what evaluators say of the faces it finds, and its losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

from facezoo import distributed
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.loading.cache import ImageCache
from facezoo.data.transforms.transform import Transform
from facezoo.distributed import RunInterrupted
from facezoo.evaluation.find_faces import Predictions, find_faces, join_predictions
from facezoo.evaluation.prediction_cache import PredictionCache
from facezoo.inference.detector import Detector
from facezoo.inference.photographs import Watch, in_batches
from facezoo.inference.protocols import Protocol
from facezoo.metrics.evaluator import Curve, Evaluator
from facezoo.metrics.evaluators import WiderFaceAP
from facezoo.structures import Batch, LossTerm, Truth

Value = TypeVar("Value")


@dataclass(frozen=True)
class Validation:
    """The validation set of a run and how it is judged.

    Attributes:
        dataset: photographs with truth.
        transforms: what makes them batches of one size for the losses.
        batch_size: images per batch.
        workers: processes that load batches.
        evaluators: what judges the faces found.
        protocol: the scale at which faces are looked for.
        score_thresh: lowest score of a face.
        nms_thresh: IoU above which the worse of two faces is dropped.
        cache: of decoded photographs, for the losses; None decodes each time.
    """

    dataset: FaceDataset
    transforms: Sequence[Transform]
    batch_size: int
    workers: int
    evaluators: Sequence[Evaluator]
    protocol: Protocol
    score_thresh: float
    nms_thresh: float
    cache: ImageCache | None = None


@dataclass(frozen=True)
class EvaluationResults:
    """What was found in a data set, and what it is worth.

    Attributes:
        predictions: the faces found.
        truth: annotated faces by image id.
        metrics: by name, as the evaluators give them.
        curves: precision over recall by name.
        official_truth: folder of the official files by which easy, medium and hard were judged.
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
        watch: passes on the batches of indices, such as a progress bar.
        cache: gives the faces that are known already and keeps the others, or None.
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


@torch.no_grad()
def validation_loss(
    loss_terms: Callable[[Batch], Mapping[str, LossTerm]], batches: Iterable[Batch]
) -> dict[str, float]:
    """Returns ``loss`` and ``loss_<term>`` over a whole set: each sum divided by its whole count.

    Args:
        loss_terms: the model's loss terms of a batch.
        batches: every image once, over all processes.
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
