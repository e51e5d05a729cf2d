"""From a model and a data set to numbers: what ``facezoo eval`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from facezoo.config.config import Config
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.errors import ConfigError
from facezoo.evaluation.evaluated_set import (
    describe_set,
    image_files,
    open_set,
    with_official_truth,
)
from facezoo.evaluation.judge import judge
from facezoo.evaluation.prediction_cache import PredictionCache, prediction_key
from facezoo.evaluation.report import write_report
from facezoo.factory import build_evaluators
from facezoo.inference.detector import BATCH_SIZE, Detector
from facezoo.metrics.evaluate_predictions import slice_evaluators
from facezoo.metrics.evaluator import Evaluator
from facezoo.metrics.evaluators import CocoAP, OperatingPoint, RecallBySize, WiderFaceAP
from facezoo.models.face_detector import FaceDetector
from facezoo.terminal import tracked


@dataclass(frozen=True)
class Report:
    """What is to be said about the faces that are found; they do not depend on it.

    Attributes:
        names: image ids to restrict the evaluation to, as a set of its own.
        truth: folder of the official ``.mat`` files; by default ``eval_tools/ground_truth`` in or
            beside the data root, where it is there. Without them easy, medium and hard are
            approximated by size, under other names.
        slices: whether to add recall by height, blur, occlusion ..., landmark error, calibration
            and duplicates: the evaluators of
            ``facezoo.metrics.evaluate_predictions.slice_evaluators``.
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
    is_built = isinstance(model, FaceDetector)
    if is_built and cache is not None:
        raise ConfigError("A cache goes with a model that is not built yet.")
    detector = Detector(
        model,
        weights=weights,
        overrides=overrides,
        allow_imports=allow_imports,
        protocol=protocol,
        device=None if is_built else device,
        batch_size=batch_size,
    )
    opened = open_set(data, detector.config, report.names)
    dataset = opened.dataset
    evaluators = with_official_truth(
        _evaluators(detector.config, report.slices), report.truth, opened.root, dataset
    )
    image_ids = [dataset.image_id(i) for i in range(len(dataset))]
    for evaluator in evaluators:
        evaluator.check(image_ids)
    kept: PredictionCache | None = None
    if cache is not None:
        kept = PredictionCache(Path(cache), prediction_key(detector), image_files(dataset))
    watch = partial(tracked, doing="evaluating")
    results = judge(detector, dataset, evaluators, batch_size, watch, kept)
    predictions = results.predictions
    results = replace(results, metrics=results.metrics | predictions.time_metrics())
    described = {
        **detector.describe(),
        **describe_set(dataset, results.truth, results.official_truth),
        **({} if opened.landmarks is None else {"landmarks": str(opened.landmarks)}),
        **predictions.describe_times(detector.device_name),
        **({} if kept is None else {"from_cache": predictions.from_cache}),
    }
    if report.out is not None:
        write_report(Path(report.out), dataset, results, described)
    return {**results.metrics, **described}


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
