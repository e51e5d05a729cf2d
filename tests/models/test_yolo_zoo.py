"""The YOLO models of the zoo: as large as published, and one compiled graph."""

from collections.abc import Callable

import pytest
import torch

from facezoo.builder import build_model
from facezoo.structures import Targets
from facezoo.training.update import mark_faces_dynamic
from facezoo.zoo.model_size import model_size

PUBLISHED = {  # millions of parameters, and 10^9 multiplications with addition at 640 x 480
    "yoloface_n05": (0.447, 0.571),
    "yoloface_n": (1.726, 2.111),
    "yoloface_s": (7.075, 5.751),
    "yoloface_m": (21.063, 18.146),
}
PARAMETERS = {  # millions: yolov8n-pose (zjykzj/YOLO11Face), and the graph of yolov8-lite-t
    "yolo8face_n": 3.08,
    "yolo8face_lite_t": 0.597,
}
MODELS = [*PUBLISHED, "yolo_darknet53", "yolo8face_lite_t", "yolo8face_n"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_those_of_the_authors_table(name: str) -> None:
    """deepcam-cn/yolov5-face, README: within 1 %."""
    size = model_size(build_model(name))
    parameters, macs = PUBLISHED[name]
    assert size.parameters / 1e6 == pytest.approx(parameters, rel=0.01)
    assert size.macs_vga / 1e9 == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_without_anchors(name: str) -> None:
    """Within 1 %: theirs also say whether a landmark can be seen."""
    parameters = sum(parameter.numel() for parameter in build_model(name).parameters())
    assert parameters / 1e6 == pytest.approx(PARAMETERS[name], rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_whole_training_forward_is_one_graph(
    name: str, noise: Callable[..., torch.Tensor], targets_of: Callable[..., Targets]
) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = build_model(name).train()
    images, targets = noise(2, 128), targets_of(2, 8, 128, count=6)
    expected = {name: float(term.total) for name, term in model(images, targets).items()}
    mark_faces_dynamic(targets)
    # The smallest of each head also through the autograd tracer, which takes long.
    backend = "aot_eager" if name in ("yoloface_n05", "yolo8face_lite_t") else "eager"
    terms = torch.compile(model, fullgraph=True, backend=backend)(images, targets)
    assert {name: float(term.total) for name, term in terms.items()} == pytest.approx(
        expected, rel=2e-3, abs=1e-3
    )
    sum(term.total / term.count.clamp(min=1) for term in terms.values()).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(grad is not None and grad.isfinite().all() for grad in gradients.values())
