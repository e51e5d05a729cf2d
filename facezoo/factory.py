"""From a config, or a part of one, to objects; ``config.builder`` has the rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facezoo.config.builder import Builder
from facezoo.config.config import Config, load_config
from facezoo.config.schema import KEYS
from facezoo.errors import ConfigError
from facezoo.registry import DETECTORS, EVALUATORS, OPTIMIZERS, Registry

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from facezoo.metrics.evaluator import Evaluator
    from facezoo.models.face_detector import FaceDetector


def build(
    node: Mapping[str, Any],
    registry: Registry,
    *,
    config: Config | None = None,
    path: str = "",
    **context: Any,
) -> Any:
    """Builds a part.

    Args:
        node: ``type`` and arguments; it is not changed.
        registry: where the class is looked up.
        config: the config that ``node`` came from, so that messages name file and line.
        path: the dotted path of ``node`` in it.
        context: arguments of the part or of parts in it, where ``node`` leaves them out.

    Raises:
        ConfigError: with one sentence for each thing that is wrong.
        FacezooError: a part could not be made, for example as its data is not there.
    """
    builder = Builder(config)
    return builder.finish(builder.part(node, registry, path, context))


def build_model(
    source: str | Path | Mapping[str, Any] | Config, *overrides: str, **context: Any
) -> FaceDetector:
    """Builds a detector: ``build_model("retinaface_r50", "model.backbone.pretrained=false")``.

    Args:
        source: name in the zoo, path of a YAML, mapping or Config; a mapping may change a named
            config too: ``{"_BASE_": "retinaface_r50", "model": {"neck": {"channels": 128}}}``.
        overrides: such as ``model.neck.channels=128``.
        context: see ``build``.

    Raises:
        FacezooError: see ``build``.
    """
    for name in context.keys() & set(KEYS):
        raise ConfigError(
            f"{name!r} is a section of the config and no context: give words such as "
            f"'{name}.key=value', or a mapping with _BASE_, {name} and what it changes"
        )
    if "overrides" in context:
        raise ConfigError("build_model takes overrides one by one, after the source.")
    config = load_config(source, overrides)
    builder = Builder(config)
    return builder.finish(builder.section("model", DETECTORS, **context))


def build_optimizer(config: Config, model: nn.Module) -> Optimizer:
    """Builds the optimizer of a model.

    Raises:
        ConfigError: see ``build``.
    """
    builder = Builder(config)
    return builder.finish(builder.section("optimizer", OPTIMIZERS, model=model))


def build_evaluators(config: Config) -> list[Evaluator]:
    """Builds the evaluators.

    Raises:
        ConfigError: see ``build``.
    """
    builder = Builder(config)
    return builder.finish(evaluators_of(builder, config))


def evaluators_of(builder: Builder, config: Config) -> list[Evaluator]:
    """Builds the evaluators; what is wrong is noted in the builder."""
    path = "evaluation.evaluators"
    return [
        builder.part(node, EVALUATORS, f"{path}.{index}", {})
        for index, node in enumerate(config[path])
    ]


def without_pretrained(config: Config) -> Config:
    """Returns the config for a model whose weights come from elsewhere, not from a hub."""
    if not config.get("model.backbone.pretrained"):
        return config
    return load_config(config, ["model.backbone.pretrained=false"])
