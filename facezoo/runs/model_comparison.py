"""Several trained models side by side: how well they find faces, how fast, and of what size."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from facezoo.config.config import Config, load_config
from facezoo.data.build_data import build_dataset
from facezoo.errors import FacezooError
from facezoo.inference.detector import Detector
from facezoo.inference.protocols import configured_protocol
from facezoo.runs.run import TrainResult
from facezoo.runs.run_config import CONFIG
from facezoo.training.checkpoint_files import last_checkpoint
from facezoo.writing import COUNTS, show_number
from facezoo.zoo.model_size import ModelSize, model_size

logger = logging.getLogger(__name__)

SUBSETS = ("easy", "medium", "hard")
PRECISION = {
    **{f"widerface/{one}": f"AP {one}" for one in SUBSETS},
    **{f"widerface_by_size/{one}": f"AP {one} (by size)" for one in SUBSETS},
    "coco/ap50": "AP50",
}
"""Headings of average precisions by their metrics; by size are those without official truth."""
RECALL = "recall_by_size/"
IMAGES, ROUNDS = 10, 5
FAILED, ABSENT, OTHER_SET = "failed", "-", " *"
SIDE, VGA = 640, "640x480"
THRESHOLDS = ("score threshold", "NMS IoU")
MEASURES = ("ms per image", "million parameters", f"GMACs {VGA}", f"GFLOPs {SIDE}x{SIDE}")


@dataclass(frozen=True)
class ComparedModel:
    """A row of the comparison.

    Attributes:
        name: of the config.
        folder: the run folder.
        failure: why the training failed; empty where it did not, and then nothing else is known.
        protocol: the scale at which the model was evaluated and timed.
        score_thresh: lowest score of a face, at both.
        nms_thresh: IoU above which the worse of two faces was dropped, at both.
        metrics: average precisions, and recall by the height of the faces, by name.
        on_first_set: whether they are of the validation set that the first model's are of.
        ms_per_image: from the decoded photograph to its faces; None where it was not timed.
        size: of the model; None where its weights could not be had.
    """

    name: str
    folder: Path
    failure: str = ""
    protocol: str = ""
    score_thresh: float | None = None
    nms_thresh: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    on_first_set: bool = True
    ms_per_image: float | None = None
    size: ModelSize | None = None


@dataclass(frozen=True)
class ModelComparison:
    """Rows, and what their numbers depend on.

    Attributes:
        models: in the order of their training.
        device: where they were timed; empty where none was.
        threads: of the CPU.
        images: photographs that each was timed on.
        untimed: sentences that say which models were not timed, and why.
        note: stands beside each number, such as "sample run on synthetic faces"; often empty.
    """

    models: Sequence[ComparedModel]
    device: str = ""
    threads: int = 0
    images: int = 0
    untimed: Sequence[str] = ()
    note: str = ""


def compare_models(results: Sequence[TrainResult]) -> ModelComparison:
    """Compares trained models; each keeps its protocol, and the rest is the same for all.

    Average precision and recall are those of the last evaluation of each run, and its last weights
    are timed: all models find the faces of the same photographs of the first run's validation set,
    one photograph at a time and the models in turns, so that what else the machine does meets all
    of them alike. A model that cannot be loaded or timed keeps its row, with what is known of it.

    Args:
        results: of ``train_many``.

    Raises:
        ConfigError: the config in a run folder cannot be read.
    """
    configs = {one.name: load_config(one.folder / CONFIG) for one in results if not one.failure}
    untimed: list[str] = []
    detectors = _load_detectors(results, configs, untimed)
    sizes: dict[str, ModelSize] = {}
    times: dict[str, float] = {}
    images = 0
    for name, detector in detectors.items():
        with _noting(f"The operations of {name} were not counted", untimed):
            sizes[name] = model_size(detector.model)
    if detectors:
        with _noting("No model was timed", untimed):
            photographs = _photographs(next(iter(configs.values())))
            times, images = time_detectors(detectors, photographs), len(photographs)
    sets = {one.name: _validation_set(configs[one.name]) for one in results if _compared(one)}
    first_set = next(iter(sets.values()), None)
    models = [
        ComparedModel(one.name, one.folder, one.failure)
        if one.failure
        else ComparedModel(
            one.name,
            one.folder,
            protocol=configured_protocol(configs[one.name]).name(),
            score_thresh=configs[one.name]["evaluation.score_thresh"],
            nms_thresh=configs[one.name]["evaluation.nms_thresh"],
            metrics=_compared(one),
            on_first_set=sets.get(one.name, first_set) == first_set,
            ms_per_image=times.get(one.name),
            size=sizes.get(one.name),
        )
        for one in results
    ]
    device = next((one.device_name for one in detectors.values()), "")
    note = next((one.note for one in results if one.note), "")
    return ModelComparison(models, device, torch.get_num_threads(), images, untimed, note)


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


def _load_detectors(
    results: Sequence[TrainResult], configs: Mapping[str, Config], untimed: list[str]
) -> dict[str, Detector]:
    """Returns the detectors of the runs that have weights, by name."""
    detectors = {}
    for one in results:
        checkpoint = None if one.failure else last_checkpoint(one.folder)
        if checkpoint is None:
            continue
        config = configs[one.name]
        with _noting(f"{one.name} was not timed", untimed):
            detectors[one.name] = Detector(
                checkpoint,
                allow_imports=True,  # as its training, in this process, has done already
                protocol=configured_protocol(config),
                device=config["train.device"],
                batch_size=1,
            )
    return detectors


@contextmanager
def _noting(what: str, sentences: list[str]) -> Iterator[None]:
    """Turns an error into a sentence: hours of training are worth more than a number."""
    try:
        yield
    except FacezooError as error:
        sentences.append(f"{what}: {error}")
    except Exception as error:
        logger.exception("%s.", what)
        sentences.append(f"{what}: {type(error).__name__}: {error}")


def _validation_set(config: Config) -> dict[str, Any]:
    """Returns what fixes the photographs and the faces that a run is evaluated on."""
    return {"root": config.get("data.root"), **config.get("data.val.dataset", {})}


def _photographs(config: Config) -> list[NDArray[np.uint8]]:
    """Returns photographs from all over the validation set, or else the training set."""
    dataset, _ = build_dataset(config, "val" if config.get("data.val") else "train")
    count = min(IMAGES, len(dataset))
    return [dataset[i].image for i in np.linspace(0, len(dataset) - 1, count).astype(int).tolist()]


def _compared(result: TrainResult) -> dict[str, float]:
    """Returns what is compared of the metrics of a run: average precision, then recall."""
    found = {name.removeprefix("val/"): value for name, value in result.metrics.items()}
    names = [name for name in PRECISION if name in found]
    names += [name for name in found if name.startswith(RECALL) and not name.endswith(COUNTS)]
    return {name: found[name] for name in names}


def comparison_table(comparison: ModelComparison) -> Table:
    """Returns a table with a row for each model."""
    note = f" ({comparison.note})" if comparison.note else ""
    table = Table(title=Text(f"Models{note}"), title_justify="left", box=box.SIMPLE_HEAD)
    headings, rows = _cells(comparison)
    for place, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if place < 2 else "right"
        table.add_column(Text(heading.replace(" ", "\n")), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def table_remarks(comparison: ModelComparison) -> list[str]:
    """Returns the sentences that belong below the table."""
    sentences = [f"{one.name} failed: {one.failure}" for one in comparison.models if one.failure]
    others = [one.name for one in comparison.models if not one.on_first_set]
    if others:
        sentences.append(
            f"{', '.join(name + OTHER_SET for name in others)}: of another validation set than the "
            "first row, with whose AP and recall theirs cannot be compared."
        )
    names = _metrics(comparison.models)
    if any(name.startswith(RECALL) for name in names):
        sentences.append("Recall is by the height of the faces in pixels of the photograph.")
    if any(name.startswith("widerface_by_size/") for name in names):
        sentences.append("AP by size is not the official number: its subsets are cut by size.")
    sentences += [" ".join(one.split()) for one in comparison.untimed]
    if comparison.images:
        sentences.append(
            f"Times are from a decoded photograph to its faces at the model's protocol, one at a "
            f"time and in turns, on {comparison.images} photographs, {comparison.device}, "
            f"{comparison.threads} threads."
        )
    if any(one.size for one in comparison.models):
        sentences.append(
            f"GMACs count a multiplication and its addition as one, GFLOPs as two; {VGA} has three "
            f"quarters of the pixels of {SIDE}x{SIDE}."
        )
    return sentences


def write_model_table(comparison: ModelComparison, folder: Path) -> None:
    """Writes ``comparison.json`` and ``comparison.md`` to a folder.

    Args:
        comparison: what they hold.
        folder: made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {one.name: getattr(comparison, one.name) for one in fields(comparison)}
    content["models"] = [_as_json(one) for one in comparison.models]
    (folder / "comparison.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    headings, rows = _cells(comparison)
    marks = ["---", "---", *["---:"] * (len(headings) - 2)]
    lines = [f"Numbers of a {comparison.note}.", ""] if comparison.note else []
    lines += [f"| {' | '.join(row)} |" for row in (headings, marks, *rows)]
    lines += ["", *(f"* {one}" for one in table_remarks(comparison))]
    (folder / "comparison.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _metrics(models: Sequence[ComparedModel]) -> list[str]:
    """Returns the names of the metrics that any model has: average precisions first."""
    names = dict.fromkeys(name for one in models for name in one.metrics)
    return sorted(names, key=lambda name: name not in PRECISION)


def _cells(comparison: ModelComparison) -> tuple[list[str], list[list[str]]]:
    """Returns the headings and the rows, as text."""
    names = _metrics(comparison.models)
    shown = [PRECISION.get(name, name.replace(RECALL, "recall ")) for name in names]
    rows = []
    for one in comparison.models:
        rows.append(
            [
                one.name if one.on_first_set else one.name + OTHER_SET,
                FAILED if one.failure else one.protocol,
                _text(one.score_thresh, "g"),
                _text(one.nms_thresh, "g"),
                *(show_number(x, one.metrics[x]) if x in one.metrics else ABSENT for x in names),
                _text(one.ms_per_image, ".1f"),
                *(_text(number, ".3f") for number in _size(one)),
            ]
        )
    return ["model", "protocol", *THRESHOLDS, *shown, *MEASURES], rows


def _size(one: ComparedModel) -> Sequence[float | None]:
    """Returns millions of parameters, GMACs and GFLOPs."""
    if one.size is None:
        return [None] * 3
    return [one.size.parameters / 1e6, one.size.macs_vga / 1e9, one.size.flops / 1e9]


def _text(value: float | None, form: str) -> str:
    return ABSENT if value is None else format(value, form)


def _as_json(one: ComparedModel) -> dict[str, Any]:
    size = one.size
    names = ("name", "failure", "protocol", "score_thresh", "nms_thresh", "on_first_set")
    return {
        **{name: getattr(one, name) for name in names},
        "folder": str(one.folder),
        **one.metrics,
        "ms_per_image": one.ms_per_image,
        "parameters": size and size.parameters,
        f"macs_{VGA}": size and size.macs_vga,
        f"flops_{SIDE}x{SIDE}": size and size.flops,
    }
