"""Pictures of samples with what is annotated in them, before and after the transforms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.config.config import load_config
from facezoo.data.build_data import build_dataset
from facezoo.data.datasets.coco_faces import CocoFaces
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.datasets.wider_face import WiderFace
from facezoo.data.images import write_image
from facezoo.data.loading.sampler import TrainPlan
from facezoo.data.loading.samples import SampleMaker
from facezoo.data.transforms.transform import Transform
from facezoo.errors import ConfigError, DataError
from facezoo.evaluation.mistakes import fit, page
from facezoo.inference.drawing import BOX_COLOUR, FONT, LANDMARK_COLOURS
from facezoo.structures import Sample

IGNORED_COLOUR = (160, 90, 255)
LANDMARKS = ("eye left", "eye right", "nose", "mouth left", "mouth right")
TILE = 400
GAP = 8
LEGEND_HEIGHT = 24


@dataclass(frozen=True)
class ShownData:
    """What samples are taken from.

    Attributes:
        dataset: of the photographs.
        transforms: of a config; None where a data root was named.
    """

    dataset: FaceDataset
    transforms: Sequence[Transform] | None


def open_shown(source: str, split: str, overrides: Sequence[str]) -> ShownData:
    """Opens a data root or the data of a config.

    Args:
        source: a folder in the layout of WIDER FACE, a COCO json beside its images, or a config (a
            name of the zoo or a YAML file).
        split: ``train`` or ``val``.
        overrides: of the config, such as ``["data.root=data/widerface"]``.

    Raises:
        FacezooError: the config or the data is wrong or missing, or overrides go with a root.
    """
    path = Path(source)
    is_json = path.suffix.lower() == ".json"
    if (path.is_dir() or is_json) and overrides:
        raise ConfigError(
            f"{overrides[0]} changes a config, but {source} is data; name a config instead."
        )
    if is_json:
        return ShownData(CocoFaces(path.parent, path), None)
    if path.is_dir():
        labels = Path("retinaface_labels", split, "label.txt")
        has_labels = (path / labels).is_file()
        return ShownData(WiderFace(path, split, labels if has_labels else None), None)  # type: ignore[arg-type]
    return ShownData(*build_dataset(load_config(source, overrides), split))  # type: ignore[arg-type]


def write_samples(shown: ShownData, out: Path, number: int, seed: int) -> list[Path]:
    """Writes a picture of each of the first samples that a training with a seed would take.

    With transforms, a picture has the sample before them on its left and after them on its right;
    they are those that training applies, drawn with the same random numbers (save that
    ``data.multi_scale`` would scale them). ``overview.jpg`` has all of them small.

    Args:
        shown: where they come from.
        out: folder of the pictures.
        number: of samples; no more than there are images.
        seed: of order and augmentation, as ``train.seed``.

    Returns:
        The pictures, the overview first.

    Raises:
        DataError: the data set is empty, or an image cannot be read.
        ConfigError: the number or the seed is out of range.
    """
    if number < 1 or seed < 0:
        raise ConfigError(
            f"--number is {number} and --seed is {seed}; show at least 1 sample, from a seed of at "
            "least 0."
        )
    if not len(shown.dataset):
        raise DataError(f"{type(shown.dataset).__name__} has no image to show; name another split.")
    paths, tiles = [], []
    for place, states in enumerate(_samples(shown, min(number, len(shown.dataset)), seed)):
        drawn = [draw_sample(state) for state in states]
        name = states[0].image_id.rpartition("/")[2].rpartition(".")[0]
        paths.append(out / f"{place:03d}_{name}.jpg")
        write_image(paths[-1], _with_legend(_side_by_side(drawn)))
        tiles += [_tile(one) for one in drawn]
    columns = 4 if shown.transforms is None or len(tiles) > 2 else 2
    overview = out / "overview.jpg"
    write_image(overview, _with_legend(page(tiles, columns)))
    return [overview, *paths]


def draw_sample(sample: Sample) -> NDArray[np.uint8]:
    """Returns a copy of a sample's image with its boxes and known landmarks.

    Ignored faces have a colour of their own; each landmark has the colour of its place, as in
    ``facezoo.inference.drawing``.
    """
    drawn = np.ascontiguousarray(sample.image).copy()
    line = max(1, round(max(drawn.shape[:2]) / 700))
    for box, ignored in zip(sample.boxes.round().astype(int), sample.ignore, strict=True):
        x1, y1, x2, y2 = box.tolist()
        colour = IGNORED_COLOUR if ignored else BOX_COLOUR
        # The last pixel inside a half-open box is one before its edge.
        cv2.rectangle(drawn, (x1, y1), (x2 - 1, y2 - 1), colour, line)
    sides = (sample.boxes[:, 2] - sample.boxes[:, 0]).tolist()
    for points, side in zip(sample.landmarks, sides, strict=True):
        for place in np.flatnonzero(np.isfinite(points).all(axis=1)).tolist():
            x, y = points[place].round().astype(int).tolist()
            radius = max(1, round(side / 28))
            cv2.circle(drawn, (x, y), radius, LANDMARK_COLOURS[place], cv2.FILLED, cv2.LINE_AA)
    return drawn


def _samples(shown: ShownData, number: int, seed: int) -> Iterator[list[Sample]]:
    """Yields of each sample its states: as it was read and, with transforms, behind them."""
    plan = TrainPlan(len(shown.dataset), number, seed)
    make = SampleMaker(shown.dataset, tuple(shown.transforms or ()), plan)
    for position in plan(0):
        sample = shown.dataset[next(plan.indices(position))]
        yield [sample] if shown.transforms is None else [sample, make(position, [])]


def _side_by_side(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    height = max(image.shape[0] for image in images)
    width = sum(image.shape[1] + GAP for image in images) - GAP
    sheet = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for image in images:
        sheet[: image.shape[0], left : left + image.shape[1]] = image
        left += image.shape[1] + GAP
    return sheet


def _tile(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns an image small, with white around it."""
    half = GAP // 2
    return np.pad(fit(image, TILE - GAP), ((half, half), (half, half), (0, 0)), constant_values=255)


def _with_legend(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the image with the meaning of the colours below it, as much as fits its width."""
    legend = np.full((LEGEND_HEIGHT, image.shape[1], 3), 255, np.uint8)
    left = GAP
    names = ("face", "ignored", *LANDMARKS)
    for name, colour in zip(names, (BOX_COLOUR, IGNORED_COLOUR, *LANDMARK_COLOURS), strict=True):
        (width, _), _ = cv2.getTextSize(name, FONT, 0.42, 1)
        cv2.circle(legend, (left + 5, LEGEND_HEIGHT // 2), 5, colour, cv2.FILLED, cv2.LINE_AA)
        cv2.putText(legend, name, (left + 15, 16), FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        left += width + 30
    return np.concatenate([image, legend])
