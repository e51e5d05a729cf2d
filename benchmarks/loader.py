"""What each stage of the data loader costs, next to decoding alone.

The same photographs, in the order of training, go through ever more of the loader: their bytes are
read, or decoded, or both with their faces, then each transform of a config comes on top, then
collation. Then the whole is done in other ways: with the fast colour jitter in place of
albumentations', with the colours left to the device, and each with decoded photographs from a
cache. These run in this process, on one core, and are timed by the core's work for it, which
what else the machine does changes little. Last, whole streams of training batches run in worker
processes; they are timed by the clock, and their images per second are divided by the number of
workers. All cases take turns; files are in the system's memory from the second turn on, so that no
disk is measured.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
from common import make_parser, open_config, open_device, report, run

from facezoo.config.config import Config
from facezoo.data.build_data import build_dataset
from facezoo.data.datasets.annotated_images import AnnotatedImages
from facezoo.data.loading.cache import ImageCache
from facezoo.data.loading.loader import train_stream
from facezoo.data.loading.sampler import TrainPlan
from facezoo.data.loading.samples import SampleMaker
from facezoo.data.loading.workers import SharedImages, packed
from facezoo.data.transforms import ColorJitter
from facezoo.data.transforms.albumentations_adapter import Albumentations
from facezoo.data.transforms.transform import Transform

PREFETCHED_PER_WORKER = 2
"""Batches that a DataLoader has each worker make ahead."""
DECODE = "decode alone"
STREAM = "train_stream"
AS_IN_CONFIG = "as in the config"
CACHE_LIMIT = 2**31
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
    parser.add_argument("--split", default="train", help="train or val (train)")
    parser.add_argument("--config", default="retinaface_mnet025", help="(retinaface_mnet025)")
    parser.add_argument("--batch", type=int, default=16, help="images (16)")
    parser.add_argument("--batches", type=int, default=4, help="of a turn of each stage (4)")
    parser.add_argument("--workers", type=int, default=1, help="of the whole stream (1)")
    arguments = parser.parse_args()
    device = open_device("cpu")
    cv2.setNumThreads(0)  # as in a worker
    # Not every copy has RetinaFace's landmarks; a loader does nearly the same work without them.
    source = [f"data.root={arguments.root}", "data.train.dataset.landmarks=null"]
    source.append(f"data.train.dataset.split={arguments.split}")
    config = open_config(arguments.config, arguments.side, arguments.batch, *source)
    with TemporaryDirectory() as folder:
        seconds = measure(config, arguments, ImageCache(folder, CACHE_LIMIT))
    title = (
        f"The loader of {arguments.config} at {arguments.side} px, batches of {arguments.batch}, "
        f"{STREAM} with --workers {arguments.workers}"
    )
    report(title, COLUMNS, rows_of(seconds), device, arguments.json)


def measure(config: Config, arguments: argparse.Namespace, cache: ImageCache) -> dict[str, float]:
    """Returns the median seconds per image of each stage."""
    dataset, transforms = build_dataset(config, "train")
    if not isinstance(dataset, AnnotatedImages):
        raise SystemExit("Photographs are measured: give a config whose data set reads files.")
    plan = TrainPlan(len(dataset), arguments.batch, config["train.seed"])
    images = arguments.batch * arguments.batches
    # What the workers make while they start, and ahead.
    skipped = PREFETCHED_PER_WORKER * arguments.workers + 1
    timed_stages = stages(dataset, transforms, plan, images, skipped)
    streams: dict[str, Callable[[], float]] = {}
    for name, (ways, kept) in recipes(transforms, cache).items():
        maker = SampleMaker(dataset, ways, plan, cache=kept)
        label = "+ collation, in shared memory" if name == AS_IN_CONFIG else f"whole, {name}"
        timed_stages[label] = partial(
            make_batches, maker, SharedImages(1), skipped, arguments.batches
        )
        streams[f"{STREAM}, {name}"] = partial(time_stream, maker, skipped, arguments)
    cases = {name: partial(time_stage, case) for name, case in timed_stages.items()} | streams
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

    makers = [
        SampleMaker(dataset, tuple(transforms[:number]), plan)
        for number in range(len(transforms) + 1)
    ]
    cumulative = {"data set (bytes, checks, decoding, faces)": partial(make, makers[0])}
    for number, transform in enumerate(transforms, start=1):
        cumulative[f"+ {number}. {name_of(transform)}"] = partial(make, makers[number])
    return {"bytes alone": read, DECODE: decode, **cumulative}


def recipes(
    transforms: Sequence[Transform], cache: ImageCache
) -> dict[str, tuple[tuple[Transform, ...], ImageCache | None]]:
    """Returns the ways of making whole batches: the transforms of samples, and the cache."""
    fast, without = [], []
    for transform in transforms:
        is_jitter = name_of(transform) == "albumentations.ColorJitter"
        fast.append(fast_jitter(transform) if is_jitter else transform)
        without += [] if is_jitter else [transform]
    ways = {AS_IN_CONFIG: transforms}
    if len(without) < len(transforms):
        ways |= {"with ColorJitter": fast, "colours left to the device": without}
    return {name: (tuple(way), None) for name, way in ways.items()} | {
        f"{name}, cached": (tuple(way), cache) for name, way in ways.items()
    }


def fast_jitter(jitter: Transform) -> ColorJitter:
    """Returns facezoo's colour jitter with the arguments of albumentations'."""
    runner = jitter.runner
    return ColorJitter(
        brightness=runner.brightness[1] - 1,
        contrast=runner.contrast[1] - 1,
        saturation=runner.saturation[1] - 1,
        hue=runner.hue[1],
        p=jitter.p,
    )


def make_batches(maker: SampleMaker, shared: SharedImages, skipped: int, batches: int) -> None:
    """Makes batches as a worker does, and lets go of them as a training does."""
    for step in range(skipped, skipped + batches):
        samples = [maker(position, []) for position in maker.plan(step)]
        shared.open(packed(samples, shared, 0))


def time_stage(case: Callable[[], None]) -> float:
    """Returns the seconds of a core that a stage takes."""
    started = time.process_time()
    case()
    return time.process_time() - started


def time_stream(maker: SampleMaker, skipped: int, arguments: argparse.Namespace) -> float:
    """Returns the seconds of the batches behind those skipped, times the workers that made them."""
    stream = train_stream(
        maker.dataset,
        maker.transforms,
        maker.plan.batch_size,
        maker.plan.seed,
        workers=arguments.workers,
        cache=maker.cache,
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
        if before is not None and name.startswith(("data set", "+")):
            row["more than the row above (ms)"] = 1000 * (value - before)
        rows.append(row)
        before = value if name != "bytes alone" else None
    return rows


if __name__ == "__main__":
    run(main)
