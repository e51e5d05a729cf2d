"""What the benchmarks share: what is measured, the clock, and the table.

A benchmark prints ratios of times that were taken in turn in one run (A B A B ...), so that
whatever else the machine does meets both sides alike, and the medians of the repetitions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from facezoo.builder import build_model, build_optimizer, without_pretrained
from facezoo.config.config import Config, load_config
from facezoo.data.loading.samples import collate
from facezoo.environment import environment
from facezoo.errors import FacezooError
from facezoo.inference.loading import choose_device
from facezoo.runs.build_trainer import build_schedule
from facezoo.structures import Batch, Sample
from facezoo.training.hooks.ema import EMA
from facezoo.training.process import keep_freed_memory
from facezoo.training.trainer import Trainer
from facezoo.training.update import AUTOCAST_TYPES, Update

MODELS = ("retinaface_mnet025", "retinaface_r50")
FACE_HEIGHTS = (8, 200)
LANDMARKS = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
"""Where the landmarks of a random face are, as shares of its box."""
WARM_UP_ROUNDS = 2
GPU_CALLS = 10
"""Calls that one repetition times on a GPU, so that the host runs ahead of it as in a run."""


def make_parser(description: str | None, repeats: int) -> argparse.ArgumentParser:
    """Returns a parser with the options of every benchmark."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=640, help="of the images, in pixels (640)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    if repeats:
        parser.add_argument(
            "--repeats", type=int, default=repeats, help=f"of each side of a ratio ({repeats})"
        )
    return parser


def add_models(parser: argparse.ArgumentParser, default: Sequence[str] = MODELS) -> None:
    """Adds the option that names the models."""
    parser.add_argument(
        "--models", nargs="+", default=list(default), help=f"by name ({' '.join(default)})"
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the device."""
    parser.add_argument("--device", default="auto", help="as train.device takes it (auto)")


def open_device(name: str) -> torch.device:
    """Returns the device, set up as the engine does; call it before the first large tensor."""
    device = choose_device(name)
    if device.type == "cpu":
        keep_freed_memory()
    return device


def open_config(name: str, side: int, batch_size: int, *overrides: str) -> Config:
    """Returns a config of the zoo for these sizes, with random weights that do not move.

    A learning rate of zero costs an update nothing of its work, and lets all repetitions see the
    same weights.
    """
    sizes = [f"data.image_size={side}", f"data.batch_size={batch_size}", "optimizer.lr=0"]
    return without_pretrained(load_config(name, [*sizes, *overrides]))


def run(main: Callable[[], None]) -> None:
    """Calls a benchmark; an error that the user can put right is one sentence."""
    try:
        main()
    except FacezooError as error:
        raise SystemExit(str(error)) from None


class Training:
    """A model, its optimizer and its average as the engine sets them up for a run, without data.

    Args:
        config: what is trained.
        device: where.

    Attributes:
        trainer: of the model; it does not run.
    """

    def __init__(self, config: Config, device: torch.device) -> None:
        torch.manual_seed(0)
        self.settings = config.sections.train
        self.device = device
        model = build_model(config)
        if self.settings.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.model = model.to(device).train()
        self.optimizer = build_optimizer(config, self.model)
        batch_size = config["data.batch_size"]
        self.trainer = Trainer(
            self.model,
            self.optimizer,
            build_schedule(config),
            _no_stream,
            samples_per_epoch=batch_size,
            batch_size=batch_size,
            settings=self.settings,
            config=config,
        )
        self._average = EMA()
        self._average.before_train(self.trainer)
        self._update = Update(self.model, self.optimizer, self.settings)

    def step(self, batch: Batch, update: Update | None = None) -> None:
        """Makes a whole step: forward, assignment, losses, backward, clipping, update, average."""
        _, self._bad = (update or self._update)(batch)
        self._average.after_step(self.trainer)

    def compiled_update(self) -> Update:
        """Returns an update of the same weights with forward and loss compiled."""
        return Update(self.model, self.optimizer, replace(self.settings, compile=True))

    def check_finite(self) -> None:
        """Ends the benchmark where a loss was not finite: such a step leaves work out."""
        if self._bad:
            raise SystemExit("A loss was not finite, so the times mean nothing.")


class Bare:
    """Forward and backward of the network alone, in the precision and memory layout of a run.

    From uint8 images to the raw outputs, and back from random gradients on them. No assignment, no
    loss, no clipping, no optimizer, no average.
    """

    def __init__(self, training: Training, images: Tensor) -> None:
        self._training = training
        self._images = images
        self._gradients = [torch.randn_like(one) for one in self._outputs()]

    def __call__(self) -> None:
        """Makes one pass and forgets its gradients."""
        torch.autograd.backward(self._outputs(), self._gradients)
        self._training.optimizer.zero_grad(set_to_none=True)

    def _outputs(self) -> list[Tensor]:
        precision = AUTOCAST_TYPES.get(self._training.settings.precision)
        device = self._training.device.type
        with torch.autocast(device, precision, enabled=precision is not None):
            raw = self._training.model(self._images)
        outputs = (raw.logits, raw.boxes, raw.landmarks, raw.quality)
        return [one for one in outputs if one is not None]


def random_batch(batch_size: int, side: int, faces: int) -> Batch:
    """Returns noise with the same number of random faces in each image, the same every time.

    Heights are log-uniform from 8 to 200 px (less where the image is small), every second face has
    landmarks.
    """
    generator = np.random.default_rng(0)
    return collate([_random_sample(str(one), side, faces, generator) for one in range(batch_size)])


def _random_sample(name: str, side: int, faces: int, generator: np.random.Generator) -> Sample:
    low, high = FACE_HEIGHTS
    logarithm = generator.uniform(np.log(low), np.log(min(high, 0.9 * side)), faces)
    height = np.exp(logarithm)
    size = np.stack([height * generator.uniform(0.7, 0.9, faces), height], axis=1)
    corner = generator.random((faces, 2)) * (side - size)
    landmarks = corner[:, None] + size[:, None] * np.array(LANDMARKS)
    landmarks[::2] = np.nan
    return Sample(
        image=generator.integers(0, 256, (side, side, 3), dtype=np.uint8),
        boxes=np.concatenate([corner, corner + size], axis=1).astype(np.float32),
        landmarks=landmarks.astype(np.float32),
        ignore=np.zeros(faces, np.bool_),
        labels=np.zeros(faces, np.int64),
        image_id=name,
    )


def synchronize(device: torch.device) -> None:
    """Waits until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def timed(call: Callable[[], Any], device: torch.device, calls: int = 1) -> float:
    """Returns the seconds of a call, the mean of several."""
    synchronize(device)
    started = time.perf_counter()
    for _ in range(calls):
        call()
    synchronize(device)
    return (time.perf_counter() - started) / calls


def interleaved(
    cases: Mapping[str, Callable[[], Any]], repeats: int, device: torch.device
) -> dict[str, float]:
    """Returns the median seconds of each case, which take turns; the first rounds do not count."""
    calls = 1 if device.type == "cpu" else GPU_CALLS
    for _ in range(WARM_UP_ROUNDS):
        for case in cases.values():
            case()
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(repeats):
        for name, case in cases.items():
            seconds[name].append(timed(case, device, calls))
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(
    title: str,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    device: torch.device,
    json_file: Path | None,
) -> None:
    """Prints a table and the machine it was measured on, and writes both where asked to.

    Args:
        title: what was measured.
        columns: format of each column's values, such as ``.2f``; where a row has none, a dash.
        rows: values by column.
        device: of the measurement.
        json_file: where the values go too, or None.
    """
    made_on = machine(device)
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, justify="left" if isinstance(rows[0].get(name), str) else "right")
    for row in rows:
        values = ((row.get(name), how) for name, how in columns.items())
        table.add_row(*("-" if value is None else format(value, how) for value, how in values))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:  # where nobody can widen the window, no column is cut
        console.width = 200
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in made_on.items()))
    if json_file is not None:
        content = {"title": title, "machine": made_on, "rows": [dict(row) for row in rows]}
        json_file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def machine(device: torch.device) -> dict[str, str]:
    """Returns what a time depends on beside the code."""
    known = environment()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return {
        "device": name,
        "processor": f"{_processor()} ({os.cpu_count()} cores)",
        "threads": known["threads"],
        "torch": known["torch"],
        "facezoo": known["facezoo"],
        "python": known["python"],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not on Linux
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _no_stream(step: int) -> Iterator[Batch]:
    raise NotImplementedError("a benchmark gives the batches itself")
