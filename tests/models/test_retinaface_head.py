"""The head's terms against loops over images and priors, in float64."""

import math
from collections.abc import Callable

import pytest
import torch

from facezoo.errors import ConfigError
from facezoo.models.heads import RetinaFaceHead
from facezoo.models.losses import FocalLoss, GIoULoss, SmoothL1
from facezoo.models.necks import SSH
from facezoo.structures import Targets

CHANNELS, STRIDES = [8, 12], [8, 16]
ANCHORS = {8: [16.0, 24.0], 16: [40.0]}


def head_of(**changes: object) -> RetinaFaceHead:
    torch.manual_seed(0)
    arguments = {
        "anchors": ANCHORS,
        "class_loss": FocalLoss(),
        "box_loss": SmoothL1(weight=2.0),
        "landmark_loss": SmoothL1(weight=0.5),
        **changes,
    }
    return RetinaFaceHead(CHANNELS, STRIDES, **arguments)


def features(size: int = 96) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, c, size // s, size // s) for c, s in zip(CHANNELS, STRIDES, strict=True)]


def test_rows_are_levels_rows_columns_anchors() -> None:
    """Each tower gives its own number, and one cell is brighter than the others."""
    head = head_of(landmark_loss=None)
    for place, tower in enumerate(head.box_towers):
        torch.nn.init.zeros_(tower.weight)
        tower.weight.data[:, 0] = 1
        tower.bias.data.copy_(torch.arange(len(tower.bias)) + 100.0 * place)
    inputs = [torch.zeros(1, c, 3, 4) if c == 8 else torch.zeros(1, c, 2, 2) for c in CHANNELS]
    inputs[0][0, 0, 1, 2] = 50
    raw = head(inputs)
    rows = raw.boxes[0]
    assert raw.landmarks is None and raw.logits.shape == (1, 3 * 4 * 2 + 2 * 2, 1)
    bright = (1 * 4 + 2) * 2
    assert rows[bright].tolist() == [50, 51, 52, 53]
    assert rows[bright + 1].tolist() == [54, 55, 56, 57]
    assert rows[0].tolist() == [0, 1, 2, 3] and rows[24].tolist() == [100, 101, 102, 103]
    assert raw.grid.priors[bright].tolist() == [20, 12, 16, 16]


def test_terms_equal_loops(targets_of: Callable[..., Targets]) -> None:
    head, targets = head_of(), targets_of(2, 8, 96, count=6)
    raw = head(features())
    terms = head.loss(raw, targets)
    index = head.assigner(raw.grid, targets).index
    priors = raw.grid.priors.double()
    box = landmark = focal = 0.0
    positives = with_landmarks = 0
    for b in range(2):
        for n in range(len(priors)):
            x, y, width, height = priors[n].tolist()
            score = 1 / (1 + math.exp(-float(raw.logits[b, n, 0])))
            face = int(index[b, n])
            if face == -2:
                continue
            if face == -1:
                focal -= 0.75 * score**2 * math.log(1 - score)
                continue
            positives += 1
            focal -= 0.25 * (1 - score) ** 2 * math.log(score)
            x1, y1, x2, y2 = targets.boxes[b, face].double().tolist()
            wanted = [
                ((x1 + x2) / 2 - x) / width / 0.1,
                ((y1 + y2) / 2 - y) / height / 0.1,
                math.log((x2 - x1) / width) / 0.2,
                math.log((y2 - y1) / height) / 0.2,
            ]
            box += 2.0 * sum(
                smooth_l1(a - w) for a, w in zip(raw.boxes[b, n].tolist(), wanted, strict=True)
            )
            known = targets.landmarks_valid[b, face]
            with_landmarks += bool(known.any())
            for k in range(5):
                if known[k]:
                    px, py = targets.landmarks[b, face, k].tolist()
                    said = raw.landmarks[b, n, 2 * k : 2 * k + 2].tolist()
                    landmark += 0.5 * smooth_l1(said[0] - (px - x) / width / 0.1)
                    landmark += 0.5 * smooth_l1(said[1] - (py - y) / height / 0.1)
    assert positives > 5 and with_landmarks > 3
    assert int(terms["class"].count) == int(terms["box"].count) == positives
    assert int(terms["landmark"].count) == with_landmarks
    for name, expected in (("class", focal), ("box", box), ("landmark", landmark)):
        assert float(terms[name].total) == pytest.approx(expected, rel=1e-4), name


def smooth_l1(error: float) -> float:
    return error**2 / 2 if abs(error) < 1 else abs(error) - 0.5


def test_decode_gives_back_what_was_encoded(targets_of: Callable[..., Targets]) -> None:
    head, targets = head_of(), targets_of(2, 8, 96)
    raw = head(features())
    index = head.assigner(raw.grid, targets).index
    positive = index >= 0
    faces = index.clamp(min=0)
    boxes = targets.boxes.gather(1, faces[..., None].expand(-1, -1, 4))
    raw = raw._replace(boxes=head.box_codec.encode(raw.grid, boxes))
    decoded, scores, _ = head.decode(raw)
    torch.testing.assert_close(decoded[positive], boxes[positive], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(scores, raw.logits[..., 0].sigmoid())


@pytest.mark.parametrize("box_loss", [SmoothL1(), GIoULoss()])
def test_without_faces_there_is_nothing_to_regress(
    box_loss: object, targets_of: Callable[..., Targets]
) -> None:
    head = head_of(box_loss=box_loss)
    terms = head.loss(head(features()), targets_of(2, 8, 96, count=0))
    sum(term.total / term.count.clamp(min=1) for term in terms.values()).backward()
    assert float(terms["box"].total) == float(terms["landmark"].total) == 0
    assert int(terms["class"].count) == 0 and float(terms["class"].total) > 0
    for tower in (*head.box_towers, *head.landmark_towers):
        assert (tower.weight.grad == 0).all()
    assert all((tower.weight.grad != 0).any() for tower in head.class_towers)


def test_start_scores_are_the_prior_probability() -> None:
    head = head_of(prior_probability=0.02)
    for tower in head.class_towers:
        torch.nn.init.zeros_(tower.weight)
    _, scores, _ = head.decode(head(features()))
    torch.testing.assert_close(scores, torch.full_like(scores, 0.02))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"anchors": {8: [16.0]}}, "the features have the strides [8, 16]"),
        ({"anchors": {8: [16.0], 16: []}}, "anchors of stride 16"),
        ({"prior_probability": 1.0}, "prior_probability is 1.0"),
        ({"landmark_loss": GIoULoss()}, "landmark_loss is GIoULoss, a loss of boxes"),
        ({"num_landmarks": 0}, "num_landmarks 0"),
    ],
)
def test_bad_arguments(changes: dict, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        head_of(**changes)
    assert sentence in str(error.value)


def test_context_module_stands_before_the_towers() -> None:
    head = head_of(context=SSH(CHANNELS, STRIDES, channels=4))
    assert [tower.in_channels for tower in head.class_towers] == [4, 4]
    assert head(features()).logits.shape[0] == 2
