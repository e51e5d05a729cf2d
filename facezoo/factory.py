"""From a config to objects: the model, the data, and what trains and measures it.

Every function here builds one section of a config; ``config.builder`` builds the parts in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from facezoo.config.builder import UNBUILT, Builder, publish
from facezoo.config.config import Config, load_config, load_with_problems
from facezoo.config.sections import top_level_keys
from facezoo.errors import ConfigError
from facezoo.registry import (
    DATASETS,
    DETECTORS,
    EVALUATORS,
    HOOKS,
    OPTIMIZERS,
    SCHEDULES,
    TRANSFORMS,
    Registry,
)

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from facezoo.data.datasets.face_dataset import FaceDataset
    from facezoo.data.transforms.batch_transform import BatchTransform
    from facezoo.data.transforms.transform import Transform
    from facezoo.metrics.evaluator import Evaluator
    from facezoo.models.face_detector import FaceDetector
    from facezoo.training.hooks.hook import Hook
    from facezoo.training.schedules import Schedule


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
    for name in context.keys() & set(top_level_keys()):
        raise ConfigError(
            f"{name!r} is a section of the config and no context: give words such as "
            f"'{name}.key=value', or a mapping with _BASE_, {name} and what it changes"
        )
    if "overrides" in context:
        raise ConfigError("build_model takes overrides one by one, after the source.")
    config = load_config(source, overrides)
    builder = Builder(config)
    return builder.finish(_section(builder, config, "model", DETECTORS, context))


def build_dataset(
    config: Config, split: Literal["train", "val"]
) -> tuple[FaceDataset, list[Transform]]:
    """Builds the data set and the transforms of a split.

    ``data.root`` and ``data.image_size`` serve where a data set or a transform leaves them out.

    Raises:
        FacezooError: see ``build``; a DataError where the data is not there.
    """
    builder = Builder(config)
    return builder.finish(_split(builder, config, split))


def build_batch_transforms(config: Config) -> list[BatchTransform]:
    """Builds what is done to whole batches of training, on their device.

    Raises:
        ConfigError: see ``build``.
    """
    builder = Builder(config)
    return builder.finish(_transforms(builder, config, "data.train.batch_transforms", {}))


def build_optimizer(config: Config, model: nn.Module) -> Optimizer:
    """Builds the optimizer of a model.

    Raises:
        ConfigError: see ``build``.
    """
    builder = Builder(config)
    return builder.finish(_section(builder, config, "optimizer", OPTIMIZERS, {"model": model}))


def build_schedule(config: Config) -> Schedule:
    """Builds the schedule of the learning rate.

    Raises:
        ConfigError: see ``build``.
    """
    builder = Builder(config)
    return builder.finish(_section(builder, config, "schedule", SCHEDULES, {}))


def build_hooks(config: Config) -> dict[str, Hook]:
    """Builds the hooks by name, in the order of the file; null is none.

    Raises:
        ConfigError: see ``build``.
    """
    builder = Builder(config)
    return builder.finish(_hooks(builder, config))


def build_evaluators(config: Config) -> list[Evaluator]:
    """Builds the evaluators.

    Raises:
        ConfigError: see ``build``.
    """
    builder = Builder(config)
    return builder.finish(_evaluators(builder, config))


def check_config(
    source: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    *,
    allow_imports: bool = True,
) -> list[str]:
    """Builds everything that a config describes, and returns all that is wrong with it.

    The model is built on torch's meta device, where it takes no memory, unless a part needs real
    numbers to be built. What a run needs besides is checked by the engine.

    Args:
        source: see ``load_config``, like the others.
        overrides: such as ``["train.epochs=5"]``.
        allow_imports: False for a config that came with a checkpoint.
    """
    from torch import nn

    try:
        config, problems = load_with_problems(source, overrides, allow_imports)
        config.import_plugins()
    except ConfigError as error:
        return error.problems
    builder = Builder(config, tolerant=True)
    model = _model_to_check(builder, config)
    for split in ("train", "val"):
        if config.get(f"data.{split}") is not None:
            _split(builder, config, split)
    _transforms(builder, config, "data.train.batch_transforms", {})
    if config.get("optimizer") is not None:
        # A model with a problem must not hide those of the optimizer.
        stand_in = nn.Linear(1, 1) if model is UNBUILT else model
        _section(builder, config, "optimizer", OPTIMIZERS, {"model": stand_in})
    if config.get("schedule") is not None:
        _section(builder, config, "schedule", SCHEDULES, {})
    _hooks(builder, config)
    _evaluators(builder, config)
    return list(dict.fromkeys([*problems, *builder.problems]))


def _model_to_check(builder: Builder, config: Config) -> Any:
    import torch

    before = list(builder.problems)
    try:
        with torch.device("meta"):
            return _section(builder, config, "model", DETECTORS, {})
    except RuntimeError:
        builder.problems = before
    try:
        return _section(builder, config, "model", DETECTORS, {})
    except RuntimeError as error:
        builder.complain("model", f"it cannot be built: {error}")
        return UNBUILT


def _section(
    builder: Builder, config: Config, name: str, registry: Registry, context: Mapping[str, Any]
) -> Any:
    """Builds a part that stands at the top of the config."""
    node = config.get(name)
    if node is None:
        builder.complain(name, f"this config has no {name!r}, a mapping with a 'type'")
        return UNBUILT
    return builder.part(node, registry, name, context)


def _split(builder: Builder, config: Config, split: str) -> Any:
    """Builds the data set and the transforms of ``data.<split>``."""
    path = f"data.{split}"
    node = config.get(path)
    if not isinstance(node, Mapping) or "dataset" not in node:
        builder.complain(path, "there is no data set: give it a mapping with 'dataset'")
        return UNBUILT
    known = {name: config.get(f"data.{name}") for name in ("root", "image_size")}
    builder.defaults = {name: value for name, value in known.items() if value is not None}
    context: dict[str, Any] = {}
    dataset = builder.part(node["dataset"], DATASETS, f"{path}.dataset", context)
    publish(dataset, context)
    transforms = _transforms(builder, config, f"{path}.transforms", context)
    builder.defaults = {}
    return dataset, transforms


def _transforms(
    builder: Builder, config: Config, path: str, context: Mapping[str, Any]
) -> list[Any]:
    """Builds a list of transforms, of samples or of whole batches, as its name says."""
    found = []
    wants_batches = path.endswith(".batch_transforms")
    for index, node in enumerate(config.get(path) or []):
        transform = builder.part(node, TRANSFORMS, f"{path}.{index}", context)
        found.append(transform)
        if transform is UNBUILT or getattr(transform, "of_batches", False) == wants_batches:
            continue
        changes, name = (
            ("single samples", "transforms")
            if wants_batches
            else ("whole batches", "batch_transforms")
        )
        builder.complain(
            f"{path}.{index}", f"{node['type']} changes {changes}; list it in data.train.{name}"
        )
    return found


def _hooks(builder: Builder, config: Config) -> dict[str, Any]:
    return {
        name: builder.part(node, HOOKS, f"hooks.{name}", {})
        for name, node in config["hooks"].items()
        if node is not None
    }


def _evaluators(builder: Builder, config: Config) -> list[Any]:
    return [
        builder.part(node, EVALUATORS, f"evaluation.evaluators.{index}", {})
        for index, node in enumerate(config["evaluation.evaluators"])
    ]
