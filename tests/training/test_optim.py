import pytest
import torch
from torch import nn

from facezoo.errors import ConfigError
from facezoo.training.optim import TorchOptimizer, parameter_groups


def detector(**lr_scale: float) -> nn.Module:
    model = nn.Module()
    model.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3))
    model.head = nn.Linear(4, 2)
    model.lr_scale = {name.replace("_", "."): scale for name, scale in lr_scale.items()}
    return model


def settings(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_norms_and_biases_do_not_decay() -> None:
    model = detector()
    found = settings(model, TorchOptimizer("AdamW", model, lr=1e-3, weight_decay=0.05))
    assert len(found) == len(list(model.parameters()))
    decayed = {name for name, (_, decay) in found.items() if decay == 0.05}
    assert decayed == {"backbone.0.weight", "backbone.2.weight", "head.weight"}
    assert {decay for _, decay in found.values()} == {0.0, 0.05}


def test_norms_and_biases_decay_when_asked() -> None:
    model = detector()
    optimizer = TorchOptimizer("SGD", model, decay_norms=True, lr=1e-3, weight_decay=0.05)
    assert {decay for _, decay in settings(model, optimizer).values()} == {0.05}


def test_longest_part_scales_the_learning_rate() -> None:
    model = detector(backbone=0.1, backbone_2=0.5)
    found = settings(model, TorchOptimizer("SGD", model, lr=1.0, momentum=0.9))
    rates = {name: rate for name, (rate, _) in found.items()}
    assert rates["backbone.0.weight"] == rates["backbone.1.bias"] == 0.1
    assert rates["backbone.2.weight"] == 0.5
    assert rates["head.weight"] == 1.0


def test_frozen_parameters_are_left_out() -> None:
    model = detector()
    model.backbone.requires_grad_(False)
    assert sum(len(group["params"]) for group in parameter_groups(model, 1.0)) == 2
    model.head.requires_grad_(False)
    with pytest.raises(ConfigError, match="Nothing is left to train"):
        parameter_groups(model, 1.0)


@pytest.mark.parametrize("name", ["AdamW", "SGD", "RMSprop", "NAdam", "Adagrad"])
def test_any_optimiser_of_torch_steps(name: str) -> None:
    model = detector()
    optimizer = TorchOptimizer(name, model, lr=1e-2)
    assert isinstance(optimizer, getattr(torch.optim, name))
    before = model.head.weight.clone()
    model.head(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    assert not torch.equal(model.head.weight, before)


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("AdmW", {"lr": 1.0}, "no optimiser 'AdmW'; did you mean .*AdamW"),
        ("Optimizerr", {"lr": 1.0}, "no optimiser"),
        ("AdamW", {"lr": 1.0, "weight_decai": 0.1}, "did you mean 'weight_decay'"),
    ],
)
def test_wrong_arguments_are_named(name: str, arguments: dict[str, float], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TorchOptimizer(name, detector(), **arguments)


def test_a_scaled_part_must_exist() -> None:
    with pytest.raises(ConfigError, match=r"'bakbone'.*the parts are backbone, head"):
        parameter_groups(detector(bakbone=0.1), 1.0)
