"""From a model and a data set to numbers: what ``facezoo eval`` does."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from facezoo.builder import build_evaluators
from facezoo.config.config import Config
from facezoo.data.build_data import build_dataset
from facezoo.data.datasets.annotated_images import AnnotatedImages, CocoFaces
from facezoo.data.datasets.combined import Concat, Subset
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.datasets.wider_face import WiderFace
from facezoo.errors import ConfigError, DataError
from facezoo.evaluation.judge import describe_set, judge
from facezoo.evaluation.prediction_cache import PredictionCache, prediction_key
from facezoo.evaluation.report import write_report
from facezoo.inference.detector import BATCH_SIZE, Detector
from facezoo.metrics.evaluate_predictions import slice_evaluators
from facezoo.metrics.evaluator import Evaluator
from facezoo.metrics.evaluators import CocoAP, OperatingPoint, RecallBySize, WiderFaceAP
from facezoo.metrics.official_truth import find_official_truth
from facezoo.models.face_detector import FaceDetector
from facezoo.writing import tracked

logger = logging.getLogger(__name__)

LANDMARKS = Path("retinaface_labels", "val", "label.txt")
"""Where a folder in the layout of WIDER FACE has RetinaFace's landmarks of its validation set."""


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
            of ``retinaface_labels/val/label.txt`` where that is there), or a COCO json beside its
            images; by default the config's validation set. In Python also a data set.
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
    opened = open_set(data, detector.config)
    dataset = opened.dataset
    if report.names is not None:
        dataset = Subset(dataset, list(report.names))
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


@dataclass(frozen=True)
class EvaluatedSet:
    """Photographs, the folder of the data, and landmarks that were found there without asking."""

    dataset: FaceDataset
    root: Path | None = None
    landmarks: Path | None = None


def open_set(data: str | Path | FaceDataset | None, config: Config | None) -> EvaluatedSet:
    """Opens what ``evaluate`` takes as ``data``, or the config's validation set where it is None.

    Raises:
        FacezooError: there is nothing to open, or it is malformed.
    """
    if isinstance(data, FaceDataset):
        return EvaluatedSet(data)
    if data is None:
        if config is None or not config.get("data.val"):
            raise ConfigError("There is nothing to evaluate on: give data, the root of a data set.")
        root = config.get("data.root")
        return EvaluatedSet(build_dataset(config, "val")[0], Path(root) if root else None)
    place = Path(data)
    if place.suffix.lower() == ".json":
        return EvaluatedSet(CocoFaces(place.parent, place), place.parent)
    if (place / LANDMARKS).is_file():
        return EvaluatedSet(WiderFace(place, "val", LANDMARKS), place, place / LANDMARKS)
    return EvaluatedSet(WiderFace(place, "val"), place)


def with_official_truth(
    evaluators: Sequence[Evaluator],
    truth: str | Path | None,
    root: Path | None,
    dataset: FaceDataset,
) -> list[Evaluator]:
    """Returns the evaluators, with the official truth for those that have none of their own.

    Truth that was found and not asked for is left out where it does not know the images.

    ``truth`` is the folder of the official ``.mat`` files, by default that in or beside ``root``,
    the folder of the data.

    Raises:
        DataError: ``truth`` is no folder, or the official files in it are damaged.
    """
    if truth is not None and not Path(truth).is_dir():
        raise DataError(f"There is no folder {truth} of the official .mat files.")
    found = Path(truth) if truth is not None else root and find_official_truth(root, root.parent)
    waiting = [one for one in evaluators if isinstance(one, WiderFaceAP) and one.truth is None]
    if not found or not waiting:
        return list(evaluators)
    official = WiderFaceAP(found)
    ids = [dataset.image_id(i) for i in range(len(dataset))]
    unknown = [one for one in ids if one not in official.official.boxes]
    if truth is None and unknown:
        logger.info(
            "%s does not know %d of the %d images, such as %s: easy, medium and hard are "
            "approximated by size.",
            *(found, len(unknown), len(ids), unknown[0]),
        )
        return list(evaluators)
    return [official if one in waiting else one for one in evaluators]


def image_files(dataset: FaceDataset) -> dict[str, Path]:
    """Returns the file of each photograph by image id.

    Raises:
        ConfigError: the photographs are in no files that are known, or the data set is not
            facezoo's and may give other pictures than those of the files.
    """
    names = [dataset.image_id(i) for i in range(len(dataset))]
    kind = type(dataset)
    if kind.__module__.partition(".")[0] == __name__.partition(".")[0]:
        if isinstance(dataset, AnnotatedImages):
            return {name: dataset.folder / name for name in names}
        if isinstance(dataset, Subset):
            files = image_files(dataset.dataset)
            return {name: files[name] for name in names}
        if isinstance(dataset, Concat):
            parts = map(image_files, dataset.datasets)
            return {name: file for files in parts for name, file in files.items()}
    raise ConfigError(
        f"A cache knows photographs by their files, and those of {kind.__module__}.{kind.__name__} "
        "may be in none or changed by its code; leave the cache out."
    )
