"""House rules that a tool can see: short files, few in a folder, names that occur once, no circle.

``lint-imports`` holds the layers; what it cannot say stands here.
"""

from __future__ import annotations

import ast
import graphlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import facezoo

PACKAGE = Path(facezoo.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "model_zoo" not in path.parts)
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
LARGER_FOLDERS = {"transforms": 20, "losses": 20, "cli": 20}
SHARED_NAMES = {"__init__", "__main__"}


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


def imported_by(path: Path) -> Iterator[str]:
    """The modules of facezoo that a file imports, inside of functions and for types as well."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            names = [f"{node.module}.{one.name}" for one in node.names]
            yield from (name if name in MODULES else node.module for name in names)


def test_files_are_short() -> None:
    lines = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: count for path, count in lines.items() if count > 350} == {}


def test_a_folder_can_be_overlooked() -> None:
    counts = Counter(path.parent for path in FILES)
    crowded = {
        str(folder): count
        for folder, count in counts.items()
        if count > LARGER_FOLDERS.get(folder.name, 15)
    }
    assert crowded == {}


@pytest.mark.parametrize("kind", ["module", "class"])
def test_a_name_occurs_once(kind: str) -> None:
    if kind == "module":
        names = [path.stem for path in FILES if path.stem not in SHARED_NAMES]
    else:
        nodes = [node for tree in TREES.values() for node in ast.walk(tree)]
        names = [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_no_import_leads_back() -> None:
    graph = {module_of(path): set(imported_by(path)) - {"facezoo"} for path in FILES}
    graph["facezoo"] = set()  # it imports each public name on first use alone
    tuple(graphlib.TopologicalSorter(graph).static_order())  # a CycleError names the circle
