"""Anchors for a data set, as the training of a config or a plain scaling shows its faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import rich.progress

from facezoo.builder import build_dataset
from facezoo.config import Config, load_config
from facezoo.data.anchors import (
    MAX_RATIO,
    Fitness,
    Sides,
    by_stride,
    check_shared,
    face_sides,
    fit_anchors,
    fitness,
)
from facezoo.data.datasets.base import FaceDataset
from facezoo.data.loader import train_stream
from facezoo.data.transforms.base import Transform
from facezoo.data.transforms.letterbox import Letterbox
from facezoo.engine.sample_pictures import open_shown
from facezoo.engine.terminal import terminal
from facezoo.errors import ConfigError

NUM, STRIDES, IMAGE_SIZE, IMAGES = 9, (8, 16, 32), 640, 2000
"""What is taken where nothing else is said; the first two are YOLOv5's."""
BATCH_SIZE = 8
ANCHORS, RATIO = "model.head.anchors", "model.head.assigner.max_ratio"


@dataclass(frozen=True)
class FittedAnchors:
    """Anchors that were found, and how well they fit beside those of the config.

    Attributes:
        anchors: width and height in pixels per stride, as ``model.head.anchors`` takes them.
        fitness: of these anchors.
        own_fitness: of the anchors in the config, or None where it names none.
        max_ratio: the limit of a ratio that both are judged by.
        faces: how many faces the anchors were found from.
    """

    anchors: dict[int, list[list[float]]]
    fitness: Fitness
    own_fitness: Fitness | None
    max_ratio: float
    faces: int


@dataclass(frozen=True)
class _Source:
    """Where the faces come from, and what a config says of anchors."""

    dataset: FaceDataset
    transforms: Sequence[Transform]
    batch_size: int = BATCH_SIZE
    workers: int = 0
    scales: Sequence[int] | None = None
    own: Mapping[int, Sequence[Any]] | None = None
    max_ratio: float = MAX_RATIO


def find_anchors(
    root: str | Path | None = None,
    *,
    config: str | Path | Mapping[str, Any] | Config | None = None,
    overrides: Sequence[str] = (),
    num: int | None = None,
    strides: Sequence[int] | None = None,
    image_size: int | None = None,
    images: int = IMAGES,
    seed: int = 0,
) -> FittedAnchors:
    """Finds anchors for the faces of a data set; no config is changed.

    Args:
        root: a folder in the layout of WIDER FACE, or a COCO json beside its images, whose
            photographs are scaled to ``image_size`` on their longer side; or else
        config: see ``load_config``; the faces are those that its training is taught in its first
            images with this seed, behind its transforms.
        overrides: of the config.
        num: of anchors; by default as many as the config has, else 9.
        strides: of the features; by default the config's, else 8, 16 and 32.
        image_size: pixels; by default the config's, else 640.
        images: how many to look at, rounded up to whole batches.
        seed: of order, augmentation and k-means.

    Raises:
        FacezooError: both or neither of ``root`` and ``config`` are given, one of them is wrong, or
            no such anchors can be found.
    """
    if (root is None) == (config is None):
        raise ConfigError("Name a data root, or a config with --config: one of the two.")
    if seed < 0 or images < 1:
        raise ConfigError(
            f"--seed is {seed} and --images is {images}; look at 1 image at least, from a seed of "
            "at least 0."
        )
    if config is None:
        source = _of_root(Path(str(root)), overrides, image_size or IMAGE_SIZE)
    else:
        source = _of_config(config, overrides, image_size)
    own = None if source.own is None else _as_sides(source.own)
    num = num or (NUM if own is None else len(own))
    strides = strides or (STRIDES if source.own is None else [*source.own])
    check_shared(num, strides)
    sides = _sides(source, images, seed)
    anchors = fit_anchors(sides, num, seed)
    return FittedAnchors(
        by_stride(anchors, strides),
        fitness(sides, anchors, source.max_ratio),
        None if own is None else fitness(sides, own, source.max_ratio),
        source.max_ratio,
        len(sides),
    )


def _of_root(root: Path, overrides: Sequence[str], image_size: int) -> _Source:
    if not root.is_dir() and root.suffix.lower() != ".json":
        raise ConfigError(
            f"{root} is no folder and no json; name a data root, or a config with --config."
        )
    dataset = open_shown(str(root), "train", overrides).dataset
    return _Source(dataset, [Letterbox(image_size)])


def _of_config(
    source: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str],
    image_size: int | None,
) -> _Source:
    sized = [] if image_size is None else [f"data.image_size={image_size}"]
    config = load_config(source, [*overrides, *sized])
    if config.get("data.train") is None:
        raise ConfigError(f"{config.name} has no data.train to take faces from; name a data root.")
    dataset, transforms = build_dataset(config, "train")
    return _Source(
        dataset,
        transforms,
        config["data.batch_size"],
        config["data.workers"],
        config.get("data.multi_scale"),
        config.get(ANCHORS),
        config.get(RATIO, MAX_RATIO),
    )


def _as_sides(anchors: Mapping[int, Sequence[Any]]) -> Sides:
    """Returns anchors of a config, A x 2; a single number is the side of a square."""
    return np.array(
        [np.broadcast_to(one, 2) for level in anchors.values() for one in level], dtype=np.float64
    )


def _sides(source: _Source, images: int, seed: int) -> Sides:
    """Returns the sides of the faces in the first batches of a training."""
    stream = train_stream(
        source.dataset,
        source.transforms,
        source.batch_size,
        seed,
        workers=source.workers,
        sides=source.scales,
    )
    console, count = terminal(), -(-images // source.batch_size)
    with closing(stream):  # type: ignore[type-var]  # a generator, with which its workers end
        return face_sides(
            rich.progress.track(
                islice(stream, count),
                "looking at faces",
                count,
                console=console,
                transient=True,
                disable=not console.is_terminal,
            )
        )
