"""From a model and a data set to numbers: what ``facezoo eval`` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.progress
import torch

from facezoo.builder import build_dataset, build_evaluators
from facezoo.config import Config
from facezoo.data.datasets.base import FaceDataset
from facezoo.data.datasets.coco import CocoFaces
from facezoo.data.datasets.subset import Subset
from facezoo.data.datasets.widerface import WiderFace
from facezoo.engine.report import write_report
from facezoo.engine.terminal import terminal
from facezoo.engine.truth import with_truth
from facezoo.engine.validation import judge
from facezoo.errors import ConfigError
from facezoo.evaluation import CocoAP, OperatingPoint, RecallBySize, WiderFaceAP
from facezoo.evaluation.base import Evaluator
from facezoo.evaluation.report import slice_evaluators
from facezoo.inference.detector import Detector
from facezoo.inference.device import choose_device
from facezoo.inference.limits import BATCH_SIZE
from facezoo.inference.loading import load_model
from facezoo.models.detector import FaceDetector


def evaluate(
    model: str | Path | Mapping[str, Any] | Config | FaceDetector,
    *,
    data: str | Path | FaceDataset | None = None,
    weights: str | Path | None = None,
    truth: str | Path | None = None,
    names: Sequence[str] | None = None,
    protocol: str | Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    allow_imports: bool = False,
    slices: bool = False,
) -> dict[str, Any]:
    """Finds the faces of a data set with a model and judges them.

    Args:
        model: a detector, or what ``facezoo.inference.loading.load_model`` takes: a name in the
            zoo, a YAML file, a run folder, a checkpoint.
        data: a folder in the layout of WIDER FACE (its validation set is taken), a COCO json
            beside its images, or a data set; by default the config's validation set.
        weights: file of the weights, by default the model's own.
        truth: folder of the official ``.mat`` files; by default ``eval_tools/ground_truth`` in or
            beside the data root, where it is there. Without them easy, medium and hard are
            approximated by size, under other names.
        names: image ids to restrict the evaluation to, as a set of its own.
        protocol: the scale, such as ``vga``; by default the config's, else ``original``.
        out: folder for numbers, predictions, curves and pictures.
        overrides: changes of the config, such as ``["evaluation.score_thresh=0.05"]``.
        device: ``auto`` or a device of torch; a model that is built already stays where it is.
        batch_size: the most photographs that are predicted together; see ``Detector``.
        allow_imports: whether the config of a checkpoint may import plug-ins.
        slices: whether to add recall by what makes faces hard, landmark error, calibration and
            duplicates: the evaluators of ``facezoo.evaluation.report.slice_evaluators``.

    Returns:
        The numbers by name, and with them what they depend on, such as ``protocol``.

    Raises:
        FacezooError: the config, the weights, the data or the truth is wrong or missing.
    """
    config: Config | None = None
    section: Mapping[str, Any] = {}
    described: dict[str, Any] = {}
    if isinstance(model, FaceDetector):
        if weights is not None or overrides:
            raise ConfigError("Weights and overrides go with a model that is not built yet.")
        network = model
    else:
        place = choose_device(device)
        loaded = load_model(model, weights, overrides, allow_imports=allow_imports)
        network = loaded.model.to(place).to(memory_format=torch.channels_last)
        config, section = loaded.config, loaded.config.data.get("evaluation") or {}
        described = {"model": config.name, "weights": str(loaded.weights)}
    dataset, root = _open(data, config)
    if names is not None:
        dataset = Subset(dataset, list(names))
    detector = Detector(
        network,
        protocol=protocol or section.get("protocol", "original"),
        score_thresh=section.get("score_thresh"),
        nms_thresh=section.get("nms_thresh"),
        batch_size=batch_size,
    )
    evaluators = with_truth(_evaluators(config, slices), truth, root, dataset)
    image_ids = [dataset.image_id(i) for i in range(len(dataset))]
    for evaluator in evaluators:
        evaluator.check(image_ids)
    judgement = judge(detector, dataset, evaluators, batch_size, watch=_watched)
    described |= {"images": len(dataset), **detector.describe()}
    if out is not None:
        write_report(Path(out), dataset, judgement, described)
    return {**judgement.metrics, **described}


def _open(
    data: str | Path | FaceDataset | None, config: Config | None
) -> tuple[FaceDataset, Path | None]:
    """Returns the data set and its root, where it has one."""
    if isinstance(data, FaceDataset):
        return data, None
    if data is None:
        if config is None or not config.get("data.val"):
            raise ConfigError("There is nothing to evaluate on: give data, the root of a data set.")
        root = config.get("data.root")
        return build_dataset(config, "val")[0], Path(root) if root else None
    place = Path(data)
    if place.suffix.lower() == ".json":
        return CocoFaces(place.parent, place), place.parent
    return WiderFace(place, "val"), place


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
