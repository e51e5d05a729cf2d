"""``FaceDetector``: freezing, the way back to photographs, crowds, and one compiled graph."""

from collections.abc import Callable

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from facezoo.builder import build_model
from facezoo.config.config import zoo_folder
from facezoo.errors import ConfigError
from facezoo.models import FaceDetector
from facezoo.structures import Targets
from facezoo.training.update import mark_faces_dynamic

TINY = zoo_folder() / "_base_" / "tiny_model.yaml"


def tiny(*overrides: str) -> FaceDetector:
    torch.manual_seed(0)
    return build_model(TINY, *overrides)


def loss_of(model: torch.nn.Module, images: torch.Tensor, targets: Targets) -> torch.Tensor:
    return sum(term.total / term.count.clamp(min=1) for term in model(images, targets).values())


def test_stride_is_the_coarsest() -> None:
    assert tiny().stride == 32
    assert (
        tiny(
            "model.neck.extra_levels=1",
            "model.head.anchors={8: [16], 16: [32], 32: [64], 64: [128]}",
        ).stride
        == 64
    )


def test_frozen_parts_do_not_change(
    noise: Callable[..., torch.Tensor], targets_of: Callable[..., Targets]
) -> None:
    model = tiny("model.freeze=[backbone.stage1]", "model.freeze_batch_norm=[backbone, neck]")
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    loss_of(model, noise(2, 128), targets_of(2, 8, 128)).backward()
    optimizer.step()
    changed = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert not any(name.startswith("backbone.stage1.") for name in changed)
    assert any(name.startswith("backbone.stage2.") for name in changed)
    norms = {
        f"{path}."
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d) and path.startswith(("backbone", "neck"))
    }
    assert not any(name.startswith(tuple(norms)) for name in changed)
    assert any("running_mean" in name and name.startswith("head.context") for name in changed)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.freeze=[backbone.stag1]", "did you mean 'backbone.stage1'"),
        ("model.freeze_batch_norm=[body]", "the model has no such part"),
        ("model.lr_scale={neckk: 0.1}", "did you mean 'neck'"),
        ("model.lr_scale={neck: -1}", "cannot be below 0"),
    ],
)
def test_parts_that_are_not_there(override: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as error:
        tiny(override)
    assert sentence in str(error.value)


def test_predict_maps_back_and_keeps_a_mirrored_box_upright(
    noise: Callable[..., torch.Tensor],
) -> None:
    model, images = tiny().eval(), noise(1, 128)
    (plain,) = model.predict(images, score_thresh=0.0)
    assert len(plain) > 20 and plain.landmarks.shape == (len(plain), 5, 2)
    assert (plain.scores[:-1] >= plain.scores[1:]).all()
    mirror = torch.tensor([[[-2.0, 0, 256], [0, 0.5, 10]]], dtype=torch.float64)
    (mapped,) = model.predict(images, mirror, score_thresh=0.0)
    x1, y1, x2, y2 = plain.boxes.T
    expected = torch.tensor([256 - 2 * x2, 0.5 * y1 + 10, 256 - 2 * x1, 0.5 * y2 + 10])
    torch.testing.assert_close(torch.from_numpy(mapped.boxes), expected.T, rtol=1e-5, atol=1e-3)


def test_two_thousand_faces_and_none_in_one_batch(
    noise: Callable[..., torch.Tensor], targets_of: Callable[..., Targets]
) -> None:
    crowd, empty = targets_of(1, 2048, 128, count=2000), targets_of(1, 2048, 128, count=0)
    pairs = zip(vars(crowd).values(), vars(empty).values(), strict=True)
    targets = Targets(*map(torch.cat, pairs))
    model = tiny().train()
    loss = loss_of(model, noise(2, 128), targets)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.slow
def test_one_compiled_graph_serves_twelve_batch_shapes(
    noise: Callable[..., torch.Tensor], targets_of: Callable[..., Targets]
) -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    model = tiny().train()
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    shapes = [(2, 8), (2, 16), (3, 32), (2, 64), (4, 8), (2, 128), (2, 256), (5, 16)]
    shapes += [(2, 512), (3, 1024), (2, 2048), (6, 8)]
    for seed, (batch, faces) in enumerate(shapes):
        targets, images = targets_of(batch, faces, 128, seed=seed), noise(batch, 128, seed)
        mark_faces_dynamic(targets)
        expected = loss_of(model, images, targets).detach()
        loss = loss_of(compiled, images, targets)
        loss.backward()
        torch.testing.assert_close(loss.detach(), expected, rtol=1e-4, atol=1e-4)
    assert counter.frame_count <= 3


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_the_compiled_loss_is_the_eager_loss(
    backend: str, noise: Callable[..., torch.Tensor], targets_of: Callable[..., Targets]
) -> None:
    torch._dynamo.reset()
    model = tiny().train()
    images, targets = noise(2, 128), targets_of(2, 16, 128, count=11)
    expected = loss_of(model, images, targets)
    mark_faces_dynamic(targets)
    compiled = loss_of(torch.compile(model, fullgraph=True, backend=backend), images, targets)
    torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-4)


def test_parameters_of_the_published_network() -> None:
    """Pytorch_Retinaface's 426,608 less one filter of each softmax pair: 6 of 64 and a bias."""
    model = build_model(zoo_folder() / "_base_" / "retinaface_mnet025_model.yaml")
    assert sum(parameter.numel() for parameter in model.parameters()) == 426_608 - 6 * 65
