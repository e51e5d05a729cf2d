"""How much longer a whole training step takes than the bare network's forward and backward.

A whole step is what the engine does with a batch that is on the device: forward, assignment,
losses, backward, clipping, optimizer, and the average of the weights. The bare side is the same
model in the same precision and memory layout, from the same images to the raw outputs, and back
from random gradients on them; it has no optimizer step. With --compile, a second row of a setting
compares the engine's eager step with the compiled one.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import torch
from common import (
    Bare,
    Training,
    add_device,
    add_models,
    interleaved,
    make_parser,
    open_config,
    open_device,
    random_batch,
    report,
    run,
)

from facezoo.runs.build_trainer import chosen_algorithms
from facezoo.training.update import AUTOCAST_TYPES

AIMS = {20: 1.10, 1000: 1.25}
"""The largest ratio that facezoo promises, by faces per image."""
COLUMNS = {
    "model": "",
    "precision": "",
    "faces per image": "",
    "batch": "",
    "ratio": "",
    "value": ".2f",
    "aim": ".2f",
    "first (ms)": ".0f",
    "second (ms)": ".0f",
}


def main() -> None:
    parser = make_parser(__doc__, repeats=7)
    add_models(parser)
    add_device(parser)
    parser.add_argument(
        "--precisions", nargs="+", default=["fp32", "bf16"], choices=["fp32", *AUTOCAST_TYPES]
    )
    parser.add_argument(
        "--faces", nargs="+", type=int, default=[20, 1000], help="per image (20 1000)"
    )
    parser.add_argument(
        "--batch",
        nargs="+",
        type=int,
        default=[16, 4],
        help="images, one for each --faces, or one for all (16 4)",
    )
    parser.add_argument("--compile", action="store_true", help="time the compiled step as well")
    arguments = parser.parse_args()
    batches = arguments.batch
    if len(batches) == 1:
        batches = batches * len(arguments.faces)
    if len(arguments.faces) != len(batches):
        parser.error("give one --batch, or as many as --faces")
    device = open_device(arguments.device)
    rows = [
        row
        for model in arguments.models
        for precision in arguments.precisions
        for faces, batch_size in zip(arguments.faces, batches, strict=True)
        for row in measure(model, precision, faces, batch_size, arguments, device)
    ]
    title = f"A training step at {arguments.side} px, without data"
    report(title, COLUMNS, rows, device, arguments.json)


def measure(
    model: str,
    precision: str,
    faces: int,
    batch_size: int,
    arguments: argparse.Namespace,
    device: torch.device,
) -> Iterator[dict[str, Any]]:
    """Returns the rows of one setting."""
    config = open_config(model, arguments.side, batch_size, f"train.precision={precision}")
    training = Training(config, device)
    batch = training.trainer.on_device(random_batch(batch_size, arguments.side, faces))
    cases = {"whole": lambda: training.step(batch), "bare": Bare(training, batch.images)}
    if arguments.compile:
        torch.compiler.reset()  # else a second size of batch would be compiled for any size
        compiled = training.compiled_update()
        cases["compiled"] = lambda: training.step(batch, compiled)
    with chosen_algorithms(training.trainer):
        seconds = interleaved(cases, arguments.repeats, device)
    training.check_finite()
    for first, second, aim in (("whole", "bare", AIMS.get(faces)), ("whole", "compiled", None)):
        if second in seconds:
            yield {
                "model": model,
                "precision": precision,
                "faces per image": faces,
                "batch": batch_size,
                "ratio": f"{first} / {second}",
                "value": seconds[first] / seconds[second],
                "aim": aim,
                "first (ms)": 1000 * seconds[first],
                "second (ms)": 1000 * seconds[second],
            }


if __name__ == "__main__":
    run(main)
