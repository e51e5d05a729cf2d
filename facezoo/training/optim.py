"""Optimisers of torch by name, over parameter groups that fit a detector."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import torch
from torch import nn

from facezoo.errors import ConfigError
from facezoo.registry import OPTIMIZERS

FUSED_DEVICES = ("cpu", "cuda", "mps")
NEVER_FUSED = ("Adagrad", "SGD")
"""Adagrad has it for the CPU only; SGD begins its momentum with whatever the memory holds where its
first step is left out, as a scaler of gradients or a loss that is not finite does."""


@OPTIMIZERS.register_adapter("torch")
class TorchOptimizer:
    """Any optimiser of ``torch.optim``: ``{type: torch.AdamW, lr: 1e-3, weight_decay: 0.05}``.

    Calling this class gives the optimiser of torch itself. The fused implementation is taken
    where torch has one.

    Args:
        name: its name in ``torch.optim``.
        model: the model to train.
        lr: learning rate that the schedule scales.
        decay_norms: apply weight decay to norms and biases too.
        arguments: of the optimiser, such as ``weight_decay`` and ``momentum``.

    Raises:
        ConfigError: no such optimiser, an argument that it does not take, a part in the model's
            ``lr_scale`` that has no parameters, or nothing to train.
    """

    def __new__(  # type: ignore[misc]  # noqa: D102 - the class says it
        cls, name: str, model: nn.Module, lr: float, decay_norms: bool = False, **arguments: Any
    ) -> torch.optim.Optimizer:
        kind = _find(name)
        known = list(inspect.signature(kind).parameters)[1:]
        for argument in arguments:
            if argument not in known:
                close = difflib.get_close_matches(argument, known, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(known)}."
                raise ConfigError(f"torch.{name} takes no {argument!r}; {hint}")
        groups = parameter_groups(model, lr, decay_norms)
        device = next(model.parameters()).device.type
        if "fused" in known and device in FUSED_DEVICES and name not in NEVER_FUSED:
            arguments = {"fused": True, **arguments}
        return kind(groups, lr=lr, **arguments)  # type: ignore[call-arg]


def parameter_groups(model: nn.Module, lr: float, decay_norms: bool = False) -> list[dict]:
    """Returns a model's trainable parameters in groups of one learning rate and one decay.

    Parameters of one dimension (norms and biases) get ``weight_decay=0`` unless ``decay_norms``.
    A part named in ``model.lr_scale`` (such as ``backbone`` or ``backbone.stage1``; the longest
    name that fits counts) has its learning rate multiplied by the scale.

    Raises:
        ConfigError: a part in ``lr_scale`` has no parameters, or nothing is left to train.
    """
    scales: dict[str, float] = getattr(model, "lr_scale", {})
    used = set()
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        parts = [part for part in scales if name == part or name.startswith(f"{part}.")]
        used.update(parts)
        if parameter.requires_grad:
            scale = scales[max(parts, key=len)] if parts else 1.0
            decays = decay_norms or parameter.ndim > 1
            groups.setdefault((scale, decays), []).append(parameter)
    for part in scales.keys() - used:
        raise ConfigError(
            f"model.lr_scale names {part!r}, which has no parameters; "
            f"the parts are {', '.join(name for name, _ in model.named_children())}."
        )
    if not groups:
        raise ConfigError("Nothing is left to train: every parameter is frozen by model.freeze.")
    return [
        {"params": parameters, "lr": lr * scale, **({} if decays else {"weight_decay": 0.0})}
        for (scale, decays), parameters in groups.items()
    ]


def separate_biases(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Gives the biases groups of their own, each with the settings of the one that they leave.

    Biases are the parameters called ``bias``, those of norms among them, as in YOLOv5. The groups
    come behind all others; of a group that holds nothing else an empty one stays.

    Args:
        model: whose parameters they are.
        optimizer: not yet used.

    Returns:
        The number of the first group of biases.
    """
    first = len(optimizer.param_groups)
    biases = {id(p) for name, p in model.named_parameters() if name.split(".")[-1] == "bias"}
    for group in optimizer.param_groups[:first]:
        own = [parameter for parameter in group["params"] if id(parameter) in biases]
        if own:
            group["params"] = [one for one in group["params"] if id(one) not in biases]
            optimizer.add_param_group({**group, "params": own})
    return first


def _find(name: str) -> type[torch.optim.Optimizer]:
    kind = getattr(torch.optim, name, None)
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer):
        return kind
    names = [one for one in dir(torch.optim) if isinstance(getattr(torch.optim, one), type)]
    close = difflib.get_close_matches(name, names, 3)
    hint = f"did you mean {' or '.join(close)}?" if close else "see torch.optim for the names."
    raise ConfigError(f"torch.optim has no optimiser {name!r}; {hint}")
