"""A comparison of models as a table: on the terminal, as Markdown, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from facezoo.runs.model_comparison import PRECISION, RECALL, ComparedModel, ModelComparison
from facezoo.terminal import show_number

FAILED, ABSENT, OTHER_SET = "failed", "-", " *"
SIDE, VGA = 640, "640x480"
THRESHOLDS = ("score threshold", "NMS IoU")
MEASURES = ("ms per image", "million parameters", f"GMACs {VGA}", f"GFLOPs {SIDE}x{SIDE}")


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
