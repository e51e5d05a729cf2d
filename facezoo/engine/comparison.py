"""Several trained models side by side: how well they find faces, how fast, and of what size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from facezoo.builder import build_dataset
from facezoo.config import Config, load_config
from facezoo.engine.checkpoint_files import last_checkpoint
from facezoo.engine.run import TrainResult
from facezoo.engine.run_config import CONFIG
from facezoo.engine.terminal import COUNTS
from facezoo.inference.detector import Detector
from facezoo.inference.protocols import configured_protocol
from facezoo.zoo.model_size import ModelSize, model_size

SUBSETS = ("easy", "medium", "hard")
PRECISION = {
    **{f"widerface/{one}": f"AP {one}" for one in SUBSETS},
    **{f"widerface_by_size/{one}": f"AP {one} (by size)" for one in SUBSETS},
    "coco/ap50": "AP50",
}
"""Headings of average precisions by their metrics; by size are those without official truth."""
RECALL = "recall_by_size/"
SIDE = 640
IMAGES, ROUNDS = 10, 5


@dataclass(frozen=True)
class ComparedModel:
    """A row of the comparison.

    Attributes:
        name: of the config.
        folder: the run folder.
        failure: why the training failed; empty where it did not, and then nothing else is known.
        protocol: the scale at which the model was evaluated and timed.
        metrics: average precisions, and recall by the height of the faces, by name.
        ms_per_image: from the decoded photograph to its faces; None without weights.
        size: of the model; None without weights.
    """

    name: str
    folder: Path
    failure: str = ""
    protocol: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    ms_per_image: float | None = None
    size: ModelSize | None = None


@dataclass(frozen=True)
class Comparison:
    """Rows, and what their numbers depend on.

    Attributes:
        models: in the order of their training.
        device: where they were timed; empty where none was.
        threads: of the CPU.
        images: photographs that each was timed on.
        note: stands beside each number, such as "sample run on synthetic faces"; often empty.
    """

    models: Sequence[ComparedModel]
    device: str = ""
    threads: int = 0
    images: int = 0
    note: str = ""


def compare_models(results: Sequence[TrainResult]) -> Comparison:
    """Compares trained models; each keeps its protocol, and the rest is the same for all.

    Average precision and recall are those of the last evaluation of each run, and its last weights
    are timed: all models find the faces of the same photographs of the first run's validation set,
    one photograph at a time and the models in turns, so that what else the machine does meets all
    of them alike.

    Args:
        results: of ``train_many``.

    Raises:
        FacezooError: a checkpoint or a photograph cannot be read.
    """
    configs = {one.name: load_config(one.folder / CONFIG) for one in results if not one.failure}
    checkpoints = {one.name: last_checkpoint(one.folder) for one in results if not one.failure}
    detectors = {
        name: _detector(place, configs[name])
        for name, place in checkpoints.items()
        if place is not None
    }
    sizes = {name: model_size(detector.model) for name, detector in detectors.items()}
    photographs = _photographs(next(iter(configs.values()))) if detectors else []
    times = time_detectors(detectors, photographs)
    models = [
        ComparedModel(one.name, one.folder, one.failure)
        if one.failure
        else ComparedModel(
            one.name,
            one.folder,
            protocol=configured_protocol(configs[one.name]).name(),
            metrics=_compared(one.metrics),
            ms_per_image=times.get(one.name),
            size=sizes.get(one.name),
        )
        for one in results
    ]
    device = next((one.device_name for one in detectors.values()), "")
    note = next((one.note for one in results if one.note), "")
    return Comparison(models, device, torch.get_num_threads(), len(photographs), note)


def time_detectors(
    detectors: Mapping[str, Detector], photographs: Sequence[NDArray[np.uint8]]
) -> dict[str, float]:
    """Returns milliseconds per photograph of each detector: the mean of the photographs' medians.

    Args:
        detectors: by name; they take turns at each photograph.
        photographs: H x W x 3, RGB.
    """
    if not detectors or not photographs:
        return {}
    seconds = np.zeros((ROUNDS + 1, len(photographs), len(detectors)))
    for round_seconds in seconds:
        for row, photograph in zip(round_seconds, photographs, strict=True):
            for place, detector in enumerate(detectors.values()):
                start = perf_counter()
                detector([photograph])
                row[place] = perf_counter() - start
    # The first round warms up.
    means = 1000 * np.median(seconds[1:], axis=0).mean(axis=0)
    return dict(zip(detectors, means.tolist(), strict=True))


def _detector(checkpoint: Path, config: Config) -> Detector:
    return Detector(
        checkpoint,
        allow_imports=True,  # as its training, in this process, has done already
        protocol=configured_protocol(config),
        device=config["train.device"],
        batch_size=1,
    )


def _photographs(config: Config) -> list[NDArray[np.uint8]]:
    """Returns photographs from all over the validation set, or else the training set."""
    dataset, _ = build_dataset(config, "val" if config.get("data.val") else "train")
    count = min(IMAGES, len(dataset))
    return [dataset[i].image for i in np.linspace(0, len(dataset) - 1, count).astype(int).tolist()]


def _compared(metrics: Mapping[str, float]) -> dict[str, float]:
    """Returns what is compared of the metrics of a run: average precision, then recall."""
    found = {name.removeprefix("val/"): one for name, one in metrics.items()}
    precision = {name: found[name] for name in PRECISION if name in found}
    recall = {
        name: one
        for name, one in found.items()
        if name.startswith(RECALL) and not name.endswith(COUNTS)
    }
    return precision | recall
