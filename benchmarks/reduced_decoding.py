"""What decoding at a part of the scale saves on large photographs.

A JPEG of a drawn scene, large as those of cameras, goes through one transform, decoded whole and
as the transform needs it; the core's work for it is timed, in turns.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from common import make_parser, open_device, report, run

from facezoo.data.datasets.annotated_images import AnnotatedImages, Annotations
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.data.images import write_image
from facezoo.data.loading.reading import PLAIN_READING, Reading
from facezoo.data.loading.sampler import TrainPlan
from facezoo.data.loading.samples import SampleMaker
from facezoo.data.transforms import Letterbox, SquareCrop
from facezoo.data.transforms.transform import Transform

COLUMNS = {"transform": "", "whole (ms)": ".1f", "reduced (ms)": ".1f", "times as fast": ".2f"}


def main() -> None:
    parser = make_parser(__doc__, repeats=9)
    parser.add_argument("--width", type=int, default=4000, help="of the photograph (4000)")
    parser.add_argument("--height", type=int, default=3000, help="of the photograph (3000)")
    arguments = parser.parse_args()
    device = open_device("cpu")
    cv2.setNumThreads(0)  # as in a worker
    side = arguments.side
    cases: dict[str, Transform] = {
        f"Letterbox({side})": Letterbox(side),
        f"SquareCrop({side}), shares 0.3 to 1": SquareCrop(side),
        f"SquareCrop({side}), shares 0.3 to 2": SquareCrop(side, (0.3, 2.0)),
    }
    with tempfile.TemporaryDirectory() as folder:
        dataset = photograph(Path(folder), arguments.height, arguments.width)
        rows = [
            {"transform": name, **measure(dataset, transform, arguments.repeats)}
            for name, transform in cases.items()
        ]
    title = f"A JPEG of {arguments.width} x {arguments.height} pixels, per sample"
    report(title, COLUMNS, rows, device, arguments.json)


def photograph(folder: Path, height: int, width: int) -> AnnotatedImages:
    """Returns a data set of one JPEG of a drawn scene."""
    sample = SyntheticFaces(seed=5, num_images=1, image_size=(height, width))[0]
    write_image(folder / "scene.jpg", sample.image, jpeg_quality=90)
    annotations = Annotations(
        ["scene.jpg"],
        np.array([0, len(sample.boxes)]),
        sample.boxes.astype(np.float64),
        sample.ignore,
        sample.landmarks,
    )
    return AnnotatedImages(folder, annotations, folder / "scene.txt")


def measure(dataset: AnnotatedImages, transform: Transform, repeats: int) -> dict[str, float]:
    """Returns the mean milliseconds of a sample either way."""
    plan = TrainPlan(len(dataset), 1, 0)
    ways = {"whole (ms)": PLAIN_READING, "reduced (ms)": Reading(reduced=True)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for position in range(1 + repeats):
        for name, reading in ways.items():
            maker = SampleMaker(dataset, (transform,), plan, reading=reading)
            started = time.process_time()
            maker(position, [])
            found[name].append(1000 * (time.process_time() - started))
    # Squares of several sizes are drawn, so that the mean is of all of them.
    row = {name: statistics.fmean(values[1:]) for name, values in found.items()}
    return row | {"times as fast": row["whole (ms)"] / row["reduced (ms)"]}


if __name__ == "__main__":
    run(main)
