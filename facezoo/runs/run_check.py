"""Checks a config or a run before it starts, and finds all that is wrong at once."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facezoo.builder import UNBUILT, Builder, build_optimizer
from facezoo.config.config import Config, load_with_problems
from facezoo.data.build_data import check_data
from facezoo.errors import ConfigError, FacezooError
from facezoo.inference.protocols import configured_protocol
from facezoo.registry import DETECTORS, EVALUATORS, HOOKS, OPTIMIZERS, SCHEDULES
from facezoo.runs.build_trainer import build_schedule, hooks_of
from facezoo.runs.run_config import carried_config
from facezoo.training.hooks.evaluation import Evaluation
from facezoo.training.optim import check_schedule

NEEDED = {"data.train": "dataset", "optimizer": "type", "schedule": "type"}
"""Sections that a model alone does without, each with the key that it cannot miss."""


def check_config(
    source: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    *,
    allow_imports: bool = True,
) -> list[str]:
    """Builds everything that a config describes, and returns all that is wrong with it.

    The model is built on torch's meta device, where it takes no memory, unless a part needs real
    numbers to be built. What a run needs besides is checked by ``check_run``.

    Args:
        source: see ``load_config``, like the others.
        overrides: such as ``["train.epochs=5"]``.
        allow_imports: False for a config that came with a checkpoint.
    """
    try:
        config, problems = load_with_problems(source, overrides, allow_imports)
        config.import_plugins()
    except ConfigError as error:
        return error.problems
    builder = Builder(config, tolerant=True)
    model = _model_to_check(builder)
    check_data(builder, config)
    if config.get("optimizer") is not None:
        # A model with a problem must not hide those of the optimizer.
        stand_in = nn.Linear(1, 1) if model is UNBUILT else model
        builder.section("optimizer", OPTIMIZERS, model=stand_in)
    if config.get("schedule") is not None:
        builder.section("schedule", SCHEDULES)
    hooks_of(builder, config)
    builder.parts("evaluation.evaluators", EVALUATORS)
    return list(dict.fromkeys([*problems, *builder.problems]))


def _model_to_check(builder: Builder) -> Any:
    before = list(builder.problems)
    try:
        with torch.device("meta"):
            return builder.section("model", DETECTORS)
    except RuntimeError:
        builder.problems = before
    try:
        return builder.section("model", DETECTORS)
    except RuntimeError as error:
        return builder.add_problem("model", f"it cannot be built: {error}")


def check_run(
    source: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    allow_imports: bool = False,
) -> list[str]:
    """Builds everything that a run needs, trains nothing, and returns all that is wrong.

    Its arguments are those of ``facezoo.runs.run_config.open_config``.
    """
    carried = carried_config(source)
    allow_imports = allow_imports or carried is None
    source = source if carried is None else carried
    problems = check_config(source, overrides, allow_imports=allow_imports)
    try:
        config, unreadable = load_with_problems(source, overrides, allow_imports)
    except ConfigError:
        return problems
    if not unreadable:
        problems += _problems_of_run(config)
    return list(dict.fromkeys(problems))


def _problems_of_run(config: Config) -> list[str]:
    """Returns what is wrong with a run whose sections are each in order."""
    sentences = [
        f"{path}: a run needs it; give it a mapping with {key!r}"
        for path, key in NEEDED.items()
        if config.get(path) is None
    ]
    if config.get("data.val") is None:
        sentences += [
            f"hooks.{name} needs a validation set: give data.val, or hooks.{name}=null"
            for name, node in config["hooks"].items()
            if _evaluates(node)
        ]
    settings, batch_size = config.sections.train, config.sections.data.batch_size
    sentences += _problems(settings.check_batch_size, batch_size)
    sentences += _problems(settings.total_steps, 1, batch_size)
    with suppress(FacezooError):  # the optimizer or the schedule is wrong itself
        # Over parameters of no model, as the settings of an optimizer are not the model's.
        optimizer = build_optimizer(config, nn.Linear(1, 1, device="meta"))
        sentences += _problems(check_schedule, optimizer, build_schedule(config))
    problems = [config.located(sentence) for sentence in sentences]
    return problems + _problems(configured_protocol, config)


def _problems(check: Callable[..., Any], *values: Any) -> list[str]:
    try:
        check(*values)
    except ConfigError as error:
        return error.problems
    return []


def _evaluates(node: Any) -> bool:
    """Returns whether a hook in the config measures on the validation set."""
    try:
        return issubclass(HOOKS.find(node["type"])[0], Evaluation)
    except (ConfigError, TypeError, KeyError):
        return False
