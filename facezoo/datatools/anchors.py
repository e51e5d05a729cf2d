"""Anchors that fit the faces of a data set, and how they compare with those of a config.

N faces and A anchors are arrays of widths and heights in pixels, N x 2 and A x 2.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2, vq

from facezoo.builder import build_model, without_pretrained
from facezoo.config.config import Config, load_config
from facezoo.data.build_data import build_dataset
from facezoo.data.loading.loader import train_stream
from facezoo.data.transforms.geometric import Letterbox
from facezoo.datatools.sample_pictures import open_samples
from facezoo.errors import ConfigError, DataError
from facezoo.geometry.priors import AnchorGrid
from facezoo.structures import Batch
from facezoo.writing import tracked

NUM, STRIDES = 9, (8, 16, 32)
"""YOLOv5's."""
IMAGE_SIZE, BATCH_SIZE = 640, 8
MAX_RATIO = 4.0
"""YOLOv5 assigns no anchor whose side is this many times the face's, or the other way round."""
STARTS, ITERATIONS = 10, 50
"""Of k-means; the closest clusters of all starts are kept."""
LEAST_SIDE = 0.1

Sides = NDArray[np.float64]
"""Width and height in pixels, n x 2."""


@dataclass(frozen=True)
class Fitness:
    """How well anchors fit faces, by the measures of YOLOv5's automatic anchors.

    The ratio of a face and an anchor is the largest of w / W, W / w, h / H and H / h.

    Attributes:
        best_possible_recall: share of the faces with an anchor whose ratio is below the limit; no
            more of them can be learned.
        anchors_per_face: anchors whose ratio is below the limit, on the mean over faces.
        mean_best_ratio: mean over faces of 1 / ratio of the best anchor; 1 is a perfect fit.
    """

    best_possible_recall: float
    anchors_per_face: float
    mean_best_ratio: float


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


def find_anchors(
    root: str | Path | None = None,
    *,
    config: str | Path | Mapping[str, Any] | Config | None = None,
    overrides: Sequence[str] = (),
    num: int | None = None,
    strides: Sequence[int] | None = None,
    image_size: int | None = None,
    images: int = 2000,
    seed: int = 0,
) -> FittedAnchors:
    """Finds anchors for the faces of a data set; no config is changed.

    Args:
        root: a folder in the layout of WIDER FACE, or a COCO json beside its images, whose
            photographs are scaled to ``image_size`` on their longer side; or else
        config: see ``load_config``; the faces are those of the first images that its training
            takes with this seed, behind its transforms.
        overrides: of the config.
        num: number of anchors (default: the config's, else 9).
        strides: of the features (default: the config's, else 8 16 32).
        image_size: of the network's input in pixels (default: the config's, else 640).
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
    own, batch_size, max_ratio = None, BATCH_SIZE, MAX_RATIO
    if config is None:
        stream = _open_root(Path(str(root)), overrides, image_size or IMAGE_SIZE, seed)
    else:
        sized = [] if image_size is None else [f"data.image_size={image_size}"]
        config = load_config(config, [*overrides, *sized])
        grid = _grid_of(config)
        stream = _open_config(config, seed)
        own, strides = np.concatenate(grid.sides_wh), strides or grid.strides
        batch_size = config["data.batch_size"]
        max_ratio = config.get("model.head.assigner.max_ratio", MAX_RATIO)
    num, strides = num or (NUM if own is None else len(own)), strides or STRIDES
    check_shared(num, strides)
    with closing(stream) as batches:  # type: ignore[type-var]  # a generator with workers
        count = -(-images // batch_size)
        sides = face_sides(tracked(islice(batches, count), "looking at faces", count))
    anchors = fit_anchors(sides, num, seed)
    return FittedAnchors(
        by_stride(anchors, strides),
        fitness(sides, anchors, max_ratio),
        None if own is None else fitness(sides, own, max_ratio),
        max_ratio,
        len(sides),
    )


def _open_root(root: Path, overrides: Sequence[str], image_size: int, seed: int) -> Iterator[Batch]:
    if not root.is_dir() and root.suffix.lower() != ".json":
        raise ConfigError(
            f"{root} is no folder and no json; name a data root, or a config with --config."
        )
    dataset, _ = open_samples(str(root), overrides=overrides)
    return train_stream(dataset, [Letterbox(image_size)], BATCH_SIZE, seed)


def _open_config(config: Config, seed: int) -> Iterator[Batch]:
    if config.get("data.train") is None:
        raise ConfigError(f"{config.name} has no data.train to take faces from; name a data root.")
    return train_stream(
        *build_dataset(config, "train"),
        config["data.batch_size"],
        seed,
        workers=config["data.workers"],
        sides=config.get("data.multi_scale"),
    )


def _grid_of(config: Config) -> AnchorGrid:
    """Returns the anchors that the head has, also where the config leaves them to it."""
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
        raise ConfigError(config.located(sentence))
    return head.grid


def face_sides(batches: Iterable[Batch]) -> Sides:
    """Returns width and height of the training faces in batches, without those of no area.

    Raises:
        DataError: an image cannot be read, or there is no face in any of them.
    """
    found = []
    for batch in batches:
        boxes = batch.targets.boxes[batch.targets.valid & ~batch.targets.ignore]
        found.append((boxes[:, 2:] - boxes[:, :2]).double().numpy())
    sides = np.concatenate(found)
    sides = sides[(sides > 0).all(axis=1)]
    if not len(sides):
        raise DataError(
            "There is no face to fit anchors to; look at more images, or name another data set."
        )
    return sides


def fit_anchors(sides: Sides, num: int, seed: int = 0) -> Sides:
    """Returns ``num`` anchors that lie close to faces, num x 2, smallest area first.

    k-means on the logarithms of width and height: an assignment by ratios asks how many times one
    side is another, and in logarithms that is a distance. In pixels the few large faces would take
    most of the anchors. Sides are rounded to a tenth of a pixel, and no less than that.

    Raises:
        DataError: the faces have fewer different sizes than that, or k-means finds fewer clusters.
    """
    if len(np.unique(sides.round(1), axis=0)) < num:
        raise DataError(
            f"The faces have fewer than {num} different sizes; look at more images, or ask for "
            "fewer anchors."
        )
    points, generator = np.log(sides), np.random.default_rng(seed)
    closest, least = None, np.inf
    for _ in range(STARTS):
        # A start that loses a cluster on the way would give fewer anchors than are asked for.
        try:
            centres, _ = kmeans2(
                points, num, iter=ITERATIONS, minit="++", missing="raise", seed=generator
            )
        except ClusterError:
            continue
        distance = float(vq(points, centres)[1].mean())
        if distance < least:
            closest, least = centres, distance
    if closest is None:
        raise DataError(
            f"k-means finds fewer than {num} clusters of these faces; ask for fewer anchors, or "
            "take another seed."
        )
    anchors = np.exp(closest).round(1).clip(min=LEAST_SIDE)
    return anchors[np.argsort(anchors.prod(axis=1), kind="stable")]


def fitness(sides: Sides, anchors: Sides, max_ratio: float = MAX_RATIO) -> Fitness:
    """Returns how well anchors fit faces.

    Args:
        sides: of the faces, N x 2.
        anchors: A x 2.
        max_ratio: limit of the ratio, ``max_ratio`` of the assigner ``RatioRule``.
    """
    ratios = sides[:, None] / anchors
    shares = np.minimum(ratios, 1 / ratios).min(axis=2)
    fits = shares > 1 / max_ratio
    return Fitness(
        float(fits.any(axis=1).mean()),
        float(fits.sum(axis=1).mean()),
        float(shares.max(axis=1).mean()),
    )


def check_shared(num: int, strides: Sequence[int]) -> None:
    """Raises a ConfigError where strides cannot share so many anchors equally."""
    wrong = len(set(strides)) < len(strides) or min(strides) < 1
    if num < 1 or wrong or num % len(strides):
        raise ConfigError(
            f"{num} anchors cannot be shared equally by the strides {list(strides)}; give "
            "different strides, and a multiple of their number of anchors."
        )


def by_stride(anchors: Sides, strides: Sequence[int]) -> dict[int, list[list[float]]]:
    """Returns anchors per stride, as a head takes them: the smallest for the finest.

    Args:
        anchors: A x 2, smallest area first.
        strides: of the features.

    Raises:
        ConfigError: the strides cannot share the anchors equally.
    """
    check_shared(len(anchors), strides)
    levels = np.split(anchors, len(strides))
    return {stride: level.tolist() for stride, level in zip(sorted(strides), levels, strict=True)}
