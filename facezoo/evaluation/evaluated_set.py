"""What is evaluated: the photographs and their files, the truth, what is said of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facezoo.config.config import Config
from facezoo.data.build_data import build_dataset
from facezoo.data.datasets.annotated_images import AnnotatedImages, CocoFaces
from facezoo.data.datasets.combined import Concat, Subset
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.datasets.wider_face import WiderFace
from facezoo.errors import ConfigError, DataError
from facezoo.metrics.evaluator import Evaluator
from facezoo.metrics.evaluators import WiderFaceAP
from facezoo.metrics.matching import is_counted
from facezoo.metrics.official_truth import find_official_truth
from facezoo.structures import Truth

logger = logging.getLogger(__name__)

LANDMARKS = Path("retinaface_labels", "val", "label.txt")
"""Where a folder in the layout of WIDER FACE has RetinaFace's landmarks of its validation set."""


@dataclass(frozen=True)
class EvaluatedSet:
    """A data set that was opened for an evaluation.

    Attributes:
        dataset: the photographs.
        root: the folder of the data, or None where it has none.
        landmarks: a file of landmarks that was found in it and not asked for, or None.
    """

    dataset: FaceDataset
    root: Path | None = None
    landmarks: Path | None = None


def open_set(
    data: str | Path | FaceDataset | None,
    config: Config | None,
    names: Sequence[str] | None = None,
) -> EvaluatedSet:
    """Opens what is to be evaluated.

    Args:
        data: see ``facezoo.evaluation.evaluate.evaluate``.
        config: its validation set is taken where ``data`` is None.
        names: ids of the images to take, by default all.

    Raises:
        FacezooError: there is nothing to open, or it is malformed; a name is unknown.
    """
    opened = _open_whole(data, config)
    return opened if names is None else replace(opened, dataset=Subset(opened.dataset, list(names)))


def _open_whole(data: str | Path | FaceDataset | None, config: Config | None) -> EvaluatedSet:
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

    Args:
        evaluators: as they are built from a config.
        truth: folder of the official ``.mat`` files; by default that in or beside the data root.
        root: the data root, or None where there is none.
        dataset: what will be evaluated.

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
    if truth is None:
        ids = [dataset.image_id(i) for i in range(len(dataset))]
        unknown = [one for one in ids if one not in official.official.boxes]
        if unknown:
            logger.info(
                "%s does not know %d of the %d images, such as %s: easy, medium and hard are "
                "approximated by size.",
                *(found, len(unknown), len(ids), unknown[0]),
            )
            return list(evaluators)
    return [official if one in waiting else one for one in evaluators]


def describe_set(
    dataset: FaceDataset, truth: Mapping[str, Truth], official: Path | None
) -> dict[str, Any]:
    """Returns which photographs and faces the numbers of an evaluation are about.

    Args:
        dataset: the photographs.
        truth: their faces by image id.
        official: folder of the official files that easy, medium and hard are judged by, or None.
    """
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
