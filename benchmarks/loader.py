"""What each stage of the data loader costs, next to decoding alone.

The same photographs, in the order of training, go through ever more of the loader: their bytes are
read, or decoded, or both with their faces, then each transform of a config comes on top, then
collation. These run in this process, on one core, and are timed by the core's work for it, which
what else the machine does changes little. Last, the whole stream of training batches runs in worker
processes; it is timed by the clock, and its images per second are divided by the number of workers.
All cases take turns; files are in the system's memory from the second turn on, so that no disk is
measured.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import make_parser, open_config, open_device, report, run

from facezoo.builder import build_dataset
from facezoo.config import Config
from facezoo.data.collate import collate
from facezoo.data.datasets.annotations import AnnotatedImages
from facezoo.data.loader import train_stream
from facezoo.data.sampler import TrainPlan
from facezoo.data.samples import SampleMaker
from facezoo.data.transforms.albumentations import Albumentations
from facezoo.data.transforms.base import Transform

PREFETCHED_PER_WORKER = 2
"""Batches that a DataLoader has each worker make ahead."""
DECODE = "decode alone"
STREAM = "train_stream"
COLUMNS = {
    "stage": "",
    "images/s per core": ",.0f",
    "of decode alone": ".0%",
    "ms per image": ".2f",
    "more than the row above (ms)": ".2f",
}


def main() -> None:
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--root", type=Path, required=True, help="in the layout of WIDER FACE")
    parser.add_argument("--config", default="retinaface_mnet025", help="(retinaface_mnet025)")
    parser.add_argument("--batch", type=int, default=16, help="images (16)")
    parser.add_argument("--batches", type=int, default=4, help="of a turn of each stage (4)")
    parser.add_argument("--workers", type=int, default=1, help="of the whole stream (1)")
    arguments = parser.parse_args()
    device = open_device("cpu")
    cv2.setNumThreads(0)  # as in a worker
    # Not every copy has RetinaFace's landmarks; a loader does nearly the same work without them.
    source = [f"data.root={arguments.root}", "data.train.dataset.landmarks=null"]
    config = open_config(arguments.config, arguments.side, arguments.batch, *source)
    seconds = measure(config, arguments)
    title = (
        f"The loader of {arguments.config} at {arguments.side} px, batches of {arguments.batch}, "
        f"{STREAM} with --workers {arguments.workers}"
    )
    report(title, COLUMNS, rows_of(seconds), device, arguments.json)


def measure(config: Config, arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the median seconds per image of each stage."""
    dataset, transforms = build_dataset(config, "train")
    if not isinstance(dataset, AnnotatedImages):
        raise SystemExit("Photographs are measured: give a config whose data set reads files.")
    plan = TrainPlan(len(dataset), arguments.batch, config["train.seed"])
    images = arguments.batch * arguments.batches
    # What the workers make while they start, and ahead.
    skipped = PREFETCHED_PER_WORKER * arguments.workers + 1
    cases = {
        name: partial(time_stage, case)
        for name, case in stages(dataset, transforms, plan, images, skipped).items()
    }
    cases[STREAM] = partial(time_stream, dataset, transforms, plan, skipped, arguments)
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(1 + arguments.repeats):
        cases[DECODE]()  # does not count: workers may still be ending
        for name, case in cases.items():
            found[name].append(case() / images)
    return {name: statistics.median(values[1:]) for name, values in found.items()}


def stages(
    dataset: AnnotatedImages,
    transforms: Sequence[Transform],
    plan: TrainPlan,
    images: int,
    skipped: int,
) -> dict[str, Callable[[], None]]:
    """Returns what each stage does with some images, all stages before it included.

    Args:
        dataset: of photographs.
        transforms: of the config.
        plan: of a training run.
        images: how many are taken, whole batches.
        skipped: batches of the plan before them.
    """
    batch_size = plan.batch_size
    # Those that the stream is timed with.
    first = batch_size * skipped
    positions = range(first, first + images)
    indices = [next(plan.indices(position)) for position in positions]
    paths = [dataset.folder / dataset.image_id(index) for index in indices]
    files = [np.frombuffer(path.read_bytes(), np.uint8) for path in paths]

    def read() -> None:
        for path in paths:
            path.read_bytes()

    def decode() -> None:
        for data in files:
            cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)

    def make(maker: SampleMaker) -> None:
        for position in positions:
            maker(position, [])

    def make_batches(maker: SampleMaker) -> None:
        for start in positions[::batch_size]:
            collate([maker(start + place, []) for place in range(batch_size)])

    makers = [
        SampleMaker(dataset, tuple(transforms[:number]), plan)
        for number in range(len(transforms) + 1)
    ]
    cumulative = {"data set (bytes, checks, decoding, faces)": partial(make, makers[0])}
    for number, transform in enumerate(transforms, start=1):
        cumulative[f"+ {number}. {name_of(transform)}"] = partial(make, makers[number])
    return {
        "bytes alone": read,
        DECODE: decode,
        **cumulative,
        "+ collation": partial(make_batches, makers[-1]),
    }


def time_stage(case: Callable[[], None]) -> float:
    """Returns the seconds of a core that a stage takes."""
    started = time.process_time()
    case()
    return time.process_time() - started


def time_stream(
    dataset: AnnotatedImages,
    transforms: Sequence[Transform],
    plan: TrainPlan,
    skipped: int,
    arguments: argparse.Namespace,
) -> float:
    """Returns the seconds of the batches behind those skipped, times the workers that made them."""
    stream = train_stream(
        dataset, transforms, plan.batch_size, plan.seed, workers=arguments.workers
    )
    for _ in range(skipped):
        next(stream)
    started = time.perf_counter()
    for _ in range(arguments.batches):
        next(stream)
    seconds = time.perf_counter() - started
    stream.close()  # ends the workers
    return seconds * max(1, arguments.workers)


def name_of(transform: Transform) -> str:
    """Returns the name by which a config lists a transform."""
    if isinstance(transform, Albumentations):
        return f"albumentations.{transform.name}"
    return type(transform).__name__


def rows_of(seconds: Mapping[str, float]) -> list[dict[str, Any]]:
    """Returns the rows of the table; the costs of stages begin after decoding alone."""
    rows: list[dict[str, Any]] = []
    before = None
    for name, value in seconds.items():
        row = {
            "stage": name,
            "images/s per core": 1 / value,
            "of decode alone": seconds[DECODE] / value,
            "ms per image": 1000 * value,
        }
        if before is not None:
            row["more than the row above (ms)"] = 1000 * (value - before)
        rows.append(row)
        before = value if name != "bytes alone" else None
    return rows


if __name__ == "__main__":
    run(main)
