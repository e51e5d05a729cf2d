"""How much longer a training step takes that reads its data than one whose batch is ready.

Both sides are the engine's whole step of the same model. With data, batches come from the
DataLoader's workers, transformed as the config says, and are copied to the device ahead. The sides
take turns; the workers run in the turns with data only, and a turn begins once what they had
ready before is used up. A step with data can be slower without any wait: on a CPU the workers take
cores from it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import (
    Training,
    add_device,
    add_models,
    make_parser,
    open_config,
    open_device,
    report,
    run,
    synchronize,
    timed,
)

from facezoo.data.build_data import build_dataset
from facezoo.data.loading.loader import prefetched, train_stream
from facezoo.runs.build_trainer import chosen_algorithms
from facezoo.structures import Batch

STEPS = 8
PREFETCHED_PER_WORKER = 2
"""Batches that a DataLoader has each worker make ahead."""
COLUMNS = {
    "model": "",
    "data": "",
    "batch": "",
    "workers": "",
    "cores": "",
    "with / without": ".2f",
    "waits for data": ".1%",
    "with (ms)": ".0f",
    "without (ms)": ".0f",
}


def main() -> None:
    cores = os.cpu_count() or 1
    workers = min(4, max(1, cores - 1))
    parser = make_parser(__doc__, repeats=5)
    add_models(parser, default=["retinaface_mnet025"])
    add_device(parser)
    parser.add_argument("--batch", type=int, default=16, help="images (16)")
    parser.add_argument("--workers", type=int, default=workers, help=f"that read ({workers} here)")
    parser.add_argument(
        "--root", type=Path, help="in the layout of WIDER FACE; without it faces are drawn"
    )
    arguments = parser.parse_args()
    device = open_device(arguments.device)
    rows = [measure(model, arguments, device) for model in arguments.models]
    title = f"A training step at {arguments.side} px, with data and without"
    report(title, COLUMNS, rows, device, arguments.json)


def measure(model: str, arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Returns the row of one model."""
    if arguments.root is None:
        drawn = f"{{_delete_: true, type: SyntheticFaces, image_size: {arguments.side}}}"
        source = [f"data.train.dataset={drawn}"]
    else:
        # Not every copy has RetinaFace's landmarks; a step does the same work without them.
        source = [f"data.root={arguments.root}", "data.train.dataset.landmarks=null"]
    config = open_config(model, arguments.side, arguments.batch, *source)
    training = Training(config, device)
    dataset, transforms = build_dataset(config, "train")

    def open_stream(start_step: int) -> Iterator[Batch]:
        stream = train_stream(
            dataset,
            transforms,
            arguments.batch,
            config["train.seed"],
            start_step=start_step,
            workers=arguments.workers,
            pin_memory=device.type == "cuda",
        )
        return prefetched(stream, device)

    skipped = PREFETCHED_PER_WORKER * arguments.workers + 2
    withs, withouts, waits = [], [], []
    with chosen_algorithms(training.trainer):
        for turn in range(arguments.repeats):
            stream = open_stream(turn * (skipped + STEPS))
            for _ in range(skipped):
                batch = next_batch(training, stream)
                training.step(batch)
            seconds, waited = time_with_data(training, stream)
            stream.close()  # ends the workers
            withs.append(seconds)
            waits.append(waited)
            training.step(batch)  # not timed: the workers may still be ending
            withouts.append(timed(partial(training.step, batch), device, STEPS))
    training.check_finite()
    with_data, without = statistics.median(withs), statistics.median(withouts)
    return {
        "model": model,
        "data": config["data.train.dataset.type"],
        "batch": arguments.batch,
        "workers": arguments.workers,
        "cores": os.cpu_count(),
        "with / without": with_data / without,
        "waits for data": sum(waits) / sum(withs),
        "with (ms)": 1000 * with_data,
        "without (ms)": 1000 * without,
    }


def next_batch(training: Training, stream: Iterator[Batch]) -> Batch:
    """Returns the next batch, ready for a step."""
    return training.trainer.on_device(next(stream))


def time_with_data(training: Training, stream: Iterator[Batch]) -> tuple[float, float]:
    """Returns the seconds of a step and, of these, those in which it waits for its batch."""
    waited = 0.0
    synchronize(training.device)
    started = time.perf_counter()
    for _ in range(STEPS):
        asked = time.perf_counter()
        batch = next_batch(training, stream)
        waited += time.perf_counter() - asked
        training.step(batch)
    synchronize(training.device)
    return (time.perf_counter() - started) / STEPS, waited / STEPS


if __name__ == "__main__":
    run(main)
