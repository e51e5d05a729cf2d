"""Which edits of code are seen: those of facezoo, and of whatever a model holds of a user's."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

import facezoo
from facezoo.errors import ConfigError
from facezoo.evaluation.code_digest import code_digest, library_versions
from facezoo.factory import build_model

MODULES = {
    "its_base": "class Base: ...",
    "its_rule": "import its_base\nclass Rule(its_base.Base): ...",
    "its_slots": "class Slots:\n    __slots__ = ('rule',)",
    "its_single_slot": "class Single:\n    __slots__ = 'rule'",
    "its_function": "def function(x): ...",
    "its_helper": "def helper(x): ...",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Plug-ins in files of their own; what the files of facezoo are does not matter."""
    monkeypatch.setattr(facezoo, "__file__", str(tmp_path / "package" / "__init__.py"))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    imported = {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, name, imported[name])
    return imported


def holding(thing: Any) -> nn.Module:
    model = nn.Sequential(nn.Linear(1, 1))
    model[0].thing = thing
    return model


def edited(module: ModuleType) -> None:
    path = Path(str(module.__file__))
    path.write_text(path.read_text() + "\n# edited\n")


@pytest.mark.parametrize("way", ["itself", "list", "mapping", "partial", "slots", "single", "type"])
def test_an_edit_of_a_base_of_any_member_is_seen(way: str, modules: dict[str, ModuleType]) -> None:
    rule = modules["its_rule"].Rule()
    slots, single = modules["its_slots"].Slots(), modules["its_single_slot"].Single()
    slots.rule = single.rule = rule
    things = {
        "itself": rule,
        "list": [(rule,)],
        "mapping": {"rule": {"one": rule}},
        "partial": functools.partial(print, sep=rule),
        "slots": slots,
        "single": single,
        "type": type(rule),
    }
    model = holding(things[way])
    before = code_digest(model)
    assert code_digest(model) == before
    edited(modules["its_helper"])  # nothing of it is held
    assert code_digest(model) == before
    edited(modules["its_base"])
    after = code_digest(model)
    assert after != before
    edited(modules["its_rule"])
    assert code_digest(model) != after


def test_a_function_is_a_part_and_a_circle_ends(modules: dict[str, ModuleType]) -> None:
    circle: list[Any] = [modules["its_function"].function]
    circle.append(circle)
    model = holding(circle)
    before = code_digest(model)
    edited(modules["its_function"])
    assert code_digest(model) != before


def test_any_file_of_facezoo_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    (package / "geometry").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "geometry" / "nms.py").write_text("1")
    (package / "notes.txt").touch()
    monkeypatch.setattr(facezoo, "__file__", str(package / "__init__.py"))
    model = nn.Linear(1, 1)
    seen = [code_digest(model)]
    (package / "notes.txt").write_text("no code")
    assert code_digest(model) == seen[0]
    for name, text in (("geometry/nms.py", "2"), ("new.py", ""), ("geometry/__init__.py", "")):
        (package / name).write_text(text)
        seen.append(code_digest(model))
    (package / "new.py").rename(package / "other.py")
    seen.append(code_digest(model))
    assert len(set(seen)) == len(seen)


def test_the_parts_of_facezoo_are_its_own() -> None:
    """No file outside is asked for: the digest of a model is that of facezoo's files alone."""
    model = build_model("tiny_test")
    assert code_digest(model) == code_digest(nn.Linear(1, 1))


def test_a_part_in_no_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type("Rule", (), {"__module__": "a_notebook"})
    for gone in (False, True):
        if gone:
            monkeypatch.delitem(sys.modules, "a_notebook")
        else:
            monkeypatch.setitem(sys.modules, "a_notebook", ModuleType("a_notebook"))
        with pytest.raises(ConfigError, match="defined in a_notebook, which is no file"):
            code_digest(holding([kind()]))


def test_libraries_are_named_with_their_versions() -> None:
    found = library_versions()
    assert found["torch"] == str(torch.__version__)
    assert found.keys() == {"cv2", "numpy", "timm", "torch", "torchvision"}
