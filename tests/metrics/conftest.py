"""Random sets of annotated and found faces, and official truth made up for them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from facezoo.structures import Faces, Truth

Set = tuple[dict[str, Faces], dict[str, Truth]]


def _random_set(seed: int, images: int = 12, faces: int = 20, ignored: float = 0.2) -> Set:
    """Boxes of whole pixels, so that IoUs are often equal, and scores of two decimals.

    Some images have no faces and some no predictions.
    """
    rng = np.random.default_rng(seed)
    predictions, truth = {}, {}
    for i in range(images):
        image_id = f"{i % 3}--Event/image_{i}.jpg"
        count = int(rng.integers(0, faces)) if i else 0
        corners = rng.integers(0, 120, (count, 2))
        boxes = np.concatenate([corners, corners + rng.integers(4, 90, (count, 2))], axis=1)
        truth[image_id] = Truth(boxes.astype(np.float64), rng.random(count) < ignored)
        copies = boxes[rng.integers(0, count, 2 * count)] if count else boxes
        noise = rng.integers(0, 120, (5, 2))
        found = np.concatenate(
            [copies + rng.integers(-5, 6, copies.shape), np.concatenate([noise, noise + 15], 1)]
        )
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2])
        scores = np.sort(rng.integers(2, 100, len(found)) / 100)[::-1]
        if i == 1:
            found, scores = found[:0], scores[:0]
        predictions[image_id] = Faces(found.astype(np.float32), scores.astype(np.float32))
    return predictions, truth


@pytest.fixture
def random_set() -> Callable[..., Set]:
    return _random_set


@pytest.fixture
def as_predictions() -> Callable[[Mapping[str, Truth]], dict[str, Faces]]:
    """Turns annotated faces into predictions that are right in everything."""

    def convert(truth: Mapping[str, Truth]) -> dict[str, Faces]:
        return {
            image_id: Faces(
                annotated.boxes.astype(np.float32), np.ones(len(annotated.boxes), np.float32)
            )
            for image_id, annotated in truth.items()
        }

    return convert


def _plain_iou(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else 0.0


def _plain_match(faces: Faces, annotated: Truth) -> list[tuple[int, bool]]:
    """The face that each prediction took (-1: none), and whether it was absorbed: a plain loop."""
    taken: set[int] = set()
    outcome: list[tuple[int, bool]] = [(-1, False)] * len(faces)
    for p in sorted(range(len(faces)), key=lambda p: -faces.scores[p]):
        ious = [_plain_iou(faces.boxes[p], box) for box in annotated.boxes]
        free = [g for g in range(len(ious)) if ious[g] >= 0.5 and not annotated.ignore[g]]
        free = [g for g in free if g not in taken]
        if free:
            best = max(free, key=lambda g: ious[g])
            taken.add(best)
            outcome[p] = (best, False)
        else:
            on_ignored = any(x >= 0.5 and annotated.ignore[g] for g, x in enumerate(ious))
            outcome[p] = (-1, on_ignored)
    return outcome


@pytest.fixture
def plain_iou() -> Callable[[np.ndarray, np.ndarray], float]:
    return _plain_iou


@pytest.fixture
def plain_match() -> Callable[[Faces, Truth], list[tuple[int, bool]]]:
    return _plain_match


def _cells(items: list) -> np.ndarray:
    column = np.empty((len(items), 1), dtype=object)
    for i, item in enumerate(items):
        column[i, 0] = item
    return column


@pytest.fixture
def write_official() -> Callable[[Path, Mapping[str, Truth], int], dict[str, list[np.ndarray]]]:
    """Writes the four files for some faces, with random lists, and returns the lists (from 0)."""

    def write(folder: Path, truth: Mapping[str, Truth], seed: int) -> dict[str, list[np.ndarray]]:
        rng = np.random.default_rng(seed)
        folder.mkdir(parents=True, exist_ok=True)
        events = sorted({image_id.split("/")[0] for image_id in truth})
        ids = [[one for one in truth if one.startswith(f"{event}/")] for event in events]
        files = [_cells([one.split("/")[1].removesuffix(".jpg") for one in group]) for group in ids]
        boxes = []
        for group in ids:
            xywh = [truth[one].boxes.astype(np.int32) for one in group]
            for corners in xywh:
                corners[:, 2:] -= corners[:, :2]
            boxes.append(_cells(xywh))
        shared = {"event_list": _cells(events), "file_list": _cells(files)}
        savemat(folder / "wider_face_val.mat", {**shared, "face_bbx_list": _cells(boxes)})
        lists = {}
        for subset, share in (("easy", 0.3), ("medium", 0.6), ("hard", 0.9)):
            kept = {one: np.flatnonzero(rng.random(len(truth[one].boxes)) < share) for one in truth}
            places = _cells([_cells([kept[one][:, None] + 1 for one in group]) for group in ids])
            savemat(folder / f"wider_{subset}_val.mat", {**shared, "gt_list": places})
            lists[subset] = list(kept.values())
        return lists

    return write
