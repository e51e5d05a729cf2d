"""What an evaluation found as one HTML page that needs no other file: numbers and mistakes."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
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
from facezoo.evaluation.mistakes import MATCH_IOU, Mistake, find_mistakes, mistakes_page
from facezoo.evaluation.validation import BEST_THRESHOLD, Judgement, shown_threshold
from facezoo.metrics.overlaps import pairwise_iou

MOST_CROPS = 60
JPEG_QUALITY = 80
PHOTOGRAPHS_KEPT = 16
SLICED = ("slices", "recall_by_size")
"""The evaluators whose numbers belong to slices: a recall and a count of faces each."""
FACES = "_faces"
COUNTS = (FACES, "_predictions")
"""How the names of counts end; a count of 1 is not a share of 1.0000."""


@dataclass(frozen=True)
class Metric:
    """One number of the page.

    Attributes:
        name: as in ``metrics.json``.
        label: what of the name the page shows.
        value: the number.
    """

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


@dataclass(frozen=True)
class Crop:
    """A mistake as the page shows it.

    Attributes:
        image_id: the photograph.
        height: pixels, of the missed face or of the false alarm.
        iou: with the detection that overlaps the missed face most, whatever its score, or with the
            annotated face that the false alarm overlaps most.
        score: of the false alarm or of that detection; None where nothing overlaps the face.
        picture: data URI of a JPEG.
    """

    image_id: str
    height: float
    iou: float
    score: float | None
    picture: str


@dataclass(frozen=True)
class Grid:
    """The crops of one kind of mistake, the worst of ``total``."""

    kind: str
    total: int
    crops: list[Crop]


def write_page(
    path: Path,
    dataset: FaceDataset,
    judgement: Judgement,
    described: Mapping[str, Any],
    pr_curves_png: Path,
) -> None:
    """Writes the page: the run, its metrics, slices, curves and worst mistakes.

    Args:
        path: of the HTML.
        dataset: the photographs.
        judgement: what ``judge`` gave for them.
        described: what the numbers depend on, such as ``describe_set`` and ``Detector.describe``
            give; a ``note`` stands at the top.
        pr_curves_png: picture of the curves, shown where the judgement has some.
    """
    slices, rest = split_metrics(judgement.metrics)
    misses, alarms = find_mistakes(
        judgement.predictions, judgement.truth, shown_threshold(judgement)
    )
    html = _template().render(
        model=described.get("model", "A face detector"),
        note=described.get("note"),
        run={name: value for name, value in described.items() if name not in ("model", "note")},
        groups=rest,
        slices=slices,
        curves=_data_uri("png", pr_curves_png.read_bytes()) if judgement.curves else None,
        threshold=shown_threshold(judgement),
        is_best=BEST_THRESHOLD in judgement.metrics,
        match_iou=MATCH_IOU,
        grids=[
            Grid("misses", len(misses), crops_of_misses(misses, dataset, judgement)),
            Grid("false alarms", len(alarms), crops_of_false_alarms(alarms, dataset, judgement)),
        ],
    )
    # A file name may hold bytes that are no text; Python reads them as lone surrogates.
    path.write_text(html, encoding="utf-8", errors="backslashreplace")


def split_metrics(
    metrics: Mapping[str, float],
) -> tuple[dict[str, list[SliceRow]], dict[str, list[Metric]]]:
    """Returns the slices by what divides the faces, and all other numbers by evaluator.

    A bucket of ``recall_by_size`` that is also a slice of height, with the same faces and the same
    recall, stands among the slices only.
    """
    slices: dict[str, list[SliceRow]] = {}
    taken: set[str] = set()
    for name, count in metrics.items():
        if not name.endswith(FACES) or name.split("/")[0] not in SLICED:
            continue
        stem = name.removesuffix(FACES)
        division, label = stem.rsplit("/", 1)
        recall = stem if stem in metrics else f"{stem}/recall"
        row = SliceRow(
            label,
            Metric(name, "faces", float(count)),
            _metric(metrics, recall, "recall"),
            _metric(metrics, f"{stem}/ap", "AP"),
        )
        slices.setdefault(division.removeprefix("slices/"), []).append(row)
        taken |= {one.name for one in (row.faces, row.recall, row.ap) if one is not None}
    _drop_repeated(slices)
    rest: dict[str, list[Metric]] = {}
    for name, value in metrics.items():
        if name not in taken:
            evaluator, _, label = name.partition("/")
            rest.setdefault(evaluator, []).append(Metric(name, label or name, float(value)))
    return slices, rest


def _drop_repeated(slices: dict[str, list[SliceRow]]) -> None:
    heights = {_fact(row) for row in slices.get("height", [])}
    buckets = [row for row in slices.pop("recall_by_size", []) if _fact(row) not in heights]
    if buckets:
        slices["recall_by_size"] = buckets


def _fact(row: SliceRow) -> tuple[str, float, float | None]:
    return row.name, row.faces.value, None if row.recall is None else row.recall.value


def crops_of_misses(
    misses: Sequence[Mistake], dataset: FaceDataset, judgement: Judgement
) -> list[Crop]:
    """Returns the first ``MOST_CROPS`` missed faces as the page shows them."""
    shown = []
    for miss, picture in _pictures(misses, dataset, "px"):
        found = judgement.predictions[miss.image_id]
        nearest, iou = _largest_overlap(miss.box, found.boxes)
        score = float(found.scores[nearest]) if iou > 0 else None
        shown.append(Crop(miss.image_id, _height(miss), iou, score, picture))
    return shown


def crops_of_false_alarms(
    alarms: Sequence[Mistake], dataset: FaceDataset, judgement: Judgement
) -> list[Crop]:
    """Returns the first ``MOST_CROPS`` false alarms as the page shows them."""
    shown = []
    for alarm, picture in _pictures(alarms, dataset, ""):
        _, iou = _largest_overlap(alarm.box, judgement.truth[alarm.image_id].boxes)
        shown.append(Crop(alarm.image_id, _height(alarm), iou, alarm.severity, picture))
    return shown


def _pictures(
    mistakes: Sequence[Mistake], dataset: FaceDataset, unit: str
) -> Iterator[tuple[Mistake, str]]:
    """Gives the first mistakes, each with its crop as a data URI."""
    places = {dataset.image_id(i): i for i in range(len(dataset))}

    # The mistakes of a crowd often follow one another, and decoding takes longest.
    @lru_cache(PHOTOGRAPHS_KEPT)
    def read(image_id: str) -> NDArray[np.uint8]:
        return dataset[places[image_id]].image

    for mistake in mistakes[:MOST_CROPS]:
        tile = cv2.cvtColor(mistakes_page([mistake], read, unit), cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", tile, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        yield mistake, _data_uri("jpeg", data.tobytes())


def _largest_overlap(box: NDArray[np.float64], boxes: NDArray[np.floating]) -> tuple[int, float]:
    """Returns which of n x 4 boxes overlaps a box most, and the IoU; -1 and 0 for no boxes."""
    if not len(boxes):
        return -1, 0.0
    ious = pairwise_iou(box[None], boxes)[0]
    return int(ious.argmax()), float(ious.max())


def _height(mistake: Mistake) -> float:
    return float(mistake.box[3] - mistake.box[1])


def _metric(metrics: Mapping[str, float], name: str, label: str) -> Metric | None:
    return Metric(name, label, float(metrics[name])) if name in metrics else None


def _data_uri(picture_format: str, data: bytes) -> str:
    return f"data:image/{picture_format};base64,{base64.b64encode(data).decode('ascii')}"


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("facezoo.evaluation").joinpath("report_page.html").read_text(encoding="utf-8")
    return environment.from_string(source)
