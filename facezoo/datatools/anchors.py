"""Anchors for a data set, as the training of a config or a plain scaling shows its faces."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import rich.progress
import torch

from facezoo.config.config import Config, load_config
from facezoo.config.sections import located
from facezoo.data.build_data import build_dataset
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.loading.loader import train_stream
from facezoo.data.transforms.letterbox import Letterbox
from facezoo.data.transforms.transform import Transform
from facezoo.datatools.anchor_fitness import (
    MAX_RATIO,
    Fitness,
    Sides,
    by_stride,
    check_shared,
    face_sides,
    fit_anchors,
    fitness,
)
from facezoo.datatools.sample_pictures import open_shown
from facezoo.errors import ConfigError
from facezoo.factory import build_model, without_pretrained
from facezoo.geometry.grid import AnchorGrid
from facezoo.terminal import terminal

NUM, STRIDES, IMAGE_SIZE, IMAGES = 9, (8, 16, 32), 640, 2000
"""What is taken where nothing else is said; the first two are YOLOv5's."""
BATCH_SIZE = 8
RATIO = "model.head.assigner.max_ratio"


@dataclass(frozen=True)
class FittedAnchors:
    """Anchors that were found, and how well they fit beside those of the config.

    Attributes:
        anchors: width and height in pixels per stride, as ``model.head.anchors`` takes them.
        fitness: of these anchors.
        own_fitness: of the anchors that the config's head has, or None without a config.
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
    """Where the faces come from, and the anchors and the limit of a config's head."""

    dataset: FaceDataset
    transforms: Sequence[Transform]
    batch_size: int = BATCH_SIZE
    workers: int = 0
    scales: Sequence[int] | None = None
    grid: AnchorGrid | None = None
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
        num: of anchors; by default as many as the config's head has, else 9.
        strides: of the features; by default those of the config's head, else 8, 16 and 32.
        image_size: pixels; by default the config's, else 640.
        images: how many to look at, rounded up to whole batches.
        seed: of order, augmentation and k-means.

    Raises:
        FacezooError: both or neither of ``root`` and ``config`` are given, one of them is wrong,
            the config's head has no anchors, or no such anchors can be found.
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
    grid = source.grid
    own = None if grid is None else np.array([one for level in grid.sides_wh for one in level])
    num = num or (NUM if own is None else len(own))
    strides = strides or (STRIDES if grid is None else grid.strides)
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
    grid = _anchors_of(config)
    dataset, transforms = build_dataset(config, "train")
    return _Source(
        dataset,
        transforms,
        config["data.batch_size"],
        config["data.workers"],
        config.get("data.multi_scale"),
        grid,
        config.get(RATIO, MAX_RATIO),
    )


def _anchors_of(config: Config) -> AnchorGrid:
    """Returns the anchors that the head has, also where the config leaves them to it.

    Raises:
        ConfigError: the model is wrong, or its head has points instead.
    """
    config = without_pretrained(config)
    try:
        with torch.device("meta"):
            head = build_model(config).head
    except RuntimeError:  # a part needs real numbers to be built
        head = build_model(config).head
    if "anchors" not in inspect.signature(type(head)).parameters:
        sentence = (
            f"model.head: {type(head).__name__} has a point in each cell and takes no anchors; "
            "name the config of a head with anchors, or a data root"
        )
        raise ConfigError(located(sentence, config.tree))
    return head.grid


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
