"""The heads of YOLO against the formulas of its papers, written out in float64."""

import math
from collections.abc import Callable

import pytest
import torch

from facezoo.errors import ConfigError
from facezoo.models.assigners import RatioRule, SimOTA, TaskAligned
from facezoo.models.heads import Head, YOLOFreeHead, YOLOHead
from facezoo.models.heads.yolo_head import evenly_spaced
from facezoo.models.losses import (
    BCE,
    CIoULoss,
    DistributionFocal,
    FocalLoss,
    GIoULoss,
    SmoothL1,
    Wing,
)
from facezoo.structures import RawOutputs, Targets

CHANNELS, STRIDES = [8, 12], [8, 16]
ANCHORS = {8: [[8.0, 10.0], [16.0, 20.0]], 16: [[40.0, 50.0]]}


def yolo(**changes: object) -> YOLOHead:
    torch.manual_seed(0)
    arguments = {
        "class_loss": BCE(),
        "quality_loss": BCE(weight=0.5),
        "box_loss": GIoULoss(weight=2.0),
        "landmark_loss": Wing(),
        "anchors": ANCHORS,
        **changes,
    }
    return YOLOHead(CHANNELS, STRIDES, **arguments)


def free(**changes: object) -> YOLOFreeHead:
    torch.manual_seed(0)
    arguments = {
        "class_loss": BCE(),
        "box_loss": CIoULoss(weight=7.5),
        "distribution_loss": DistributionFocal(weight=1.5),
        "landmark_loss": SmoothL1(),
        **changes,
    }
    return YOLOFreeHead(CHANNELS, STRIDES, **arguments)


def features(size: int = 96) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, c, size // s, size // s) for c, s in zip(CHANNELS, STRIDES, strict=True)]


def some_without_landmarks(targets: Targets) -> Targets:
    targets.landmarks_valid[:, :2] = False
    return targets


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def cross_entropy(logit: float, target: float) -> float:
    score = sigmoid(logit)
    return -target * math.log(score) - (1 - target) * math.log(1 - score)


def giou(a: list[float], b: list[float]) -> float:
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    overlap = iou(a, b)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    union = areas / (1 + overlap)
    return overlap - (hull - union) / hull


def iou(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (areas - width * height)


def test_yolo_decodes_as_published() -> None:
    """Boxes from the cell, landmarks in anchors from its corner, objectness times class."""
    head = yolo(class_loss=BCE())
    raw = head(features())
    boxes, scores, landmarks = head.decode(raw)
    for row, column, anchor, stride, first, columns in [(3, 7, 1, 8, 0, 12), (2, 5, 0, 16, 288, 6)]:
        sides = ANCHORS[stride]
        n = first + (row * columns + column) * len(sides) + anchor
        x, y, w, h = (sigmoid(float(code)) for code in raw.boxes[1, n])
        width, height = sides[anchor]
        centre = (2 * x - 0.5 + column) * stride, (2 * y - 0.5 + row) * stride
        half = (2 * w) ** 2 * width / 2, (2 * h) ** 2 * height / 2
        expected = [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0]]
        assert boxes[1, n, :3].tolist() == pytest.approx(expected, rel=1e-5)
        said = sigmoid(float(raw.quality[1, n])) * sigmoid(float(raw.logits[1, n, 0]))
        assert float(scores[1, n]) == pytest.approx(said, rel=1e-5)
        code = raw.landmarks[1, n].tolist()
        assert landmarks[1, n, 3].tolist() == pytest.approx(
            [code[6] * width + column * stride, code[7] * height + row * stride], rel=1e-4
        )


def test_yolos_terms_equal_loops(targets_of: Callable[..., Targets]) -> None:
    head, targets = yolo(), some_without_landmarks(targets_of(2, 8, 96, count=6))
    raw = head(features())
    terms = head.loss(raw, targets)
    index = RatioRule()(raw.grid, targets).index
    decoded = head.decode(raw)[0].double()
    quality = classes = box = landmark = 0.0
    with_landmarks = 0
    for b in range(2):
        for n in range(index.shape[1]):
            face, objectness = int(index[b, n]), float(raw.quality[b, n])
            if face >= 0:
                overlap = iou(decoded[b, n].tolist(), targets.boxes[b, face].double().tolist())
                quality += cross_entropy(objectness, overlap)
                classes += cross_entropy(float(raw.logits[b, n, 0]), 1)
                box += 1 - giou(decoded[b, n].tolist(), targets.boxes[b, face].double().tolist())
                landmark += wing_of_landmarks(raw, targets, b, n, face)
                with_landmarks += bool(targets.landmarks_valid[b, face].any())
            elif face == -1:
                quality += cross_entropy(objectness, 0)
    positives = int((index >= 0).sum())
    assert positives > 10
    assert set(terms) == {"class", "box", "quality", "landmark"}
    assert all(int(terms[name].count) == positives for name in ("class", "box", "quality"))
    assert float(terms["quality"].total) == pytest.approx(0.5 * quality, rel=1e-4)
    assert float(terms["class"].total) == pytest.approx(classes, rel=1e-4)
    assert float(terms["box"].total) == pytest.approx(2.0 * box, rel=1e-4)
    assert 0 < int(terms["landmark"].count) == with_landmarks < positives
    assert float(terms["landmark"].total) == pytest.approx(landmark, rel=1e-4)


def wing_of_landmarks(raw: RawOutputs, targets: Targets, b: int, n: int, face: int) -> float:
    """Feng et al. 2018, equation 5, of errors in sides of the anchor."""
    x, y, width, height = raw.grid.priors[n].tolist()
    stride = float(raw.grid.strides[n])
    total = 0.0
    for k in range(5):
        if not targets.landmarks_valid[b, face, k]:
            continue
        px, py = targets.landmarks[b, face, k].tolist()
        wanted = (px - (x - stride / 2)) / width, (py - (y - stride / 2)) / height
        for said, one in zip(raw.landmarks[b, n, 2 * k : 2 * k + 2].tolist(), wanted, strict=True):
            error = abs(said - one)
            total += 10 * math.log(1 + error / 2) if error < 10 else error - 10 + 10 * math.log(6)
    return total


def test_the_target_of_the_objectness_has_no_gradient(targets_of: Callable[..., Targets]) -> None:
    head, targets = yolo(), targets_of(2, 8, 96)
    term = head.loss(head(features()), targets)["quality"]
    term.total.backward()
    assert all(tower.weight.grad is None for tower in head.box_towers)
    assert all((tower.weight.grad != 0).any() for tower in head.quality_towers)


def test_free_terms_are_weighted_by_the_assigner(targets_of: Callable[..., Targets]) -> None:
    head = free(box_loss=GIoULoss(weight=2.0))
    targets = some_without_landmarks(targets_of(2, 8, 96, count=6))
    raw = head(features())
    terms = head.loss(raw, targets)
    boxes, scores, _ = head.decode(raw)
    given = TaskAligned()(raw.grid, targets, (boxes.detach(), scores.detach().unsqueeze(-1)))
    assert set(terms) == {"class", "box", "distribution", "landmark"}
    assert float(terms["class"].count) == pytest.approx(float(given.box_weight.sum()))
    classes = distribution = box = landmark = known_weight = 0.0
    for b in range(2):
        for n in range(given.index.shape[1]):
            face = int(given.index[b, n])
            target = float(given.quality[b, n]) if face >= 0 else 0.0
            if face != -2:
                classes += cross_entropy(float(raw.logits[b, n, 0]), target)
            if face < 0:
                continue
            x, y, stride, _ = raw.grid.priors[n].double().tolist()
            x1, y1, x2, y2 = targets.boxes[b, face].double().tolist()
            box += target * (1 - giou(boxes[b, n].tolist(), [x1, y1, x2, y2]))
            known = targets.landmarks_valid[b, face]
            known_weight += target * bool(known.any())
            for k in range(5):
                for axis, centre in enumerate((x, y)):
                    corner = centre - stride / 2
                    wanted = (float(targets.landmarks[b, face, k, axis]) - corner) / (2 * stride)
                    error = abs(float(raw.landmarks[b, n, 2 * k + axis]) - wanted)
                    smooth = error**2 / 2 if error < 1 else error - 0.5
                    landmark += target * smooth * bool(known[k])
            bins = raw.boxes[b, n].double().view(4, 16).log_softmax(-1)
            for side, distance in enumerate([x - x1, y - y1, x2 - x, y2 - y]):
                place = min(max(distance / stride, 0), 14.99)
                near = int(place)
                distribution -= (
                    target
                    / 4
                    * float(
                        (near + 1 - place) * bins[side, near]
                        + (place - near) * bins[side, near + 1]
                    )
                )
    assert float(terms["class"].total) == pytest.approx(classes, rel=1e-4)
    assert float(terms["distribution"].total) == pytest.approx(1.5 * distribution, rel=1e-4)
    assert float(terms["box"].total) == pytest.approx(2.0 * box, rel=1e-4)
    assert float(terms["box"].count) == pytest.approx(float(terms["class"].count))
    assert float(terms["landmark"].total) == pytest.approx(landmark, rel=1e-4)
    assert float(terms["landmark"].count) == pytest.approx(known_weight, rel=1e-5)
    assert known_weight < float(terms["box"].count)


def test_the_objectness_learns_the_quality_of_the_assigner(
    targets_of: Callable[..., Targets],
) -> None:
    head, targets = yolo(assigner=TaskAligned()), targets_of(2, 8, 96, count=6)
    raw = head(features())
    boxes, scores, _ = head.decode(raw)
    given = TaskAligned()(raw.grid, targets, (boxes.detach(), scores.detach().unsqueeze(-1)))
    total = sum(
        cross_entropy(float(raw.quality[b, n]), float(given.quality[b, n]) if face >= 0 else 0.0)
        for b in range(2)
        for n, face in enumerate(given.index[b].tolist())
        if face != -2
    )
    assert float(head.loss(raw, targets)["quality"].total) == pytest.approx(0.5 * total, rel=1e-4)


def test_scores_may_be_a_geometric_mean() -> None:
    head = yolo()
    head.score = "geometric_mean"
    raw = head(features())
    said = math.sqrt(sigmoid(float(raw.quality[0, 7])) * sigmoid(float(raw.logits[0, 7, 0])))
    assert float(head.decode(raw)[1][0, 7]) == pytest.approx(said, rel=1e-5)


def test_free_decodes_distances_and_landmarks() -> None:
    head = free()
    raw = head(features())
    boxes, scores, landmarks = head.decode(raw)
    n, row, column = 3 * 12 + 7, 3, 7
    shares = raw.boxes[1, n].double().view(4, 16).softmax(-1)
    left, top, right, bottom = (8 * float(one @ torch.arange(16.0).double()) for one in shares)
    x, y = (column + 0.5) * 8, (row + 0.5) * 8
    assert boxes[1, n].tolist() == pytest.approx([x - left, y - top, x + right, y + bottom])
    assert float(scores[1, n]) == pytest.approx(sigmoid(float(raw.logits[1, n, 0])), rel=1e-5)
    code = raw.landmarks[1, n, :2].tolist()
    assert landmarks[1, n, 0].tolist() == pytest.approx(
        [(code[0] * 2 + column) * 8, (code[1] * 2 + row) * 8], rel=1e-4
    )


@pytest.mark.parametrize(
    "make", [yolo, free, lambda: yolo(assigner=SimOTA()), lambda: free(assigner=SimOTA())]
)
def test_without_faces_background_alone_is_taught(
    make: Callable[[], Head], targets_of: Callable[..., Targets]
) -> None:
    head = make()
    terms = head.loss(head(features()), targets_of(2, 8, 96, count=0))
    sum(term.total / term.count.clamp(min=1) for term in terms.values()).backward()
    background = "class" if head.quality_towers is None else "quality"
    assert {name for name, term in terms.items() if float(term.total.detach()) > 0} == {background}
    gradients = [parameter.grad for parameter in head.parameters()]
    assert all(one is None or one.isfinite().all() for one in gradients)
    for tower in (*head.box_towers, *head.landmark_towers):
        assert all(one.grad is None or (one.grad == 0).all() for one in tower.parameters())


@pytest.mark.parametrize("make", [yolo, free])
@pytest.mark.parametrize("assigner", [RatioRule(), SimOTA(), TaskAligned()])
def test_every_assigner_goes_with_both_and_teaches_each_tower(
    make: Callable[..., Head], assigner: object, targets_of: Callable[..., Targets]
) -> None:
    head = make(assigner=assigner)
    terms = head.loss(head(features()), targets_of(2, 8, 96))
    sum(term.total / term.count.clamp(min=1) for term in terms.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in head.parameters())
    assert all((parameter.grad != 0).any() for parameter in head.parameters())


def test_start_scores_are_the_prior_probability() -> None:
    for head, towers in ((yolo(), "quality_towers"), (free(), "class_towers")):
        for tower in getattr(head, towers):
            last = tower if isinstance(tower, torch.nn.Conv2d) else tower[-1]
            torch.nn.init.zeros_(last.weight)
        raw = head(features())
        logits = raw.logits[..., 0] if raw.quality is None else raw.quality
        torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, 0.01))


def test_anchors_that_nobody_gave_span_all_faces() -> None:
    assert evenly_spaced([32], 3) == {32: [8.0, 64.0, 512.0]}
    anchors = yolo(anchors=None, num_anchors=2).grid.sides_wh
    assert anchors == (((8.0, 8.0), (32.0, 32.0)), ((128.0, 128.0), (512.0, 512.0)))


def test_levels_may_be_one() -> None:
    torch.manual_seed(0)
    head = YOLOHead([12], [32], BCE(), BCE(), CIoULoss(), SmoothL1(), num_anchors=3)
    raw = head([torch.randn(1, 12, 2, 3)])
    assert raw.logits.shape == (1, 18, 1) and raw.landmarks.shape == (1, 18, 10)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: yolo(anchors={8: [16.0]}), "the features have the strides [8, 16]"),
        (lambda: yolo(num_anchors=0), "num_anchors is 0"),
        (lambda: yolo(quality_loss=FocalLoss()), "quality_loss is Focal"),
        (lambda: yolo(landmark_loss=GIoULoss()), "landmark_loss is GIoULoss, a loss of boxes"),
        (lambda: yolo(prior_probability=0.0), "prior_probability is 0.0"),
        (lambda: free(class_loss=FocalLoss()), "The assigner TaskAligned gives targets between"),
        (lambda: free(bins=1), "bins is 1"),
        (lambda: free(box_loss=SmoothL1()), "box_loss is SmoothL1, a loss of encoded boxes"),
        (lambda: free(convolutions=-1), "convolutions is -1"),
        (lambda: free(num_classes=0), "num_classes is 0"),
    ],
)
def test_bad_arguments(make: Callable[[], Head], sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert sentence in str(error.value)
