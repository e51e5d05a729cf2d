"""facezoo: a model zoo and training library for face detection.

Every public name is imported on first use, so that ``import facezoo`` alone is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from facezoo.version import __version__ as __version__

_HOMES = {
    "facezoo.builder": "build build_model",
    "facezoo.config.config": "Config load_config",
    "facezoo.errors": "CheckpointError ConfigError DataError FacezooError",
    "facezoo.evaluation.evaluate": "Report evaluate",
    "facezoo.inference.detector": "Detector",
    "facezoo.registry": "ASSIGNERS BACKBONES DATASETS DETECTORS EVALUATORS HEADS HOOKS LOSSES "
    "NECKS OPTIMIZERS SCHEDULES TRANSFORMS",
    "facezoo.runs.run": "train",
    "facezoo.runs.run_check": "check_config",
    "facezoo.structures": "Batch Faces Grid LossTerm RawOutputs Sample Targets Truth",
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

if TYPE_CHECKING:
    # isort: off
    from facezoo.builder import build as build, build_model as build_model
    from facezoo.config.config import Config as Config, load_config as load_config
    from facezoo.errors import (
        CheckpointError as CheckpointError,
        ConfigError as ConfigError,
        DataError as DataError,
        FacezooError as FacezooError,
    )
    from facezoo.evaluation.evaluate import Report as Report, evaluate as evaluate
    from facezoo.inference.detector import Detector as Detector
    from facezoo.registry import (
        ASSIGNERS as ASSIGNERS,
        BACKBONES as BACKBONES,
        DATASETS as DATASETS,
        DETECTORS as DETECTORS,
        EVALUATORS as EVALUATORS,
        HEADS as HEADS,
        HOOKS as HOOKS,
        LOSSES as LOSSES,
        NECKS as NECKS,
        OPTIMIZERS as OPTIMIZERS,
        SCHEDULES as SCHEDULES,
        TRANSFORMS as TRANSFORMS,
    )
    from facezoo.runs.run import train as train
    from facezoo.runs.run_check import check_config as check_config
    from facezoo.structures import (
        Batch as Batch,
        Faces as Faces,
        Grid as Grid,
        LossTerm as LossTerm,
        RawOutputs as RawOutputs,
        Sample as Sample,
        Targets as Targets,
        Truth as Truth,
    )

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'facezoo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
