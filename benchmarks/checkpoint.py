"""What a checkpoint costs the training that goes on while it is written.

The step stands still while the state is copied; a thread then writes the copy beside the next
steps. Everything is told in steps of the same model: how long the step stands still, how long the
thread writes, how much slower a step is that begins before the thread is done, and what a save
costs in all (standing still, and what those steps take longer). State: weights, their average, and
AdamW's two moments.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
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
    random_batch,
    report,
    run,
    timed,
)

from facezoo.runs.build_trainer import chosen_algorithms
from facezoo.training.checkpoint import Snapshot, take_snapshot, write_snapshot

FACES = 20
WARM_UP_STEPS = 2
STEPS_ALONE = 2
COLUMNS = {
    "model": "",
    "batch": "",
    "stands still / step": ".3f",
    "writes / step": ".2f",
    "step beside writing / step": ".2f",
    "whole cost / step": ".2f",
    "step (ms)": ".0f",
    "stands still (ms)": ".1f",
    "writes (ms)": ".0f",
    "checkpoint (MiB)": ".1f",
}


def main() -> None:
    parser = make_parser(__doc__, repeats=5)
    add_models(parser)
    add_device(parser)
    parser.add_argument("--batch", type=int, default=16, help="images (16)")
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="on the disk to write to (the current one)"
    )
    arguments = parser.parse_args()
    device = open_device(arguments.device)
    rows = [measure(model, arguments, device) for model in arguments.models]
    title = f"A checkpoint, beside training steps at {arguments.side} px"
    report(title, COLUMNS, rows, device, arguments.json)


def measure(model: str, arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Returns the row of one model."""
    training = Training(open_config(model, arguments.side, arguments.batch), device)
    batch = training.trainer.on_device(random_batch(arguments.batch, arguments.side, FACES))

    def step() -> float:
        return timed(lambda: training.step(batch), device)

    alone, stands, writes, beside = [], [], [], []
    with (
        chosen_algorithms(training.trainer),
        tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
        ThreadPoolExecutor(1) as writer,
    ):
        for _ in range(WARM_UP_STEPS):
            step()
        for number in range(arguments.repeats):
            alone += [step() for _ in range(STEPS_ALONE)]
            started = time.perf_counter()
            snapshot = take_snapshot(training.trainer)
            stands.append(time.perf_counter() - started)
            place = Path(folder, str(number))
            writing = writer.submit(seconds_of_writing, snapshot, place)
            del snapshot
            steps = [step()]
            while not writing.done():
                steps.append(step())
            writes.append(writing.result())
            beside.append(steps)
        size = sum(path.stat().st_size for path in place.iterdir())
    training.check_finite()
    one, stand, write = (statistics.median(values) for values in (alone, stands, writes))
    longer = statistics.median(sum(steps) - len(steps) * one for steps in beside)
    return {
        "model": model,
        "batch": arguments.batch,
        "stands still / step": stand / one,
        "writes / step": write / one,
        "step beside writing / step": statistics.median(map(statistics.fmean, beside)) / one,
        "whole cost / step": (stand + longer) / one,
        "step (ms)": 1000 * one,
        "stands still (ms)": 1000 * stand,
        "writes (ms)": 1000 * write,
        "checkpoint (MiB)": size / 2**20,
    }


def seconds_of_writing(snapshot: Snapshot, folder: Path) -> float:
    """Writes a snapshot and returns how long that took."""
    started = time.perf_counter()
    write_snapshot(snapshot, folder)
    return time.perf_counter() - started


if __name__ == "__main__":
    run(main)
