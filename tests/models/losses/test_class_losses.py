import math

import fvcore.nn
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facezoo.errors import ConfigError
from facezoo.models.losses import BCE, OHEM, ClassLoss, FocalLoss, QualityFocal

LOSSES = [
    FocalLoss(),
    OHEM(negative_ratio=3, min_negatives=2),
    BCE(),
    QualityFocal(),
    QualityFocal(beta=0.5),
]
SOFT = [loss for loss in LOSSES if loss.soft]


def batch(seed: int, images: int = 3, count: int = 40, classes: int = 1):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, count, classes, generator=generator) * 4
    labels = torch.randint(-2, classes, (images, count), generator=generator)
    return logits, labels


def softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def ohem_by_loop(logits, labels, ratio: float, least: int) -> list[list[float]]:
    """RetinaFace's form: cross-entropy of a softmax over (background, face) = (0, logit)."""
    result = []
    for row, label in zip(logits.double().tolist(), labels.tolist(), strict=True):
        face = [softplus(-x[0]) for x in row]
        background = [softplus(x[0]) for x in row]
        positives = sum(k >= 0 for k in label)
        negatives = [i for i, k in enumerate(label) if k == -1]
        negatives.sort(key=lambda i: (-row[i][0], i))
        hard = negatives[: max(int(positives * ratio), least)]
        result.append(
            [face[i] if label[i] >= 0 else background[i] * (i in hard) for i in range(len(row))]
        )
    return result


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 2**31), st.sampled_from([0.0, 1.0, 2.5, 7.0]), st.integers(0, 30), st.booleans()
)
def test_ohem_equals_a_loop(seed: int, ratio: float, least: int, ties: bool) -> None:
    logits, labels = batch(seed)
    if ties:
        logits = logits.round()
    loss = OHEM(negative_ratio=ratio, min_negatives=least)(logits, labels)
    expected = torch.tensor(ohem_by_loop(logits, labels, ratio, least))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_ohem_on_one_logit_is_the_softmax_of_two() -> None:
    generator = torch.Generator().manual_seed(1)
    pair = torch.randn(2, 30, 2, generator=generator)
    labels = torch.randint(-1, 1, (2, 30), generator=generator)
    loss = OHEM(negative_ratio=30)((pair[..., 1] - pair[..., 0]).unsqueeze(-1), labels)
    softmax = torch.nn.functional.cross_entropy(
        pair.flatten(0, 1), labels.flatten() + 1, reduction="none"
    )
    torch.testing.assert_close(loss.flatten(), softmax)


def test_ohem_without_faces_teaches_the_hardest_background() -> None:
    logits = torch.arange(6.0).view(1, 6, 1)
    loss = OHEM(negative_ratio=7, min_negatives=2)(logits, torch.full((1, 6), -1))
    assert (loss > 0).tolist() == [[False] * 4 + [True] * 2]


def test_ohem_refuses_several_classes() -> None:
    with pytest.raises(ValueError, match="one logit"):
        OHEM()(torch.zeros(1, 4, 2), torch.zeros(1, 4, dtype=torch.long))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 3), st.floats(0, 1), st.sampled_from([0.0, 1.0, 1.5, 2.0])
)
def test_focal_equals_a_loop(seed: int, classes: int, alpha: float, gamma: float) -> None:
    logits, labels = batch(seed, images=2, count=8, classes=classes)
    loss = FocalLoss(alpha=alpha, gamma=gamma)(logits, labels)
    for b in range(2):
        for n in range(8):
            expected = 0.0
            for c, logit in enumerate(logits[b, n].double().tolist()):
                face = labels[b, n] == c
                p = 1 / (1 + math.exp(-logit))
                p_true, weight = (p, alpha) if face else (1 - p, 1 - alpha)
                expected -= weight * (1 - p_true) ** gamma * math.log(p_true)
            if labels[b, n] == -2:
                expected = 0.0
            assert float(loss[b, n]) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_focal_equals_fvcore() -> None:
    logits, labels = batch(0)
    labels = labels.clamp(min=-1)
    expected = fvcore.nn.sigmoid_focal_loss(
        logits.squeeze(-1), (labels == 0).float(), alpha=0.25, gamma=2
    )
    torch.testing.assert_close(FocalLoss()(logits, labels), expected)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31), st.integers(1, 3), st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.booleans()
)
def test_bce_and_quality_focal_equal_a_loop(
    seed: int, classes: int, beta: float, soft: bool
) -> None:
    logits, labels = batch(seed, images=2, count=8, classes=classes)
    generator = torch.Generator().manual_seed(seed)
    quality = torch.rand(2, 8, generator=generator) if soft else None
    plain = BCE()(logits, labels, quality=quality)
    focal = QualityFocal(beta=beta)(logits, labels, quality=quality)
    for b in range(2):
        for n in range(8):
            entropy = weighted = 0.0
            for c, logit in enumerate(logits[b, n].double().tolist()):
                own = 1.0 if quality is None else float(quality[b, n])
                y = own if labels[b, n] == c else 0.0
                each = y * softplus(-logit) + (1 - y) * softplus(logit)
                entropy += each
                weighted += abs(y - 1 / (1 + math.exp(-logit))) ** beta * each
            taught = bool(labels[b, n] != -2)
            assert float(plain[b, n]) == pytest.approx(entropy * taught, rel=1e-4, abs=1e-6)
            assert float(focal[b, n]) == pytest.approx(weighted * taught, rel=1e-3, abs=1e-6)


def test_bce_equals_torch_on_soft_targets() -> None:
    logits, labels = batch(9)
    quality = torch.rand(labels.shape, generator=torch.Generator().manual_seed(9))
    labels = labels.clamp(min=-1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits.squeeze(-1), torch.where(labels == 0, quality, 0.0), reduction="none"
    )
    torch.testing.assert_close(BCE()(logits, labels, quality=quality), expected)


@pytest.mark.parametrize("loss", SOFT, ids=str)
def test_a_quality_of_one_is_none(loss: ClassLoss) -> None:
    logits, labels = batch(6)
    ones = torch.where(labels >= 0, 1.0, torch.nan)  # what others hold does not matter
    assert torch.equal(loss(logits, labels, quality=ones), loss(logits, labels))


@pytest.mark.parametrize("loss", SOFT, ids=str)
def test_a_score_equal_to_its_quality_has_no_gradient(loss: ClassLoss) -> None:
    logits = torch.tensor([[[-1.0], [0.0], [2.0]]], requires_grad=True)
    quality = logits.detach().sigmoid().squeeze(-1)
    loss(logits, torch.zeros(1, 3, dtype=torch.int64), quality=quality).sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros(1, 3, 1), atol=1e-6, rtol=0)


def test_focal_refuses_a_quality() -> None:
    logits, labels = batch(0)
    with pytest.raises(ValueError, match="Focal takes no targets between 0 and 1"):
        FocalLoss()(logits, labels, quality=torch.ones(labels.shape))


@pytest.mark.slow
@pytest.mark.parametrize("loss", SOFT, ids=str)
def test_compiled_equals_eager(loss: ClassLoss) -> None:
    logits, labels = batch(8)
    quality = torch.rand(labels.shape, generator=torch.Generator().manual_seed(8))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, labels, quality), loss(logits, labels, quality))


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_ignored_priors_have_no_loss_and_no_gradient(loss: ClassLoss) -> None:
    logits, labels = batch(3)
    logits = logits.clone().requires_grad_()
    values = loss(logits, labels)
    values.sum().backward()
    assert (values[labels == -2] == 0).all()
    assert (logits.grad.squeeze(-1)[labels == -2] == 0).all()
    assert (values[labels >= 0] > 0).all()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_the_weight_is_a_factor(loss: ClassLoss) -> None:
    logits, labels = batch(4)
    heavy = type(loss)(weight=2.5)
    light = type(loss)()
    torch.testing.assert_close(heavy(logits, labels), 2.5 * light(logits, labels))


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_nothing_to_learn_gives_zeros(loss: ClassLoss) -> None:
    logits = torch.randn(2, 5, 1, requires_grad=True)
    values = loss(logits, torch.full((2, 5), -2))
    values.sum().backward()
    assert values.tolist() == torch.zeros(2, 5).tolist()
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_extreme_logits_are_finite_with_finite_gradients(loss: ClassLoss) -> None:
    logits = torch.tensor([[[1e4], [-1e4], [1e4], [-1e4]]], requires_grad=True)
    values = loss(logits, torch.tensor([[0, 0, -1, -1]]))
    values.sum().backward()
    assert values.isfinite().all()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_half_precision_is_computed_in_float32(loss: ClassLoss) -> None:
    logits, labels = batch(5)
    half = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = loss(half, labels)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, loss(half.float(), labels))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FocalLoss(alpha=1.5), "alpha of Focal is 1.5"),
        (lambda: FocalLoss(gamma=-1), "gamma of Focal is -1"),
        (lambda: QualityFocal(beta=-1), "beta of QualityFocal is -1"),
        (lambda: BCE(weight=-1), "weight of BCE is -1"),
        (lambda: OHEM(negative_ratio=-1), "negative_ratio of OHEM is -1"),
        (lambda: OHEM(min_negatives=-3), "min_negatives -3"),
        (lambda: OHEM(weight=-1), "weight of OHEM is -1"),
    ],
)
def test_wrong_numbers_are_told(make, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
