"""From a model and a data set to numbers: what ``facezoo eval`` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rich.progress
import torch

from facezoo.config.config import Config
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.errors import ConfigError
from facezoo.evaluation.evaluated_set import EvaluatedSet, describe_set, image_files, open_set
from facezoo.evaluation.find_faces import describe_times, time_metrics
from facezoo.evaluation.prediction_cache import PredictionCache, prediction_key
from facezoo.evaluation.report import write_report
from facezoo.evaluation.truth import with_truth
from facezoo.evaluation.validation import Judgement, judge
from facezoo.factory import build_evaluators
from facezoo.inference.batch_limit import BATCH_SIZE
from facezoo.inference.detector import Detector
from facezoo.inference.device import choose_device
from facezoo.inference.loading import LoadedModel, load_model
from facezoo.inference.protocols import configured_protocol
from facezoo.metrics.evaluate_predictions import slice_evaluators
from facezoo.metrics.evaluator import Evaluator
from facezoo.metrics.evaluators import CocoAP, OperatingPoint, RecallBySize, WiderFaceAP
from facezoo.models.face_detector import FaceDetector
from facezoo.terminal import terminal


@dataclass(frozen=True)
class Report:
    """What is to be said about the faces that are found; they do not depend on it.

    Attributes:
        names: image ids to restrict the evaluation to, as a set of its own.
        truth: folder of the official ``.mat`` files; by default ``eval_tools/ground_truth`` in or
            beside the data root, where it is there. Without them easy, medium and hard are
            approximated by size, under other names.
        slices: whether to add recall by what makes faces hard, landmark error, calibration and
            duplicates: the evaluators of ``facezoo.metrics.evaluate_predictions.slice_evaluators``.
        out: folder for numbers, predictions, curves and pictures.
    """

    names: Sequence[str] | None = None
    truth: str | Path | None = None
    slices: bool = False
    out: str | Path | None = None


def evaluate(
    model: str | Path | Mapping[str, Any] | Config | FaceDetector,
    *,
    data: str | Path | FaceDataset | None = None,
    weights: str | Path | None = None,
    protocol: str | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    allow_imports: bool = False,
    cache: str | Path | None = None,
    report: Report = Report(),
) -> dict[str, Any]:
    """Finds the faces of a data set with a model and judges them.

    Args:
        model: a detector, or what ``facezoo.inference.loading.load_model`` takes: a name in the
            zoo, a YAML file, a run folder, a checkpoint.
        data: a folder in the layout of WIDER FACE (its validation set is taken, with the landmarks
            of ``retinaface_labels/val/label.txt`` where that is there), a COCO json beside its
            images, or a data set; by default the config's validation set.
        weights: file of the weights, by default the model's own.
        protocol: the scale, such as ``vga`` or a name under ``evaluation.protocols`` of the config;
            by default the config's, else ``original``.
        overrides: changes of the config, such as ``["evaluation.score_thresh=0.05"]``.
        device: ``auto`` or a device of torch; a model that is built already stays where it is.
        batch_size: the most photographs that are predicted together; see ``Detector``.
        allow_imports: whether the config of a checkpoint may import plug-ins.
        cache: folder that keeps the faces found; those that are in it already, found in the same
            photographs in the same way, are not looked for again. Not for a model that is built
            already, nor for photographs that are in no files.
        report: which images are judged, by what, and where the outcome is written.

    Returns:
        The numbers by name, and with them what they depend on, such as ``protocol``; with a cache
        also ``from_cache``, how many images were not looked at again, else times per image.

    Raises:
        FacezooError: the config, the weights, the data or the truth is wrong or missing.
    """
    loaded: LoadedModel | None = None
    if isinstance(model, FaceDetector):
        if weights is not None or overrides or cache is not None:
            raise ConfigError(
                "Weights, overrides and a cache go with a model that is not built yet."
            )
        detector = Detector(model, protocol=protocol or "original", batch_size=batch_size)
    else:
        place = choose_device(device)
        loaded = load_model(model, weights, overrides, allow_imports=allow_imports)
        detector = _detector(loaded, place, protocol, batch_size)
    config = None if loaded is None else loaded.config
    opened = open_set(data, config, report.names)
    evaluators = with_truth(
        _evaluators(config, report.slices), report.truth, opened.root, opened.dataset
    )
    image_ids = [opened.dataset.image_id(i) for i in range(len(opened.dataset))]
    for evaluator in evaluators:
        evaluator.check(image_ids)
    kept: PredictionCache | None = None
    if cache is not None and loaded is not None:
        files = image_files(opened.dataset)
        kept = PredictionCache(Path(cache), prediction_key(loaded, detector), files)
    judgement = judge(detector, opened.dataset, evaluators, batch_size, _watched, kept)
    judgement = replace(judgement, metrics=judgement.metrics | time_metrics(judgement.search))
    described = _described(judgement, detector, loaded, opened, kept)
    if report.out is not None:
        write_report(Path(report.out), opened.dataset, judgement, described)
    return {**judgement.metrics, **described}


def _detector(
    loaded: LoadedModel,
    place: torch.device,
    protocol: str | Mapping[str, Any] | None,
    batch_size: int,
) -> Detector:
    """Returns the detector that a model and the section ``evaluation`` of its config make."""
    section = loaded.config["evaluation"]
    return Detector(
        loaded.model.to(place).to(memory_format=torch.channels_last),
        protocol=configured_protocol(loaded.config, protocol),
        score_thresh=section["score_thresh"],
        nms_thresh=section["nms_thresh"],
        batch_size=batch_size,
    )


def _described(
    judgement: Judgement,
    detector: Detector,
    loaded: LoadedModel | None,
    opened: EvaluatedSet,
    cache: PredictionCache | None,
) -> dict[str, Any]:
    """Returns what the numbers depend on."""
    described: dict[str, Any] = {}
    if loaded is not None:
        described = {"model": loaded.config.name, "weights": str(loaded.weights)}
    described |= describe_set(opened.dataset, judgement.truth, judgement.official_truth)
    if opened.landmarks is not None:
        described["landmarks"] = str(opened.landmarks)
    described |= detector.describe() | describe_times(judgement.search, detector)
    if cache is not None:
        described["from_cache"] = judgement.search.from_cache
    return described


def _evaluators(config: Config | None, slices: bool) -> list[Evaluator]:
    """Returns the config's evaluators or the usual ones, with ``slices`` those that it lacks."""
    if config is not None and config.get("evaluation.evaluators"):
        evaluators = build_evaluators(config)
    else:
        evaluators = [WiderFaceAP(), CocoAP(), OperatingPoint(), RecallBySize()]
    if slices:
        present = {type(evaluator) for evaluator in evaluators}
        evaluators += [one for one in slice_evaluators() if type(one) not in present]
    return evaluators


def _watched(batches: Iterable[list[int]]) -> Iterable[list[int]]:
    """Shows on a terminal how far it is."""
    console = terminal()
    return rich.progress.track(
        batches, "evaluating", console=console, transient=True, disable=not console.is_terminal
    )
