"""The code that the faces found by a model depend on, as a digest of its files and as versions."""

from __future__ import annotations

import functools
import hashlib
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import timm
import torch
import torchvision

import facezoo
from facezoo.errors import ConfigError

LIBRARIES = (cv2, np, timm, torch, torchvision)
KNOWN = sys.stdlib_module_names | {facezoo.__name__} | {one.__name__ for one in LIBRARIES}
"""Packages whose files are not looked up: facezoo's are taken as a whole, the others by version."""
LEAVES = (type, ModuleType, torch.Tensor, np.ndarray, logging.Logger)
"""What may be in a part without the objects behind it being the part's own."""


def library_versions() -> dict[str, str]:
    """Returns the versions of the libraries that read, scale and compute, by name."""
    return {one.__name__: str(one.__version__) for one in LIBRARIES}


def code_digest(model: torch.nn.Module) -> str:
    """Returns a sha256 of all of facezoo's files of code and of those that define a model's parts.

    A part is the model, and every object that it holds, a module or not, such as a codec, an
    activation or a rule of assignment; the files are those of its class and of all base classes.

    Args:
        model: with parts of facezoo or of a user.

    Raises:
        ConfigError: a part is defined in no file, as in a notebook.
    """
    root = Path(facezoo.__file__).parent
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    for name in {name for part in _parts(model) for name in _module_names(part)}:
        if name.partition(".")[0] not in KNOWN:
            files[f"module {name}"] = _file_of(name)
    digest = hashlib.sha256()
    for label, path in sorted(files.items()):
        digest.update(f"{label}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _parts(model: torch.nn.Module) -> Iterator[Any]:
    """Gives a model and every object that it holds, once each."""
    waiting: list[Any] = [model]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, LEAVES):
            continue
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, (list, tuple, set, frozenset)):
            waiting += one
        elif isinstance(one, functools.partial):
            waiting += (one.func, one.args, one.keywords)
        waiting += getattr(one, "__dict__", {}).values()
        slots = [name for kind in type(one).__mro__ for name in _slots(kind)]
        waiting += [getattr(one, name) for name in slots if hasattr(one, name)]


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _module_names(part: Any) -> set[str]:
    """Returns the modules of an object's class and base classes; of a function, its own too."""
    kinds = part.__mro__ if isinstance(part, type) else type(part).__mro__
    own = getattr(part, "__module__", None)
    return {kind.__module__ for kind in kinds} | ({own} if isinstance(own, str) else set())


def _file_of(module_name: str) -> Path:
    file = getattr(sys.modules.get(module_name), "__file__", None)
    if file is None:
        raise ConfigError(
            f"A part of the model is defined in {module_name}, which is no file, so that a cache "
            "cannot tell when it changes; move the part into a module, or leave the cache out."
        )
    return Path(file)
