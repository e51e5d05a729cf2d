"""How good a model is on a validation set: its losses, and the protocols' numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from facezoo import distributed
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.loading.reading import PLAIN_READING, Reading
from facezoo.data.transforms.transform import Transform
from facezoo.distributed import RunInterrupted
from facezoo.evaluation.find_faces import NO_SEARCH, Search, Watch, find_faces, join
from facezoo.evaluation.mistakes import find_mistakes, fit, mistakes_page, page
from facezoo.evaluation.prediction_cache import PredictionCache
from facezoo.inference.detector import Detector
from facezoo.inference.drawing import draw_faces
from facezoo.inference.protocols import Protocol
from facezoo.metrics.evaluator import Curve, Evaluator
from facezoo.metrics.evaluators import WiderFaceAP
from facezoo.structures import Batch, Faces, LossTerm, Truth

SHOWN_IMAGES = 12
SHOWN_SIDE = 384
SHOWN_SCORE = 0.5
BEST_THRESHOLD = "operating_point/best_threshold"

Result = TypeVar("Result")


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
        reading: how batches for the losses are read.
    """

    dataset: FaceDataset
    transforms: Sequence[Transform]
    batch_size: int
    workers: int
    evaluators: Sequence[Evaluator]
    protocol: Protocol
    score_thresh: float
    nms_thresh: float
    reading: Reading = PLAIN_READING


@dataclass(frozen=True)
class Judgement:
    """What was found in a data set, and what it is worth.

    Attributes:
        predictions: faces by image id.
        truth: annotated faces by image id.
        metrics: by name, as the evaluators give them.
        curves: precision over recall by name.
        official_truth: folder of the official files by which easy, medium and hard were judged.
        search: how the faces were found; an empty one for faces that come from elsewhere.
    """

    predictions: dict[str, Faces]
    truth: dict[str, Truth]
    metrics: dict[str, float]
    curves: dict[str, Curve]
    official_truth: Path | None = None
    search: Search = NO_SEARCH


def judge(
    detector: Detector,
    dataset: FaceDataset,
    evaluators: Sequence[Evaluator],
    batch_size: int = 8,
    watch: Watch = iter,
    cache: PredictionCache | None = None,
) -> Judgement:
    """Finds the faces of every photograph of a data set and judges them.

    Several processes take turns with the batches, which are those of one process, and each gets
    the whole judgement.

    Args:
        detector: finds faces.
        dataset: photographs with truth.
        evaluators: give numbers.
        batch_size: photographs that are given to the detector at once.
        watch: passes on the batches of indices, such as a progress bar.
        cache: gives the faces that are known already and keeps the others, or None.
    """
    count, share = len(dataset), distributed.share()
    batches = [list(range(i, min(i + batch_size, count))) for i in range(0, count, batch_size)]
    own = batches[share.rank :: share.world_size]
    search = join(gather_work(lambda: find_faces(detector, dataset, own, watch, cache)))
    predictions = {dataset.image_id(i): search.faces[dataset.image_id(i)] for i in range(count)}
    truth = {dataset.image_id(i): dataset.truth(i) for i in range(count)}
    metrics: dict[str, float] = {}
    curves: dict[str, Curve] = {}
    if distributed.is_main():
        for evaluator in evaluators:
            result = evaluator(predictions, truth)
            metrics |= result.metrics
            curves |= result.curves
    metrics, curves = distributed.from_main((metrics, curves))
    return Judgement(predictions, truth, metrics, curves, _official_truth(evaluators), search)


def _official_truth(evaluators: Sequence[Evaluator]) -> Path | None:
    folders = [one.truth for one in evaluators if isinstance(one, WiderFaceAP)]
    return next((folder for folder in folders if folder is not None), None)


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


def gather_work(work: Callable[[], Result]) -> list[Result]:
    """Does this process's part of some work, and returns the parts of all, in the order of ranks.

    Raises:
        RunInterrupted: a signal came to one of the processes.
    """
    result: Result | None = None
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


def predictions_page(dataset: FaceDataset, judgement: Judgement) -> NDArray[np.uint8]:
    """Returns a page of the first photographs with the faces found."""
    score_thresh = shown_threshold(judgement)
    tiles = []
    for i in range(min(SHOWN_IMAGES, len(dataset))):
        faces = judgement.predictions[dataset.image_id(i)]
        drawn = draw_faces(dataset[i].image, faces[faces.scores >= score_thresh])
        tiles.append(fit(drawn, SHOWN_SIDE))
    return page(tiles, columns=4)


def shown_threshold(judgement: Judgement) -> float:
    """Returns the score from which pictures show faces: that of the best F1 where it is known."""
    return judgement.metrics.get(BEST_THRESHOLD, SHOWN_SCORE)


def mistake_pages(dataset: FaceDataset, judgement: Judgement) -> dict[str, NDArray[np.uint8]]:
    """Returns a page of the largest misses and one of the false alarms with the best scores."""
    places = {dataset.image_id(i): i for i in range(len(dataset))}
    misses, alarms = find_mistakes(
        judgement.predictions, judgement.truth, shown_threshold(judgement)
    )

    def read(image_id: str) -> NDArray[np.uint8]:
        return dataset[places[image_id]].image

    return {
        "worst_misses": mistakes_page(misses, read, "px"),
        "worst_false_alarms": mistakes_page(alarms, read, ""),
    }
