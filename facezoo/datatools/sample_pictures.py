"""Pictures of samples with what is annotated in them, before and after the transforms."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from facezoo.config.config import load_config
from facezoo.data.build_data import build_dataset
from facezoo.data.datasets.annotated_images import CocoFaces, YoloFaces
from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.datasets.wider_face import WiderFace
from facezoo.data.images import write_image
from facezoo.data.loading.sampler import TrainPlan
from facezoo.data.loading.samples import SampleMaker
from facezoo.data.transforms.transform import Transform
from facezoo.errors import ConfigError, DataError
from facezoo.inference.drawing import (
    BOX_COLOUR,
    FONT,
    LANDMARK_COLOURS,
    contact_sheet,
    draw_landmarks,
    fit_square,
)
from facezoo.structures import Sample

IGNORED_COLOUR = (160, 90, 255)
LEGEND = {"face": BOX_COLOUR, "ignored": IGNORED_COLOUR} | dict(
    zip(
        ("eye left", "eye right", "nose", "mouth left", "mouth right"),
        LANDMARK_COLOURS,
        strict=True,
    )
)
LEGEND_HEIGHT = 24
TILE, GAP = 400, 8


def open_samples(
    source: str, split: Literal["train", "val"] = "train", overrides: Sequence[str] = ()
) -> tuple[FaceDataset, list[Transform] | None]:
    """Opens a data root, or the data set and the transforms of a config.

    Args:
        source: a folder in the layout of WIDER FACE or of YOLO, a COCO json beside its images, or a
            config (a name of the zoo or a YAML file).
        split: ``train`` or ``val``.
        overrides: of the config, such as ``["data.root=data/widerface"]``.

    Raises:
        FacezooError: the config or the data is wrong or missing, or overrides go with a root.
    """
    path = Path(source)
    is_json = path.suffix.lower() == ".json"
    if not is_json and not path.is_dir():
        return build_dataset(load_config(source, overrides), split)
    if overrides:
        raise ConfigError(
            f"{overrides[0]} changes a config, but {source} is data; name a config instead."
        )
    if is_json:
        return CocoFaces(path.parent, path), None
    if (path / "labels" / split).is_dir():
        return YoloFaces(path / "images" / split, path / "labels" / split), None
    labels = Path("retinaface_labels", split, "label.txt")
    return WiderFace(path, split, labels if (path / labels).is_file() else None), None


def write_samples(
    dataset: FaceDataset,
    transforms: Sequence[Transform] | None,
    out: Path,
    number: int = 12,
    seed: int = 0,
) -> list[Path]:
    """Writes a picture of each of the first samples that a training with a seed would take.

    With transforms, a picture has the sample before them on its left and after them on its right;
    they are those that training applies, drawn with the same random numbers (save that
    ``data.multi_scale`` would scale them). ``overview.jpg`` has all of them small.

    Args:
        dataset: where the samples come from.
        transforms: of a config; None shows each sample only as it is read.
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
    if not len(dataset):
        raise DataError(f"{type(dataset).__name__} has no image to show; name another split.")
    paths, tiles, half = [], [], (GAP // 2, GAP // 2)
    samples = _samples(dataset, transforms, min(number, len(dataset)), seed)
    for place, versions in enumerate(samples):
        drawn = [draw_sample(version) for version in versions]
        name = versions[0].image_id.rpartition("/")[2].rpartition(".")[0]
        paths.append(out / f"{place:03d}_{name}.jpg")
        height = max(map(len, drawn))
        padded = [_whitened(one, (0, height - len(one)), (GAP, 0)) for one in drawn]
        write_image(paths[-1], _with_legend(np.concatenate(padded, axis=1)[:, GAP:]))
        tiles += [_whitened(fit_square(one, TILE - GAP), half, half) for one in drawn]
    columns = 4 if transforms is None or len(tiles) > 2 else 2
    overview = out / "overview.jpg"
    write_image(overview, _with_legend(contact_sheet(tiles, columns)))
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
    for landmarks, box in zip(sample.landmarks, sample.boxes, strict=True):
        draw_landmarks(drawn, landmarks, box)
    return drawn


def _samples(
    dataset: FaceDataset, transforms: Sequence[Transform] | None, number: int, seed: int
) -> Iterator[list[Sample]]:
    """Yields each sample as it is read and, if there are transforms, as they leave it."""
    plan = TrainPlan(len(dataset), number, seed)
    make = SampleMaker(dataset, tuple(transforms or ()), plan)
    for position in plan(0):
        sample = dataset[next(plan.indices(position))]
        yield [sample] if transforms is None else [sample, make(position, [])]


def _whitened(
    image: NDArray[np.uint8], rows: tuple[int, int], columns: tuple[int, int]
) -> NDArray[np.uint8]:
    """Returns the image with so many white pixels before and after its rows and columns."""
    return np.pad(image, (rows, columns, (0, 0)), constant_values=255)


def _with_legend(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the image with the meaning of the colours below it, as much as fits its width."""
    legend = np.full((LEGEND_HEIGHT, image.shape[1], 3), 255, np.uint8)
    left = GAP
    for name, colour in LEGEND.items():
        (width, _), _ = cv2.getTextSize(name, FONT, 0.42, 1)
        cv2.circle(legend, (left + 5, LEGEND_HEIGHT // 2), 5, colour, cv2.FILLED, cv2.LINE_AA)
        cv2.putText(legend, name, (left + 15, 16), FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        left += width + 30
    return np.concatenate([image, legend])
