"""The keys of a config that no registered part defines, checked as strictly as a part's arguments.

``model``, ``optimizer``, ``schedule`` and each of ``hooks`` are parts: their classes say what they
take. The other sections are dataclasses; what a file leaves out of them is filled in, so that a
config always says all of it.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal

from pydantic import ByteSize, TypeAdapter, ValidationError

from facezoo.config.signatures import buildable, check_value, members, missing, signature_of
from facezoo.config.yaml_tree import Node, Origin, from_plain, join, to_plain
from facezoo.errors import ConfigError, did_you_mean

KEYS = ("model", "data", "optimizer", "schedule", "train", "hooks", "evaluation", "imports")
"""The keys at the top of a config, in the order in which it is written."""
DEFAULT = Origin("default")
REMOVED = {
    "data.reduced_decoding": "decoding at a reduced scale is gone, as it saved next to no time; "
    "leave the key out"
}
"""Keys of older versions and what to do instead; false, their default in the config of a run that
was saved then, is passed over."""
LARGEST_STRIDE = 32
"""Pixels per cell of the coarsest level of the usual detectors."""


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
        cache: folder that keeps decoded images (``~`` is that of the user); None decodes each time.
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
            raise ConfigError("data.cache is empty; give a folder, or null")
        cache_bytes(self.cache_limit)


def check_multi_scale(sides: Sequence[int]) -> None:
    """Refuses sides that are none, or no positive multiples of the largest stride, in pixels."""
    if not sides or any(side < 1 or side % LARGEST_STRIDE for side in sides):
        raise ConfigError(
            f"data.multi_scale is {list(sides)}; give sides that are multiples of "
            f"{LARGEST_STRIDE}, such as [256, 320], or null."
        )


def cache_bytes(limit: int | str) -> int:
    """Returns ``data.cache_limit`` in bytes, or raises a ConfigError where it is no such number."""
    with suppress(ValidationError):
        found = int(TypeAdapter(ByteSize).validate_python(limit))
        if found > 0:
            return found
    raise ConfigError(
        f"data.cache_limit is {limit!r}; give a number of bytes, or one with a unit such as 8GiB."
    )


@dataclass(frozen=True)
class TrainSettings:
    """The section ``train``: how long, how exactly and where a model is trained.

    The first of ``epochs``, ``max_steps`` and ``max_samples`` that is reached ends the run.

    Attributes:
        epochs: passes over the training set.
        max_steps: updates of the weights.
        max_samples: images drawn; the last step does not go past it.
        seed: decides the start weights, the order of the images and their augmentation.
        precision: fp32, or autocast to bf16 or fp16 (fp16 with a gradient scaler).
        compile: compile forward and loss with torch.compile.
        accumulate: equal slices a batch is cut into, to save memory; gradients are the same but for
            batch norm, which sees a slice at a time.
        clip_norm: largest norm of all gradients together, or None.
        device: auto (CUDA, else MPS, else CPU), or a device of torch such as cuda:1.
        channels_last: memory layout of images and weights; faster on most devices.
        log_every: steps between two published sets of metrics.
        max_skipped: steps of the run that may be left out because their loss was not finite; the
            next one ends it.
        sync_batch_norm: statistics of batch norm over the images of all processes; needs GPUs.
        deterministic: ask torch for deterministic algorithms, which are slower, where the device
            has them.
    """

    epochs: float | None = None
    max_steps: int | None = None
    max_samples: int | None = None
    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    compile: bool = False
    accumulate: int = 1
    clip_norm: float | None = None
    device: str = "auto"
    channels_last: bool = True
    log_every: int = 20
    max_skipped: int = 0
    sync_batch_norm: bool = False
    deterministic: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "max_steps", "max_samples", "accumulate", "clip_norm", "log_every"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ConfigError(f"train.{name} is {value}; give a number above 0.")
        for name in ("seed", "max_skipped"):
            if (value := getattr(self, name)) < 0:
                raise ConfigError(f"train.{name} is {value}; give 0 or more.")

    def check_batch_size(self, batch_size: int, world_size: int = 1) -> None:
        """Checks that a batch can be shared by the processes and cut into ``accumulate`` slices.

        Raises:
            ConfigError: it cannot.
        """
        if batch_size % (self.accumulate * world_size) == 0:
            return
        if world_size == 1:
            raise ConfigError(
                f"data.batch_size ({batch_size}) is not a multiple of train.accumulate "
                f"({self.accumulate}); a step cuts its batch into that many equal slices."
            )
        raise ConfigError(
            f"data.batch_size ({batch_size}) is not a multiple of the {world_size} processes times "
            f"train.accumulate ({self.accumulate}); it is the batch of all processes together, and "
            "each cuts its share into that many equal slices."
        )

    def total_steps(self, samples_per_epoch: int, batch_size: int) -> int:
        """Returns the updates of a run: the first limit that is reached, at least one step.

        Raises:
            ConfigError: nothing limits the run.
        """
        limits = [] if self.max_steps is None else [self.max_steps]
        if self.epochs is not None:
            limits.append(math.ceil(self.epochs * samples_per_epoch / batch_size))
        if self.max_samples is not None:
            limits.append(self.max_samples // batch_size)
        if not limits:
            raise ConfigError(
                "Nothing ends the run: give train.epochs, train.max_steps or train.max_samples."
            )
        return max(1, min(limits))


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


@dataclass(frozen=True)
class Sections:
    """The sections of a config that was checked."""

    data: DataSettings
    train: TrainSettings
    evaluation: EvaluationSettings


SECTIONS = {"data": DataSettings, "train": TrainSettings, "evaluation": EvaluationSettings}


def fill_defaults(tree: Node) -> None:
    """Adds to a config what it leaves out of its sections, and puts the sections in one order.

    Parts keep their own defaults.
    """
    for path in REMOVED:
        node, is_there = tree.find(path)
        if is_there and node.value is False:
            section, _, key = path.rpartition(".")
            del tree.find(section)[0].value[key]
    tree.value.setdefault("imports", Node([], DEFAULT))
    tree.value.setdefault("hooks", Node({}, DEFAULT))
    for name, settings in SECTIONS.items():
        _fill(tree.value.setdefault(name, Node({}, DEFAULT)), settings)
    train, is_there = tree.find("data.train")
    if is_there:
        _fill(train, TrainSplitSettings)
    order = dict.fromkeys([*KEYS, *tree.value])
    tree.value = {key: tree.value[key] for key in order if key in tree.value}


def _fill(section: Node, settings: type) -> None:
    for one in fields(settings) if isinstance(section.value, dict) else ():
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if default is not MISSING:
            section.value.setdefault(one.name, from_plain(default, DEFAULT))


def build_sections(tree: Node) -> tuple[Sections, list[str]]:
    """Returns the sections that are no parts, and a sentence for each key or value that is wrong.

    In place of a section that is wrong stand its defaults.
    """
    problems = [*_wrong_keys(tree), *_wrong_imports(tree.value["imports"])]
    built = {
        name: _build(tree.value[name], settings, name, problems) or settings()
        for name, settings in SECTIONS.items()
    }
    return Sections(**built), [tree.located(sentence) for sentence in problems]


def _wrong_keys(tree: Node) -> Iterator[str]:
    for key in tree.value:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS)
            yield f"{key}: there is no such section{hint}; a config has {', '.join(KEYS)}"
    for key in ("model", "optimizer", "schedule"):
        node, is_there = tree.find(key)
        if is_there and node.value is not None and not isinstance(node.value, dict):
            yield f"{key}: takes a mapping with a 'type'"
    if not isinstance(tree.value["hooks"].value, dict):
        yield "hooks: takes a mapping from names to hooks"


def _wrong_imports(node: Node) -> Iterator[str]:
    if not isinstance(node.value, list):
        yield "imports: takes a list of modules"
        return
    for index, one in node.children():
        name = one.value if isinstance(one.value, str) else ""
        if not all(word.isidentifier() for word in name.split(".")):
            yield (
                f"imports.{index}: takes the name of a module, such as my_package.my_module, "
                f"not {one.value!r}"
            )


def _build(node: Node, settings: type, path: str, problems: list[str]) -> Any:
    """Returns a section, or None where it has problems."""
    if not isinstance(node.value, dict):
        problems.append(f"{path}: takes a mapping")
        return None
    known, values, found = signature_of(settings), {}, len(problems)
    for key, child in node.value.items():
        where = join(path, key)
        if where in REMOVED:
            problems.append(f"{where}: {REMOVED[where]}")
        elif key not in known.arguments:
            hint = did_you_mean(key, known.arguments)
            has = ", ".join(known.arguments)
            problems.append(f"{where}: '{path}' has no key {key!r}{hint}; it has {has}")
        else:
            values[key] = _value(child, known.arguments[key].hint, where, problems)
    problems += [f"{path}: {name!r} is missing" for name in missing(node.value, known)]
    try:
        return settings(**values) if len(problems) == found else None
    except ConfigError as error:
        problems += error.problems
        return None


def _value(node: Node, hint: Any, path: str, problems: list[str]) -> Any:
    inner = next((one for one in members(hint) if buildable(one)), None)
    if inner is not None and node.value is not None:
        return _build(node, inner, path, problems)
    value, problem = check_value(to_plain(node), hint)
    problems += [f"{path}: {problem}"] if problem else []
    return value
