import base64
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from facezoo.data.datasets.face_dataset import FaceDataset
from facezoo.data.datasets.synthetic_faces import SyntheticFaces
from facezoo.evaluation.judge import EvaluationResults, Predictions
from facezoo.evaluation.report import MOST_CROPS, split_metrics, write_report
from facezoo.metrics.evaluator import Curve
from facezoo.metrics.evaluators import CocoAP, LandmarkError, OperatingPoint, RecallBySize, Slices
from facezoo.structures import Faces, Sample, Truth

HOSTILE = "<script>alert('a')</script>\"onload=\"x/1.jpg"
THRESHOLD = 0.5


class Renamed(FaceDataset):
    """Drawn faces whose image ids are chosen."""

    num_landmarks = 5

    def __init__(self, image_ids: list[str]) -> None:
        self.image_ids = image_ids
        self.drawn = SyntheticFaces(
            seed=3, num_images=len(image_ids), image_size=192, face_sizes=(16, 90)
        )

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> Sample:
        return self.drawn[index]

    def truth(self, index: int) -> Truth:
        return self.drawn.truth(index)

    def image_id(self, index: int) -> str:
        return self.image_ids[index]


class Page(HTMLParser):
    """What a reader of the page sees: pictures, numbers, tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.figures: list[dict[str, str | None]] = []
        self.pictures: list[str] = []
        self.metrics: dict[str, float] = {}
        self.texts: dict[str, str] = {}
        self.tags: list[str] = []
        self.kind = ""
        self.open_metric: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        one = dict(attrs)
        self.tags.append(tag)
        assert not any(name.startswith("on") for name in one), "no attribute runs code"
        self.kind = one.get("data-kind") or self.kind
        if tag == "figure":
            self.figures.append({**one, "kind": self.kind})
        if tag == "img":
            self.pictures.append(one["src"] or "")
        if tag == "data":
            name = one["data-metric"] or ""
            assert name not in self.metrics, "a number stands on the page once"
            self.metrics[name] = float(one["value"] or "")
            self.open_metric = name

    def handle_data(self, data: str) -> None:
        if self.open_metric is not None:
            self.texts[self.open_metric] = data

    def handle_endtag(self, tag: str) -> None:
        self.open_metric = None

    def shown(self, kind: str) -> list[dict[str, str | None]]:
        return [one for one in self.figures if one["kind"] == kind and "hidden" not in one]


def poor_results(dataset: FaceDataset) -> EvaluationResults:
    """Of three faces one is found, one is found too faintly and too far off, one is not."""
    rng = np.random.default_rng(0)
    predictions, truth = {}, {}
    for i in range(len(dataset)):
        annotated = dataset.truth(i)
        boxes = annotated.boxes.astype(np.float32)
        width = boxes[1::3, 2:3] - boxes[1::3, 0:1]
        aside = boxes[1::3] + width * np.float32([1, 0, 1, 0]) * 0.4
        clutter = np.float32([[0, 0, 30, 30], [150, 100, 190, 150]])
        found = np.concatenate([boxes[::3], aside, clutter])
        scores = np.concatenate(
            [np.full(len(boxes[::3]), 0.95), np.full(len(aside), 0.3), rng.uniform(0.6, 0.9, 2)]
        ).astype(np.float32)
        order = np.argsort(-scores, kind="stable")
        predictions[dataset.image_id(i)] = Faces(found[order], scores[order])
        truth[dataset.image_id(i)] = annotated
    metrics: dict[str, float] = {}
    for evaluator in (CocoAP(), RecallBySize(), Slices(), LandmarkError(), OperatingPoint()):
        metrics |= evaluator(predictions, truth).metrics
    metrics["operating_point/best_threshold"] = THRESHOLD
    curve = Curve(np.array([1.0, 0.5]), np.array([0.2, 0.9]))
    return EvaluationResults(Predictions(predictions), truth, metrics, {"widerface/hard": curve})


@pytest.fixture(scope="module")
def dataset() -> Renamed:
    return Renamed(
        [HOSTILE, *(f"{i % 2}--{('Parade', 'Party')[i % 2]}/{i}.jpg" for i in range(39))]
    )


@pytest.fixture(scope="module")
def results(dataset: Renamed) -> EvaluationResults:
    return poor_results(dataset)


@pytest.fixture(scope="module")
def report(
    dataset: Renamed, results: EvaluationResults, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("report")
    described = {
        "model": "retinaface <b>&</b>",
        "weights": "w.safetensors",
        "note": "drawn & <i>not</i> real",
        "protocol": "original",
    }
    write_report(folder, dataset, results, described)
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(report: Path) -> Page:
    return Page(report.read_text(encoding="utf-8"))


def decode(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition(";base64,")[2], validate=True)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_every_metric_is_on_the_page_once_with_its_value(
    page: Page, results: EvaluationResults
) -> None:
    once = {  # these are slices of height too
        name: float(value)
        for name, value in results.metrics.items()
        if not name.startswith("recall_by_size/")
    }
    assert len(once) < len(results.metrics) and page.metrics == once
    for name, text in page.texts.items():
        assert float(text.replace(",", "")) == pytest.approx(page.metrics[name], abs=5.1e-5)


def test_names_are_shown_as_text_and_never_run(page: Page, report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert page.tags.count("script") == 1  # the page's own
    assert "b" in page.tags and "i" in page.tags and "<b>&</b>" not in html
    assert "retinaface &lt;b&gt;&amp;&lt;/b&gt; on Renamed, original</title>" in html
    assert "drawn &amp; &lt;i&gt;not&lt;/i&gt; real" in html
    assert HOSTILE in [one["data-image"] for one in page.figures]


def test_the_page_needs_no_other_file(page: Page, report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert not {"link", "iframe", "object"} & set(page.tags)
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", html)
    assert "url(" not in html and "http://" not in html and "https://" not in html
    assert report.stat().st_size < 3e6


def test_every_picture_decodes_and_shows_its_box(page: Page, report: Path) -> None:
    assert len(page.pictures) == len(page.figures) + 1
    curves = cv2.imread(str(report.with_name("pr_curves.png")))
    assert (decode(page.pictures[0]) == curves).all()
    for uri in page.pictures[1:]:
        crop = decode(uri).astype(int)
        assert crop.shape[0] == crop.shape[1] >= 160
        assert (crop[..., 2] - crop[..., :2].max(axis=-1) > 60).any(), "no red box"


def test_crops_are_the_worst_mistakes_with_their_numbers(
    page: Page, results: EvaluationResults
) -> None:
    misses, alarms = page.shown("misses"), page.shown("false alarms")
    assert 0 < len(misses) <= MOST_CROPS and len(alarms) == MOST_CROPS
    heights = [float(one["data-height"] or "") for one in misses]
    assert heights == sorted(heights, reverse=True)
    scores = [float(one["data-score"] or "") for one in alarms]
    assert scores == sorted(scores, reverse=True) and min(scores) >= THRESHOLD
    assert {one["data-score"] for one in misses} > {""}  # nothing overlaps some
    for one in misses:
        found = results.predictions.faces[one["data-image"] or ""]
        (truth,) = [
            box
            for box in results.truth[one["data-image"] or ""].boxes
            if box[3] - box[1] == float(one["data-height"] or "")
        ][:1]
        ious = [plain_iou(truth, box) for box in found.boxes]
        assert float(one["data-iou"] or "") == pytest.approx(max(ious), abs=1e-6)
        if max(ious) > 0:
            score = found.scores[int(np.argmax(ious))]
            assert float(one["data-score"] or "") == pytest.approx(float(score))


def plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], float(b[2])) - max(a[0], float(b[0])))
    height = max(0.0, min(a[3], float(b[3])) - max(a[1], float(b[1])))
    areas = [float(c[2] - c[0]) * float(c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


def test_slices_are_apart_from_the_other_metrics() -> None:
    metrics = {
        "slices/all/recall": 0.5,
        "slices/all/ap": 0.25,
        "slices/all_faces": 8.0,
        "slices/height/0-8_faces": 0.0,
        "recall_by_size/128+": 0.75,
        "recall_by_size/128+_faces": 4.0,
        "landmark_error/box": 0.1,
        "landmark_error/box_faces": 3.0,
        "loss": 2.5,
    }
    slices, rest = split_metrics(metrics)
    assert list(slices) == ["slices", "height", "recall_by_size"]
    (everything,) = slices["slices"]
    assert everything.name == "all" and everything.faces.text == "8"
    assert everything.recall is not None and everything.recall.value == 0.5
    assert everything.ap is not None and everything.ap.text == "0.2500"
    assert slices["height"][0].recall is slices["height"][0].ap is None
    assert {name: [one.label for one in group] for name, group in rest.items()} == {
        "landmark_error": ["box", "box_faces"],
        "loss": ["loss"],
    }


def test_a_bucket_of_size_that_says_something_else_stays() -> None:
    metrics = {
        "recall_by_size/0-8": 0.5,
        "recall_by_size/0-8_faces": 2.0,
        "recall_by_size/8-16": 0.5,  # at another threshold than the slice
        "recall_by_size/8-16_faces": 2.0,
        "recall_by_size/16+_faces": 0.0,
        "slices/height/0-8/recall": 0.5,
        "slices/height/0-8_faces": 2.0,
        "slices/height/8-16/recall": 0.75,
        "slices/height/8-16_faces": 2.0,
        "slices/height/16+_faces": 0.0,
    }
    slices, rest = split_metrics(metrics)
    assert [row.name for row in slices["height"]] == ["0-8", "8-16", "16+"]
    assert [row.name for row in slices["recall_by_size"]] == ["8-16"] and not rest


def test_the_page_says_what_was_evaluated(report: Path, results: EvaluationResults) -> None:
    html = report.read_text(encoding="utf-8")
    counted = sum(int((~one.ignore).sum()) for one in results.truth.values())
    for name, value in (
        ("data", "Renamed"),
        ("images", "40"),
        ("faces", str(counted)),
        ("truth", "the annotation"),
    ):
        assert f'<th scope="row">{name}</th><td>{value}</td>' in html


def test_nothing_found_and_nothing_to_find(tmp_path: Path) -> None:
    """No curves, no mistakes, no metrics."""
    dataset = Renamed(["a.jpg"])
    nobody = Truth(np.zeros((0, 4)), np.zeros(0, bool))
    nothing = Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    results = EvaluationResults(Predictions({"a.jpg": nothing}), {"a.jpg": nobody}, {}, {})
    write_report(tmp_path, dataset, results, {"protocol": "original"})
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not page.pictures and not page.metrics and not page.figures


def test_a_name_that_is_no_text_is_written(tmp_path: Path) -> None:
    name = "broken\udcff.jpg"
    dataset = Renamed([name])
    alarm = Faces(np.float32([[5, 5, 60, 60]]), np.float32([0.9]))
    nobody = Truth(np.zeros((0, 4)), np.zeros(0, bool))
    results = EvaluationResults(Predictions({name: alarm}), {name: nobody}, {}, {})
    write_report(tmp_path, dataset, results, {})
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [one["data-image"] for one in page.figures] == [r"broken\udcff.jpg"]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs the browser chromium")
    profile = tmp_path_factory.mktemp("profile")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    return [program, *flags, f"--user-data-dir={profile}"]


def opened(chromium: list[str], report: Path, fragment: str) -> Page:
    """Returns the page as the browser has it after the page's script ran."""
    done = subprocess.run(
        [*chromium, "--dump-dom", f"{report.as_uri()}#{fragment}"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return Page(done.stdout.decode("utf-8"))


@pytest.mark.slow
def test_a_browser_sorts_and_filters(chromium: list[str], report: Path, page: Page) -> None:
    as_written = opened(chromium, report, "")
    assert [one["data-rank"] for one in as_written.figures] == [
        one["data-rank"] for one in page.figures
    ]
    by_size = opened(chromium, report, "sort=size&filter=parade&height=40")
    by_image = opened(chromium, report, "sort=image")
    by_score = opened(chromium, report, "sort=score")
    for kind in ("misses", "false alarms"):
        wanted = [
            one
            for one in page.shown(kind)
            if "Parade" in (one["data-image"] or "") and float(one["data-height"] or "") >= 40
        ]
        wanted.sort(key=lambda one: -float(one["data-height"] or ""))
        assert 0 < len(wanted) < len(page.shown(kind))
        assert [one["data-rank"] for one in by_size.shown(kind)] == [
            one["data-rank"] for one in wanted
        ]
        names = [one["data-image"] or "" for one in page.shown(kind)]
        assert [one["data-image"] for one in by_image.shown(kind)] == sorted(names)
        scores = [float(one["data-score"] or "0") for one in by_score.shown(kind)]
        assert scores == sorted(scores, reverse=True) and len(scores) == len(names)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_shows_the_page(
    chromium: list[str], report: Path, tmp_path: Path, width: int
) -> None:
    picture = tmp_path / "page.png"
    size = [f"--screenshot={picture}", f"--window-size={width},1600"]
    subprocess.run(
        [*chromium, *size, report.as_uri()], check=True, capture_output=True, timeout=120
    )
    shown = cv2.imread(str(picture))
    assert shown.shape[:2] == (1600, width)
    assert shown.std() > 20
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 500  # photographs, not only text
