"""How much longer the bare network's step takes on a CPU without the engine's allocator settings.

Each measurement is a process of its own, as a C library cannot take the settings back; processes
with and without them take turns. Page faults say why: memory that was given back to the system has
to be mapped and cleared anew in each step.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import torch
from common import (
    Bare,
    Training,
    add_models,
    make_parser,
    open_config,
    random_batch,
    report,
    run,
    timed,
)

from facezoo.training.process import keep_freed_memory

CPU = torch.device("cpu")
WARM_UP_STEPS = 2
STEPS = 5
COLUMNS = {
    "model": "",
    "precision": "",
    "batch": "",
    "without / with": ".2f",
    "with (ms)": ".0f",
    "without (ms)": ".0f",
    "page faults per step, with": ",.0f",
    "without": ",.0f",
}


class Measured(NamedTuple):
    """The median seconds of a step, and its page faults."""

    seconds: float
    faults: float


def main() -> None:
    parser = make_parser(__doc__, repeats=3)
    add_models(parser, default=["retinaface_mnet025"])
    parser.add_argument(
        "--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"]
    )
    parser.add_argument("--batch", type=int, default=16, help="images (16)")
    arguments = parser.parse_args()
    if not keep_freed_memory():  # tried here, where it changes nothing that is measured
        raise SystemExit("The C library of this machine is not glibc: there is nothing to compare.")
    rows = []
    for model in arguments.models:
        for precision in arguments.precisions:
            found: dict[bool, list[Measured]] = {True: [], False: []}
            for _ in range(arguments.repeats):
                for keep, measured in found.items():
                    setting = (keep, model, precision, arguments.side, arguments.batch)
                    measured.append(in_new_process(setting))
            kept, given_back = (median(found[keep]) for keep in (True, False))
            rows.append(
                {
                    "model": model,
                    "precision": precision,
                    "batch": arguments.batch,
                    "without / with": given_back.seconds / kept.seconds,
                    "with (ms)": 1000 * kept.seconds,
                    "without (ms)": 1000 * given_back.seconds,
                    "page faults per step, with": kept.faults,
                    "without": given_back.faults,
                }
            )
    title = f"The bare network's step at {arguments.side} px, without and with kept memory"
    report(title, COLUMNS, rows, CPU, arguments.json)


def in_new_process(setting: tuple[bool, str, str, int, int]) -> Measured:
    """Returns what ``measure`` does in a process that has allocated nothing yet."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(measure, *setting).result()


def measure(keep: bool, model: str, precision: str, side: int, batch_size: int) -> Measured:
    """Returns the time and the page faults of a step of the bare network."""
    if keep:
        keep_freed_memory()
    training = Training(open_config(model, side, batch_size, f"train.precision={precision}"), CPU)
    batch = training.trainer.on_device(random_batch(batch_size, side, faces=1))
    bare = Bare(training, batch.images)
    for _ in range(WARM_UP_STEPS):
        bare()
    faults = page_faults()
    seconds = statistics.median(timed(bare, CPU) for _ in range(STEPS))
    return Measured(seconds, (page_faults() - faults) / STEPS)


def page_faults() -> int:
    """Returns how many pages the system has given to this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def median(measured: list[Measured]) -> Measured:
    """Returns the median of each number."""
    return Measured(*(statistics.median(values) for values in zip(*measured, strict=True)))


if __name__ == "__main__":
    run(main)
