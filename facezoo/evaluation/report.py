"""Writes what an evaluation found into a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.images import write_image
from facezoo.evaluation.evaluated_set import describe_set
from facezoo.evaluation.report_page import write_page
from facezoo.evaluation.validation import Judgement, mistake_pages, predictions_page
from facezoo.metrics.pr_curves import pr_curves
from facezoo.metrics.predictions import write_coco_predictions, write_widerface_predictions

JPEG_QUALITY = 90


def write_report(
    out: Path, dataset: FaceDataset, judgement: Judgement, described: Mapping[str, Any]
) -> None:
    """Writes numbers, predictions, curves and pictures.

        metrics.json        the numbers and what fixes them (protocol, thresholds ...)
        predictions/        a text file per photograph, as the WIDER FACE tool reads them
        predictions.json    the same as a list of COCO results
        pr_curves.png, .csv precision over recall
        predictions.jpg     the first photographs with the faces found
        worst_misses.jpg, worst_false_alarms.jpg   at the threshold of the best F1
        report.html         numbers, curves and the worst mistakes as one page

    Args:
        out: a folder, made where it is missing.
        dataset: the photographs.
        judgement: what ``judge`` gave for them.
        described: what else the numbers depend on than the photographs and their faces, or these
            too; kept beside them.
    """
    described = {
        **describe_set(dataset, judgement.truth, judgement.official_truth),
        **described,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(
        json.dumps({**judgement.metrics, **described}, indent=2) + "\n", encoding="utf-8"
    )
    write_coco_predictions(out / "predictions.json", judgement.predictions)
    pr_curves(judgement.curves, out / "pr_curves.png", out / "pr_curves.csv")
    pages = {
        "predictions": predictions_page(dataset, judgement),
        **mistake_pages(dataset, judgement),
    }
    for name, picture in pages.items():
        write_image(out / f"{name}.jpg", picture, JPEG_QUALITY)
    write_page(out / "report.html", dataset, judgement, described, out / "pr_curves.png")
    # Last, as it refuses some names; predictions.json takes them all.
    write_widerface_predictions(out / "predictions", judgement.predictions)
