"""Registries: the names under which a config finds the classes it is made of.

A registry imports its home package on the first look-up, so that registration never depends on
who imported what first. It states the base class of its parts, so that the type hint of an
argument chooses the registry.
"""

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, overload

from fvcore.common.registry import Registry as FvcoreRegistry

from facezoo.errors import ConfigError, did_you_mean

Part = TypeVar("Part", bound=type)


class Registry(FvcoreRegistry):
    """Names of classes of one kind.

    Args:
        name: how error messages call it, such as ``BACKBONES``.
        base: ``module:Class`` of the base class of its parts; it is not imported here.
        home: the package whose import registers facezoo's own parts.
    """

    def __init__(self, name: str, base: str, home: str) -> None:
        super().__init__(name)
        self.name = name
        self.base = base
        self.home = home
        self._adapters: dict[str, type] = {}
        self._home_imported = False

    @overload
    def register(self, obj: Part) -> Part: ...

    @overload
    def register(self, obj: str | None = None) -> Callable[[Part], Part]: ...

    def register(self, obj: Any = None) -> Any:
        """Registers a class: ``@R.register``, ``@R.register()`` or ``@R.register("name")``.

        Returns:
            The class itself, so that it can go on being used.

        Raises:
            ConfigError: another class has the name; the same class of the same module may be
                registered again, as happens when a notebook cell is run twice.
        """
        if obj is None or isinstance(obj, str):

            def decorate(part: Part) -> Part:
                self._add(self._obj_map, obj or part.__name__, part)
                return part

            return decorate
        self._add(self._obj_map, obj.__name__, obj)
        return obj

    def register_adapter(self, prefix: str) -> Callable[[Part], Part]:
        """Registers a class for a family of parts of another library, ``{type: prefix.Name}``.

        The class is called with ``name="Name"`` and the other keys of the mapping; it may take
        ``**arguments``, which it has to check itself.
        """

        def decorate(adapter: Part) -> Part:
            self._add(self._adapters, prefix, adapter)
            return adapter

        return decorate

    def get(self, name: str) -> type:
        """Returns the class of a name; of ``prefix.Name`` the adapter's.

        Raises:
            ConfigError: there is no such name; the message says which come near.
        """
        return self.find(name)[0]

    def find(self, name: str) -> tuple[type, dict[str, str]]:
        """Returns the class of a name and the arguments that the name itself stands for.

        Raises:
            ConfigError: see ``get``.
        """
        self._import_home()
        if name in self._obj_map:
            return self._obj_map[name], {}
        prefix, dot, member = name.partition(".")
        if dot and member and prefix in self._adapters:
            return self._adapters[prefix], {"name": member}
        elsewhere = [other.name for other in REGISTRIES if other is not self and name in other]
        if elsewhere:
            hint = f"{name!r} is one of {' and '.join(elsewhere)}, which does not fit here"
        else:
            hint = f"it has {', '.join(self.names())}; your own parts need their module in imports"
        raise ConfigError(
            f"{self.name} has no part {name!r}{did_you_mean(name, self.names())}; {hint}"
        )

    def names(self) -> list[str]:
        """Returns every name in alphabetical order, an adapter's as ``prefix.*``."""
        self._import_home()
        return sorted([*self._obj_map, *(f"{prefix}.*" for prefix in self._adapters)])

    def __contains__(self, name: str) -> bool:
        self._import_home()
        return name in self._obj_map

    def __iter__(self) -> Iterator[tuple[str, type]]:
        self._import_home()
        return iter(self._obj_map.items())

    @property
    def adapters(self) -> dict[str, type]:
        """The adapters by prefix."""
        self._import_home()
        return dict(self._adapters)

    def _import_home(self) -> None:
        if not self._home_imported:
            self._home_imported = True  # first, as the home may look names up while it is imported
            try:
                importlib.import_module(self.home)
            except BaseException:
                self._home_imported = False
                raise

    def _add(self, table: dict[str, type], name: str, part: type) -> None:
        old = table.get(name)
        if old is not None and _identity(old) != _identity(part):
            raise ConfigError(
                f"{self.name} has two parts {name!r}, of {_file(old)} and of {_file(part)}: "
                "register one of them under another name."
            )
        table[name] = part


def _identity(part: type) -> tuple[str, str]:
    return part.__module__, part.__qualname__


def _file(part: type) -> str:
    try:
        return inspect.getsourcefile(part) or part.__module__
    except (TypeError, OSError):  # defined in a shell, where there is no file
        return part.__module__


DETECTORS = Registry("DETECTORS", "facezoo.models.face_detector:FaceDetector", "facezoo.models")
BACKBONES = Registry(
    "BACKBONES", "facezoo.models.backbones.backbone:Backbone", "facezoo.models.backbones"
)
NECKS = Registry("NECKS", "facezoo.models.necks.fpn:Neck", "facezoo.models.necks")
HEADS = Registry("HEADS", "facezoo.models.heads.head:Head", "facezoo.models.heads")
LOSSES = Registry("LOSSES", "facezoo.models.losses.class_losses:Loss", "facezoo.models.losses")
ASSIGNERS = Registry(
    "ASSIGNERS", "facezoo.models.assigners.assigner:Assigner", "facezoo.models.assigners"
)
DATASETS = Registry(
    "DATASETS", "facezoo.data.datasets.face_dataset:FaceDataset", "facezoo.data.datasets"
)
TRANSFORMS = Registry(
    "TRANSFORMS", "facezoo.data.transforms.transform:Transform", "facezoo.data.transforms"
)
OPTIMIZERS = Registry("OPTIMIZERS", "torch.optim.optimizer:Optimizer", "facezoo.training.optim")
SCHEDULES = Registry("SCHEDULES", "facezoo.training.optim:Schedule", "facezoo.training.optim")
HOOKS = Registry("HOOKS", "facezoo.training.hook:Hook", "facezoo.training.hooks")
EVALUATORS = Registry(
    "EVALUATORS", "facezoo.metrics.evaluator:Evaluator", "facezoo.metrics.evaluators"
)

REGISTRIES = tuple(one for one in list(globals().values()) if isinstance(one, Registry))


def registry_of(part: type) -> Registry | None:
    """Returns the registry whose base class ``part`` is or descends from, the nearest base's."""
    for base in part.__mro__:
        for registry in REGISTRIES:
            if registry.base == f"{base.__module__}:{base.__qualname__}":
                return registry
    return None
