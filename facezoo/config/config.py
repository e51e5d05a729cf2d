"""A config: one or more YAML files, merged, with overrides and references, as plain data.

``type:`` names a part; every other key is an argument of its ``__init__``. At the top of a file
``_BASE_`` names the files it inherits from: mappings are merged, lists replaced, and null takes a
value away. A mapping of another ``type`` inherits nothing, nor does one with ``_delete_: true``.
Every value knows its file and line.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facezoo.config.composition import apply_overrides, merge, resolve
from facezoo.config.sections import Sections, build_sections, fill_defaults
from facezoo.config.yaml_tree import (
    Node,
    Origin,
    copy_tree,
    from_plain,
    parse_yaml,
    read_yaml,
    show_path,
    to_plain,
    to_text,
)
from facezoo.errors import ConfigError, did_you_mean

SUFFIXES = (".yaml", ".yml")


class Config:
    """A merged config; make one with ``load_config``.

    Reading gives copies, so that nothing that is built from a config can change it.

    Attributes:
        sections: ``data``, ``train`` and ``evaluation`` as dataclasses.
        name: the stem of the YAML that was named, else ``config``.
        allow_imports: whether the modules under ``imports`` may be imported.
    """

    def __init__(
        self, tree: Node, sections: Sections, name: str, allow_imports: bool = True
    ) -> None:
        self._tree = tree
        self.sections = sections
        self.name = name
        self.allow_imports = allow_imports

    @property
    def data(self) -> dict[str, Any]:
        """Everything as plain dicts, lists and scalars, with references computed."""
        return to_plain(self._tree)

    @property
    def tree(self) -> Node:
        """A copy of the values with their origins, before ``${...}`` is computed."""
        return copy_tree(self._tree)

    def get(self, path: str, default: Any = None) -> Any:
        """Returns the value at a dotted path such as ``data.train.transforms.0``."""
        node, is_there = self._tree.find(path)
        return to_plain(node) if is_there else default

    def __getitem__(self, path: str) -> Any:
        if path not in self:
            raise KeyError(path)
        return self.get(path)

    def __contains__(self, path: str) -> bool:
        return self._tree.find(path)[1]

    def origin(self, path: str) -> str:
        """Returns where a value, or else what it should be in, was written.

        That is ``file:line``, ``command line``, ``default``, or nothing for data out of Python.
        """
        return str(self._tree.find(path)[0].origin)

    def located(self, sentence: str) -> str:
        """Returns a sentence that begins with a dotted path, with the origin of that value."""
        return self._tree.located(sentence)

    def to_yaml(self, origins: bool = False) -> str:
        """Returns the config as YAML that ``load_config`` reads again.

        Args:
            origins: give computed values, each with its origin in a comment. Without, references
                such as ``${data.root}`` stay as they are, so that overrides still reach them;
                values out of the environment are written as they were found.
        """
        return to_text(self._tree, origins)

    def import_plugins(self) -> None:
        """Imports the modules under ``imports``.

        They are looked for beside the file that names them, in the current folder, and on Python's
        path; the folders are added at the end of that path, for processes that start later.

        Raises:
            ConfigError: there is no such module, it cannot be imported, or ``allow_imports`` is
                off and it is not imported yet.
        """
        for index, node in self._tree.value["imports"].children():
            path = f"imports.{index}"
            if node.value in sys.modules:
                continue
            if not self.allow_imports:
                raise ConfigError(
                    f"{path}: this config came with a checkpoint and wants to run the module "
                    f"{node.value!r}; --allow-imports (allow_imports=True) lets it{node.place}"
                )
            with _folders_first([node.origin.folder, Path.cwd()]):
                try:
                    importlib.import_module(node.value)
                except ImportError as error:
                    raise ConfigError(
                        f"{path}: the module {node.value!r} cannot be imported: {error}{node.place}"
                    ) from error


def load_config(
    source: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    *,
    allow_imports: bool = True,
) -> Config:
    """Reads a config.

    Args:
        source: name in the zoo, path of a YAML file, text of one (it has a line break), mapping
            (it may have ``_BASE_`` too), or Config, which is copied.
        overrides: such as ``["train.epochs=5", "hooks.ema=null"]``.
        allow_imports: whether the modules under ``imports`` may be imported when something is
            built; give False for a config that came with a checkpoint.

    Raises:
        ConfigError: with one sentence for each thing that is wrong.
    """
    config, problems = load_with_problems(source, overrides, allow_imports)
    if problems:
        raise ConfigError(problems)
    return config


def load_with_problems(
    source: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    allow_imports: bool = True,
) -> tuple[Config, list[str]]:
    """Reads a config as ``load_config`` does, and returns the problems that leave it usable.

    Raises:
        ConfigError: a file cannot be read, or a reference leads nowhere.
    """
    name = "config"
    if isinstance(source, Config):
        tree, name = source.tree, source.name
        allow_imports = allow_imports and source.allow_imports
    elif isinstance(source, Mapping):
        tree = _with_bases(from_plain(source, Origin()), None, ())
    elif isinstance(source, str) and "\n" in source:
        tree = _with_bases(parse_yaml(source, "config text"), None, ())
    else:
        path = find_config(source)
        tree, name = _read(path, ()), path.stem
    fill_defaults(tree)
    problems = apply_overrides(tree, overrides)
    try:
        tree = resolve(tree)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from error
    sections, wrong = build_sections(tree)
    return Config(tree, sections, name, allow_imports), [*problems, *wrong]


def zoo_folder() -> Path:
    """Returns the folder of the zoo's configs: in the installed package, or in the checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "model_zoo"
    return installed if installed.is_dir() else package.parent / "model_zoo"


def find_config(source: str | Path) -> Path:
    """Returns the file of a path, or of a name in the zoo.

    Raises:
        ConfigError: there is neither.
    """
    path, zoo = Path(source), zoo_folder()
    known = sorted(one.stem for one in zoo.glob("*.yaml"))
    if path.suffix in SUFFIXES:
        if path.is_file():
            return path
        hint = f"; the zoo has {path.stem!r}, without a folder" if path.stem in known else ""
        raise ConfigError(f"there is no config file {path}{hint}")
    named = zoo / f"{source}.yaml"
    if named.is_file():
        return named
    raise ConfigError(
        f"the zoo has no config {str(source)!r}{did_you_mean(source, known)}; "
        f"it has {', '.join(known)}; a file of your own ends in .yaml"
    )


def _read(path: Path, chain: tuple[Path, ...]) -> Node:
    chain = (*chain, path)
    if path.resolve() in [one.resolve() for one in chain[:-1]]:
        raise ConfigError(f"_BASE_ leads back to a file that it came from: {_arrows(chain)}")
    return _with_bases(read_yaml(path), path.parent, chain)


def _with_bases(tree: Node, folder: Path | None, chain: tuple[Path, ...]) -> Node:
    """Returns a file's own tree merged over those of the files under its ``_BASE_``."""
    if tree.value is None:
        tree = Node({}, tree.origin)
    if not isinstance(tree.value, dict):
        raise ConfigError(f"{tree.origin or 'config'}: a config is a mapping at its top")
    own = dict(tree.value)
    named = own.pop("_BASE_", Node([], tree.origin))
    bases = [] if named.value is None else [named]
    bases = named.value if isinstance(named.value, list) else bases
    if any(not isinstance(base.value, str) for base in bases):
        raise ConfigError(f"{named.origin}: _BASE_ takes a file or a list of files")
    merged = Node({}, tree.origin)
    for base in bases:
        merged = merge(merged, _read(_base_path(base.value, base.origin, folder, chain), chain))
    return merge(merged, Node(own, tree.origin))


def _base_path(name: str, origin: Origin, folder: Path | None, chain: tuple[Path, ...]) -> Path:
    zoo = zoo_folder()
    is_file = Path(name).suffix in SUFFIXES
    path = (folder or Path()) / name if is_file else zoo / f"{name}.yaml"
    if path.is_file():
        return path
    known = [one.relative_to(zoo).with_suffix("").as_posix() for one in zoo.rglob("*.yaml")]
    plain = Path(name).with_suffix("").as_posix()
    hint = did_you_mean(name, known)
    if plain != name and plain in known:
        hint = f" (the zoo's own is {plain!r}, without {Path(name).suffix})"
    place = f"{origin}: " if str(origin) else ""
    raise ConfigError(
        f"{place}_BASE_ names {name!r}{hint}, and there is no file {path}; "
        f"read on the way: {_arrows(chain) or 'no file'}"
    )


def _arrows(chain: Sequence[Path]) -> str:
    return " -> ".join(show_path(path) for path in chain)


@contextmanager
def _folders_first(folders: Sequence[Path | None]) -> Iterator[None]:
    """Puts folders at the start of Python's path inside, and leaves them at its end after."""
    names = [str(folder) for folder in dict.fromkeys(folders) if folder is not None]
    sys.path[:0] = names
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for name in names:
            sys.path.remove(name)
            if name not in sys.path:
                sys.path.append(name)
