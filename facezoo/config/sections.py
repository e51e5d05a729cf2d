"""The keys of a config that no registered part defines, checked as strictly as a part's arguments.

``model``, ``optimizer``, ``schedule`` and each of ``hooks`` are parts: their classes say what they
take. The sections ``data``, ``train`` and ``evaluation`` are described by dataclasses; what a file
leaves out of them is filled in, so that a config always says all of it.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ByteSize, TypeAdapter, ValidationError

from facezoo.config.signatures import buildable, check_value, members, missing, signature_of
from facezoo.config.yaml_tree import Node, Origin, from_plain, join, to_plain
from facezoo.errors import ConfigError, did_you_mean

PARTS = ("model", "optimizer", "schedule")
DEFAULT = Origin("default")
LARGEST_STRIDE = 32
"""Pixels per cell of the coarsest level of the usual detectors, which a side has to be cut into."""
_TRAIN_SETTINGS = "facezoo.training.settings:TrainSettings"
"""The engine's own dataclass, imported where a config is checked: it imports no torch."""
REMOVED = {
    "data.reduced_decoding": "decoding at a reduced scale is gone, as it saved next to no time; "
    "leave the key out",
}
"""Keys of older versions and what to do instead; false, their default in the config of a run that
was saved then, is passed over."""


@dataclass(frozen=True)
class SplitSettings:
    """Where the images of one split come from and what is done to them.

    Attributes:
        dataset: a part of DATASETS.
        transforms: parts of TRANSFORMS, in order.
    """

    dataset: Any
    transforms: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class TrainSplitSettings(SplitSettings):
    """The section ``data.train``.

    Attributes:
        batch_transforms: parts of TRANSFORMS that change whole batches on the device, in order,
            after ``transforms``.
    """

    batch_transforms: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class DataSettings:
    """The section ``data``.

    Attributes:
        root: folder of the photographs; a data set that leaves out its ``root`` gets it.
        image_size: side of the square images that are trained on, in pixels; a data set or
            transform that leaves out its ``image_size`` gets it.
        batch_size: images per update of the weights, over all processes.
        multi_scale: sides in pixels, of which each step takes one for its whole batch: the images
            that the transforms made are scaled to it. None leaves them as they are. Validation is
            not affected.
        workers: processes that read images; 0 reads them in the process that trains.
        on_unreadable: what a training image that cannot be read does: ``stop`` ends the run with
            its error, ``next`` counts it, names it once and takes the next image of the epoch.
            Validation always stops.
        cache: keeps decoded images, in ``memory`` or in a folder (``~`` is that of the user); None
            decodes each time.
        cache_limit: of the images in the cache, in bytes, as a number or such as ``8GiB``.
        train: what is trained on.
        val: what is validated on, or None.
    """

    root: str | None = None
    image_size: int | None = None
    batch_size: int = 16
    multi_scale: list[int] | None = None
    workers: int = 0
    on_unreadable: Literal["stop", "next"] = "stop"
    cache: str | None = None
    cache_limit: int | str = "8GiB"
    train: TrainSplitSettings | None = None
    val: SplitSettings | None = None

    def __post_init__(self) -> None:
        for name, least in (("image_size", 1), ("batch_size", 1), ("workers", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"data.{name} is {value}; give {least} or more")
        if self.multi_scale is not None:
            check_multi_scale(self.multi_scale)
        if self.cache is not None and not self.cache.strip():
            raise ConfigError("data.cache is empty; give memory, a folder, or null")
        cache_bytes(self.cache_limit)


def cache_bytes(limit: int | str) -> int:
    """Returns ``data.cache_limit`` in bytes.

    Raises:
        ConfigError: it is no positive number of bytes.
    """
    try:
        found = int(TypeAdapter(ByteSize).validate_python(limit))
    except ValidationError:
        found = 0
    if found < 1:
        raise ConfigError(
            f"data.cache_limit is {limit!r}; give a number of bytes, or one with a unit such as "
            "8GiB."
        )
    return found


def check_multi_scale(sides: Sequence[int]) -> None:
    """Checks ``data.multi_scale``.

    Args:
        sides: in pixels.

    Raises:
        ConfigError: there is none, or one is not a positive multiple of the largest stride.
    """
    if not sides or any(side < 1 or side % LARGEST_STRIDE for side in sides):
        raise ConfigError(
            f"data.multi_scale is {list(sides)}; give sides that are multiples of "
            f"{LARGEST_STRIDE}, such as [256, 320], or null."
        )


@dataclass(frozen=True)
class EvaluationSettings:
    """The section ``evaluation``.

    Attributes:
        protocol: the scale at which faces are looked for, by name or as ``{long: 640}``.
        protocols: names of one's own for protocols, such as ``{small: long:320}``; null
            takes an inherited one away.
        score_thresh: lowest score of a face.
        nms_thresh: IoU above which the worse of two faces is dropped.
        evaluators: parts of EVALUATORS.
    """

    protocol: str | dict[str, Any] = "original"
    protocols: dict[str, Any] = field(default_factory=dict)
    score_thresh: float = 0.02
    nms_thresh: float = 0.4
    evaluators: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("score_thresh", "nms_thresh"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"evaluation.{name} is {value}; give a number from 0 to 1")


def sections() -> dict[str, type]:
    """Returns the dataclass of each section."""
    module, _, name = _TRAIN_SETTINGS.partition(":")
    train_settings = getattr(importlib.import_module(module), name)
    return {"data": DataSettings, "train": train_settings, "evaluation": EvaluationSettings}


def top_level_keys() -> list[str]:
    """Returns the keys of a config, the same in every file."""
    return ["model", "data", "optimizer", "schedule", "train", "hooks", "evaluation", "imports"]


def fill_defaults(tree: Node) -> None:
    """Adds to a config what it leaves out of its sections, and puts the sections in one order.

    Parts keep their own defaults.
    """
    _pass_over_removed(tree)
    tree.value.setdefault("imports", Node([], DEFAULT))
    tree.value.setdefault("hooks", Node({}, DEFAULT))
    for name, settings in sections().items():
        _fill_section(tree.value.setdefault(name, Node({}, DEFAULT)), settings)
    train = tree.value["data"].child("train")
    if train is not None:
        _fill_section(train[1], TrainSplitSettings)
    order = [*top_level_keys(), *tree.value]
    tree.value = {key: tree.value[key] for key in dict.fromkeys(order) if key in tree.value}


def _pass_over_removed(tree: Node) -> None:
    for path in REMOVED:
        section, _, key = path.partition(".")
        values = tree.value[section].value if section in tree.value else None
        if isinstance(values, dict) and key in values and values[key].value is False:
            del values[key]


def _fill_section(section: Node, settings: type) -> None:
    """Adds to a section what it leaves out of its settings."""
    if not isinstance(section.value, dict):
        return
    for one in dataclasses.fields(settings):
        default: Any
        if one.default is not dataclasses.MISSING:
            default = one.default
        elif one.default_factory is not dataclasses.MISSING:
            default = one.default_factory()
        else:
            continue
        section.value.setdefault(one.name, from_plain(default, DEFAULT))


def check_tree(tree: Node) -> list[str]:
    """Returns a sentence for each key or value, outside of the parts, that cannot be."""
    known = top_level_keys()
    problems = [
        f"{key}: there is no such section{did_you_mean(key, known)}; "
        f"a config has {', '.join(known)}{node.place}"
        for key, node in tree.value.items()
        if key not in known
    ]
    for key in PARTS:
        node = tree.value.get(key)
        if node is not None and node.value is not None and not isinstance(node.value, dict):
            problems.append(f"{key}: takes a mapping with a 'type'{node.place}")
    if not isinstance(tree.value["hooks"].value, dict):
        problems.append(f"hooks: takes a mapping from names to hooks{tree.value['hooks'].place}")
    problems += _module_complaints(tree.value["imports"])
    for key, settings in sections().items():
        problems += _check_section(tree.value[key], settings, key, tree)
    return problems


def located(sentence: str, tree: Node) -> str:
    """Returns a sentence that begins with a dotted path, with the place of that value added."""
    node = tree
    for step in sentence.split(" ", 1)[0].rstrip(":").split("."):
        found = node.child(step)
        if found is None:
            break
        node = found[1]
    return sentence.rstrip(".") + (node.place if node is not tree else "")


def _module_complaints(node: Node) -> list[str]:
    if not isinstance(node.value, list):
        return [f"imports: takes a list of modules{node.place}"]
    return [
        f"imports.{index}: takes the name of a module, such as my_package.my_module, "
        f"not {one.value!r}{one.place}"
        for index, one in node.children()
        if not isinstance(one.value, str)
        or not all(word.isidentifier() for word in one.value.split("."))
    ]


def _check_section(node: Node, settings: type, path: str, tree: Node) -> list[str]:
    if not isinstance(node.value, dict):
        return [f"{path}: takes a mapping{node.place}"]
    signature = signature_of(settings)
    arguments = signature.arguments
    problems = []
    for key, child in node.value.items():
        where = join(path, key)
        if where in REMOVED:
            problems.append(f"{where}: {REMOVED[where]}{child.place}")
            continue
        if key not in arguments:
            problems.append(
                f"{where}: '{path}' has no key {key!r}{did_you_mean(key, arguments)}; "
                f"it has {', '.join(arguments)}{child.place}"
            )
            continue
        hint = arguments[str(key)].hint
        inner = next((one for one in members(hint) if buildable(one)), None)
        if inner is not None and child.value is not None:
            problems += _check_section(child, inner, where, tree)
        elif complaint := check_value(to_plain(child), hint)[1]:
            problems.append(f"{where}: {complaint}{child.place}")
    for name in missing(node.value, signature):
        problems.append(f"{path}: {name!r} is missing{node.place}")
    if not problems:
        try:
            settings(**to_plain(node))
        except ConfigError as error:
            problems += [located(sentence, tree) for sentence in error.problems]
    return problems
