"""Writes what an evaluation found into a folder; ``report.html`` needs no other file.

A mistake is judged at one score threshold by the matching of ``facezoo.metrics`` at IoU 0.5.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.images import write_image
from facezoo.evaluation.judge import EvaluationResults, describe_set
from facezoo.inference.drawing import contact_sheet, draw_faces, fit_square
from facezoo.metrics.evaluator import write_pr_curves
from facezoo.metrics.matching import is_counted, match_image, pairwise_iou
from facezoo.metrics.predictions import write_coco_predictions, write_widerface_predictions
from facezoo.structures import Faces, Truth

TILE = 192
COLUMNS = 6
ROWS = 5
CONTEXT = 2.5
MATCH_IOU = 0.5
RED = (240, 50, 40)
SHOWN_IMAGES = 12
SHOWN_SIDE = 384
SHOWN_SCORE = 0.5
BEST_THRESHOLD = "operating_point/best_threshold"
MOST_CROPS = 60
PAGE_QUALITY, CROP_QUALITY = 90, 80
PHOTOGRAPHS_KEPT = 16
SLICED = ("slices", "recall_by_size")
"""The evaluators whose numbers belong to slices: a recall and a count of faces each."""
FACES = "_faces"
COUNTS = (FACES, "_predictions")
"""How the names of counts end; a count of 1 is not a share of 1.0000."""


def write_report(
    out: Path, dataset: FaceDataset, results: EvaluationResults, described: Mapping[str, Any]
) -> None:
    """Writes numbers, predictions, curves and pictures.

        metrics.json        the numbers and what fixes them (protocol, thresholds ...)
        predictions/        a text file per photograph, as the WIDER FACE tool reads them
        predictions.json    the same as a list of COCO results
        pr_curves.png, .csv precision over recall
        predictions.jpg     the first photographs with the faces found
        worst_misses.jpg, worst_false_alarms.jpg   at the threshold of the best F1
        report.html         numbers, curves and the worst mistakes as one page

    The folder is made where it is missing. ``described`` says what the numbers depend on; a
    ``note`` in it stands at the top of the page.
    """
    described = {**describe_set(dataset, results.truth, results.official_truth), **described}
    faces = results.predictions.faces
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.json").write_text(
        json.dumps({**results.metrics, **described}, indent=2) + "\n", encoding="utf-8"
    )
    write_coco_predictions(out / "predictions.json", faces)
    write_pr_curves(results.curves, out / "pr_curves.png", out / "pr_curves.csv")
    misses, alarms = find_mistakes(faces, results.truth, shown_threshold(results))
    write_image(out / "predictions.jpg", predictions_page(dataset, results), PAGE_QUALITY)
    galleries = {}
    for kind, mistakes in (("misses", misses), ("false alarms", alarms)):
        shown = mistakes[:MOST_CROPS]
        tiles = _tiles(shown, dataset)
        page = contact_sheet(tiles[: ROWS * COLUMNS], COLUMNS)
        write_image(out / f"worst_{kind.replace(' ', '_')}.jpg", page, PAGE_QUALITY)
        crops = [_crop(one, tile, results) for one, tile in zip(shown, tiles, strict=True)]
        galleries[kind] = len(mistakes), crops
    curves = (out / "pr_curves.png").read_bytes() if results.curves else None
    html = render_page(results.metrics, described, curves, galleries)
    # A file name may hold bytes that are no text; Python reads them as lone surrogates.
    (out / "report.html").write_text(html, encoding="utf-8", errors="backslashreplace")
    # Last, as it refuses some names; predictions.json takes them all.
    write_widerface_predictions(out / "predictions", faces)


@dataclass(frozen=True)
class Metric:
    """One number of the page: its name in ``metrics.json``, what the page calls it, its value."""

    name: str
    label: str
    value: float

    @property
    def text(self) -> str:
        """The number as it is read: counts whole, shares to four decimals."""
        is_count = self.name.endswith(COUNTS) or (self.value.is_integer() and abs(self.value) > 1)
        return f"{self.value:,.0f}" if is_count else f"{self.value:.4f}"


@dataclass(frozen=True)
class SliceRow:
    """The numbers of one slice; a slice without faces has none but their count."""

    name: str
    faces: Metric
    recall: Metric | None
    ap: Metric | None

    def key(self) -> tuple[str, float, float | None]:
        """Returns what the row says, but for the average precision."""
        return self.name, self.faces.value, None if self.recall is None else self.recall.value


def render_page(
    metrics: Mapping[str, float],
    described: Mapping[str, Any],
    curves_png: bytes | None,
    galleries: Mapping[str, tuple[int, Sequence[Mapping[str, Any]]]],
) -> str:
    """Returns the HTML of the page.

    ``galleries`` say by kind of mistake how many there are, and show the worst; see ``_crop``.
    """
    slices, rest = split_metrics(metrics)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("facezoo.evaluation").joinpath("report_page.html").read_text(encoding="utf-8")
    return environment.from_string(source).render(
        model=described.get("model", "A face detector"),
        note=described.get("note"),
        run={name: value for name, value in described.items() if name not in ("model", "note")},
        groups=rest,
        slices=slices,
        curves=None if curves_png is None else _data_uri("png", curves_png),
        threshold=metrics.get(BEST_THRESHOLD, SHOWN_SCORE),
        is_best=BEST_THRESHOLD in metrics,
        match_iou=MATCH_IOU,
        galleries=galleries,
    )


def split_metrics(
    metrics: Mapping[str, float],
) -> tuple[dict[str, list[SliceRow]], dict[str, list[Metric]]]:
    """Returns the slices by what divides the faces, and all other numbers by evaluator.

    A bucket of ``recall_by_size`` that is also a slice of height, with the same faces and the same
    recall, stands among the slices only.
    """

    def metric(name: str, label: str) -> Metric | None:
        return Metric(name, label, float(metrics[name])) if name in metrics else None

    slices: dict[str, list[SliceRow]] = {}
    taken: set[str] = set()
    for name, count in metrics.items():
        if name.endswith(FACES) and name.split("/")[0] in SLICED:
            stem = name.removesuffix(FACES)
            division, label = stem.rsplit("/", 1)
            recall = metric(stem, "recall") or metric(f"{stem}/recall", "recall")
            faces = Metric(name, "faces", float(count))
            row = SliceRow(label, faces, recall, metric(f"{stem}/ap", "AP"))
            slices.setdefault(division.removeprefix("slices/"), []).append(row)
            taken |= {one.name for one in (row.faces, row.recall, row.ap) if one is not None}
    heights = {row.key() for row in slices.get("height", [])}
    buckets = [row for row in slices.pop("recall_by_size", []) if row.key() not in heights]
    if buckets:
        slices["recall_by_size"] = buckets
    rest: dict[str, list[Metric]] = {}
    for name, value in metrics.items():
        if name not in taken:
            evaluator, _, label = name.partition("/")
            rest.setdefault(evaluator, []).append(Metric(name, label or name, float(value)))
    return slices, rest


def _tiles(mistakes: Sequence[Mistake], dataset: FaceDataset) -> list[NDArray[np.uint8]]:
    places = {dataset.image_id(i): i for i in range(len(dataset))}

    # The mistakes of a crowd often follow one another, and decoding takes longest.
    @lru_cache(PHOTOGRAPHS_KEPT)
    def read(image_id: str) -> NDArray[np.uint8]:
        return dataset[places[image_id]].image

    return [mistake_tile(one, read(one.image_id)) for one in mistakes]


def _crop(mistake: Mistake, tile: NDArray[np.uint8], results: EvaluationResults) -> dict[str, Any]:
    """Returns a mistake as the page shows it, which says what IoU and score are."""
    found = results.predictions.faces[mistake.image_id]
    others = found.boxes if mistake.is_miss else results.truth[mistake.image_id].boxes
    ious = np.append(pairwise_iou(mistake.box[None], others)[0], 0.0)
    nearest = int(ious.argmax())
    score: float | None = mistake.severity
    if mistake.is_miss:
        score = float(found.scores[nearest]) if ious[nearest] > 0 else None
    bgr = cv2.cvtColor(tile, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, CROP_QUALITY])
    return {
        "image_id": mistake.image_id,
        "height": float(mistake.box[3] - mistake.box[1]),
        "iou": float(ious[nearest]),
        "score": score,
        "picture": _data_uri("jpeg", data.tobytes()),
    }


def _data_uri(picture_format: str, data: bytes) -> str:
    return f"data:image/{picture_format};base64,{base64.b64encode(data).decode('ascii')}"


@dataclass(frozen=True)
class Mistake:
    """A face that was missed, or a detection where no face is annotated.

    Its box is x1 y1 x2 y2 in pixels; the severity is the height of a miss, the score of an alarm.
    """

    image_id: str
    box: NDArray[np.float64]
    severity: float
    is_miss: bool


def shown_threshold(results: EvaluationResults) -> float:
    """Returns the score from which pictures show faces: that of the best F1 where it is known."""
    return results.metrics.get(BEST_THRESHOLD, SHOWN_SCORE)


def predictions_page(dataset: FaceDataset, results: EvaluationResults) -> NDArray[np.uint8]:
    """Returns a page of the first photographs with the faces found."""
    score_thresh = shown_threshold(results)
    tiles = []
    for i in range(min(SHOWN_IMAGES, len(dataset))):
        faces = results.predictions.faces[dataset.image_id(i)]
        drawn = draw_faces(dataset[i].image, faces[faces.scores >= score_thresh])
        tiles.append(fit_square(drawn, SHOWN_SIDE))
    return contact_sheet(tiles, columns=4)


def find_mistakes(
    predictions: Mapping[str, Faces], truth: Mapping[str, Truth], score_thresh: float
) -> tuple[list[Mistake], list[Mistake]]:
    """Returns the missed faces (largest first) and the false alarms (best score first).

    Ignored faces are not missed, and a detection on one is no false alarm.
    """
    misses: list[Mistake] = []
    alarms: list[Mistake] = []
    for image_id, annotated in truth.items():
        faces = predictions[image_id]
        faces = faces[faces.scores >= score_thresh]
        missed = is_counted(annotated)
        taken, absorbed = match_image(faces, annotated.boxes, ~missed, MATCH_IOU)
        missed[taken[taken >= 0]] = False
        for box in annotated.boxes[missed]:
            misses.append(Mistake(image_id, box, float(box[3] - box[1]), is_miss=True))
        for i in np.flatnonzero((taken < 0) & ~absorbed):
            box = faces.boxes[i].astype(np.float64)
            alarms.append(Mistake(image_id, box, float(faces.scores[i]), is_miss=False))
    for mistakes in (misses, alarms):
        mistakes.sort(key=lambda one: -one.severity)
    return misses, alarms


def mistake_tile(mistake: Mistake, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the square around a mistake in its photograph (H x W x 3, RGB), with its box."""
    box = mistake.box
    centre = (box[:2] + box[2:]) / 2
    scale = TILE / max(CONTEXT * float((box[2:] - box[:2]).max()), 32.0)
    corner = TILE / 2 - scale * centre
    to_tile = np.array([[scale, 0, corner[0]], [0, scale, corner[1]]])
    tile = cv2.warpAffine(image, to_tile, (TILE, TILE), borderValue=(127, 127, 127))
    ends = (box.reshape(2, 2) * scale + corner).round().astype(int).tolist()
    cv2.rectangle(tile, ends[0], ends[1], RED, 1)
    caption = f"{mistake.severity:.3g}{' px' if mistake.is_miss else ''}"
    for colour, width in (((255,) * 3, 3), ((0,) * 3, 1)):
        cv2.putText(tile, caption, (6, TILE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, width)
    return tile  # type: ignore[return-value]  # the stubs of OpenCV know no 8 bits
