"""Several trained models side by side: how well they find faces, how fast, and of what size."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
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
MACS, FLOPS = f"macs_{VGA}", f"flops_{SIDE}x{SIDE}"
MEASURES = ("ms per image", "million parameters", f"GMACs {VGA}", f"GFLOPs {SIDE}x{SIDE}")


@dataclass(frozen=True)
class ModelComparison:
    """What ``comparison.json`` holds: a row for each model, and what their numbers depend on.

    Attributes:
        models: in the order of their training, see ``model_row``.
        device: where they were timed; empty where none was.
        threads: of the CPU.
        images: photographs that each was timed on.
        untimed: sentences that say which models were not timed, and why.
        note: stands beside each number, such as "sample run on synthetic faces"; often empty.
    """

    models: Sequence[dict[str, Any]]
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
    models = [
        model_row(one, configs.get(one.name), times.get(one.name), sizes.get(one.name))
        for one in results
    ]
    _mark_other_sets(models, configs)
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


def model_row(
    result: TrainResult, config: Config | None, milliseconds: float | None, size: ModelSize | None
) -> dict[str, Any]:
    """Returns what is known of a model; None is unknown, as all is of one that failed."""
    found = {name.removeprefix("val/"): value for name, value in result.metrics.items()}
    return {
        "name": result.name,
        "failure": result.failure,
        "protocol": "" if config is None else configured_protocol(config).name(),
        "score_thresh": config and config["evaluation.score_thresh"],
        "nms_thresh": config and config["evaluation.nms_thresh"],
        "on_first_set": True,
        "folder": str(result.folder),
        **{name: found[name] for name in _compared(found)},
        "ms_per_image": milliseconds,
        "parameters": size and size.parameters,
        MACS: size and size.macs_vga,
        FLOPS: size and size.flops,
    }


def _compared(names: Iterable[str]) -> list[str]:
    """Returns the metrics among some names that are compared: average precision, then recall."""
    recalls = [name for name in names if name.startswith(RECALL) and not name.endswith(COUNTS)]
    return [*(name for name in PRECISION if name in names), *recalls]


def _mark_other_sets(models: Sequence[dict[str, Any]], configs: Mapping[str, Config]) -> None:
    """Marks the models whose metrics are of another validation set than the first model's."""
    measured = [one for one in models if _compared(one)]
    found = [configs[one["name"]] for one in measured]
    sets = [(one.get("data.root"), one.get("data.val.dataset")) for one in found]
    for row, one in zip(measured, sets, strict=True):
        row["on_first_set"] = one == sets[0]


def _photographs(config: Config) -> list[NDArray[np.uint8]]:
    """Returns photographs from all over the validation set, or else the training set."""
    dataset, _ = build_dataset(config, "val" if config.get("data.val") else "train")
    count = min(IMAGES, len(dataset))
    return [dataset[i].image for i in np.linspace(0, len(dataset) - 1, count).astype(int).tolist()]


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
    models = comparison.models
    sentences = [f"{one['name']} failed: {one['failure']}" for one in models if one["failure"]]
    others = [one["name"] + OTHER_SET for one in models if not one["on_first_set"]]
    if others:
        sentences.append(
            f"{', '.join(others)}: of another validation set than the first row, with whose AP and "
            "recall theirs cannot be compared."
        )
    names = {name for one in models for name in one}
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
    if any(one[MACS] for one in models):
        sentences.append(
            f"GMACs count a multiplication and its addition as one, GFLOPs as two; {VGA} has three "
            f"quarters of the pixels of {SIDE}x{SIDE}."
        )
    return sentences


def write_model_table(comparison: ModelComparison, folder: Path) -> None:
    """Writes ``comparison.json`` and ``comparison.md`` to a folder, made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps(asdict(comparison), indent=2) + "\n"
    (folder / "comparison.json").write_text(content, encoding="utf-8")
    headings, rows = _cells(comparison)
    marks = ["---", "---", *["---:"] * (len(headings) - 2)]
    lines = [f"Numbers of a {comparison.note}.", ""] if comparison.note else []
    lines += [f"| {' | '.join(row)} |" for row in (headings, marks, *rows)]
    lines += ["", *(f"* {one}" for one in table_remarks(comparison))]
    (folder / "comparison.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _cells(comparison: ModelComparison) -> tuple[list[str], list[list[str]]]:
    """Returns the headings and the rows, as text."""
    names = _compared(dict.fromkeys(name for one in comparison.models for name in one))
    shown = [PRECISION.get(name, name.replace(RECALL, "recall ")) for name in names]
    rows = [
        [
            one["name"] + ("" if one["on_first_set"] else OTHER_SET),
            FAILED if one["failure"] else one["protocol"],
            *(_text(one[name], "g") for name in ("score_thresh", "nms_thresh")),
            *(show_number(name, one[name]) if name in one else ABSENT for name in names),
            _text(one["ms_per_image"], ".1f"),
            _text(one["parameters"], ".3f", 1e6),
            _text(one[MACS], ".3f", 1e9),
            _text(one[FLOPS], ".3f", 1e9),
        ]
        for one in comparison.models
    ]
    return ["model", "protocol", *THRESHOLDS, *shown, *MEASURES], rows


def _text(value: float | None, form: str, unit: float = 1) -> str:
    return ABSENT if value is None else format(value / unit, form)
