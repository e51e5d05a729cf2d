"""Options of a verb from the signature of the public function that it calls.

The source of the function is read, not imported, so that ``--help`` needs no torch. In a verb::

    EVALUATE = "facezoo.evaluation.evaluate:evaluate"

    def add_parser(verbs):
        parser = add_verb(verbs, "eval", ...)
        add_options(parser, EVALUATE, "data", "batch_size", names="list")

    def run(arguments):
        evaluate(model, **chosen(arguments))

This adds ``--data``, ``--batch-size`` and, for the parameter ``names``, ``--list``. The type is
that of the hint (``Path``, ``int``, ``float``, else ``str``; a ``Literal`` gives the choices, a
``Sequence`` takes several words, a ``bool`` none), the default that of the signature, and the help
the first sentence of the parameter in the section "Args" (of a dataclass, "Attributes").
"""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
TYPES = {"Path": (Path, "PATH"), "int": (int, "N"), "float": (float, "X"), "str": (str, None)}
REQUIRED = object()


class Parameter(NamedTuple):
    """A parameter as the source states it."""

    hint: str
    default: Any
    help: str


def add_options(
    parser: argparse.ArgumentParser,
    function: str,
    *names: str,
    defaults: Mapping[str, Any] | None = None,
    **options: str,
) -> None:
    """Adds an option for each named parameter of a function, a class or a dataclass.

    Args:
        parser: of the verb.
        function: such as ``facezoo.inference.detector:Detector``.
        names: parameters whose option is called like them.
        defaults: those of the command line where they are not those of the function.
        options: by parameter what its option is called, without the dashes.
    """
    for name, option in {**{name: name.replace("_", "-") for name in names}, **options}.items():
        parameter = read_parameter(function, name)
        if defaults and name in defaults:
            parameter = parameter._replace(default=defaults[name])
        parser.add_argument(f"--{option}", dest=name, **_argument(parameter))
    keywords = parser.get_default("keywords") or ()
    parser.set_defaults(keywords=(*keywords, *names, *options))


def chosen(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns by parameter the values of the options that ``add_options`` added."""
    return {name: getattr(arguments, name) for name in arguments.keywords}


def read_parameter(function: str, name: str) -> Parameter:
    """Returns a parameter of ``module:function``, read from the source.

    Raises:
        LookupError: there is no such function, or it has no such parameter.
    """
    module, node = _find(*function.split(":"))
    sentence = _first_sentence(inspect.cleandoc(ast.get_docstring(node) or ""), name)  # type: ignore[arg-type]
    for hint, default in _declared(node, name):
        value = REQUIRED if default is None else _value(module, default)
        return Parameter(ast.unparse(hint), value, sentence)
    raise LookupError(f"{function} has no parameter {name}")


def _argument(parameter: Parameter) -> dict[str, Any]:
    """Returns what ``add_argument`` takes for a parameter."""
    hint, default, sentence = parameter
    shown = default not in (None, False, REQUIRED) and "default" not in sentence
    text = sentence.replace("%", "%%") + (" (default: %(default)s)" if shown else "")
    if hint == "bool":
        return {"help": text, "action": "store_true"}
    given: dict[str, Any] = {"required": True} if default is REQUIRED else {"default": default}
    if choices := re.search(r"Literal(\[.*?\])", hint):
        return {"help": text, "choices": ast.literal_eval(choices[1]), **given}
    if re.search(r"\b(Sequence|list)\[", hint):
        given["nargs"] = "+"
    kind, metavar = next(TYPES[one] for one in TYPES if re.search(rf"\b{one}\b", hint))
    return {"help": text, "type": kind, "metavar": metavar, **given}


def _first_sentence(docstring: str, name: str) -> str:
    found = re.search(rf"^    {name}: (.*(?:\n {{8}}.*)*)", docstring, re.MULTILINE)
    text = " ".join(found[1].split()).replace("``", "") if found else ""
    return re.split(r"\. (?=[A-Z])", text)[0].removesuffix(".").removeprefix("whether to ")


def _declared(node: ast.AST, name: str) -> list[tuple[ast.expr, ast.expr | None]]:
    """Returns hint and default of a parameter, or of a field of a dataclass, if there is one."""
    if isinstance(node, ast.ClassDef):
        for one in node.body:
            if isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == name:
                return [(one.annotation, one.value)]
            if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                return _declared(one, name)
        return []
    assert isinstance(node, ast.FunctionDef)
    by_place, by_name = node.args.args, node.args.kwonlyargs
    defaults = [None] * (len(by_place) - len(node.args.defaults)) + node.args.defaults
    every = zip(by_place + by_name, defaults + node.args.kw_defaults, strict=True)
    return [(one.annotation, value) for one, value in every if one.arg == name and one.annotation]


def _value(module: str, node: ast.AST) -> Any:
    """Returns the value of a default: a literal, a constant, or a ``Path`` of one."""
    if isinstance(node, ast.Name):
        return _value(*_find(module, node.id))
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "Path":
        return Path(_value(module, node.args[0]))
    return ast.literal_eval(ast.unparse(node))


def _find(module: str, name: str) -> tuple[str, ast.AST]:
    """Returns the module that defines a name, and its definition or value there."""
    for node in _tree(module).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return module, node.value
        if isinstance(node, ast.ImportFrom) and any(one.name == name for one in node.names):
            return _find(str(node.module), name)
    raise LookupError(f"{module} has no {name}")


@functools.cache
def _tree(module: str) -> ast.Module:
    place = ROOT.joinpath(*module.split("."))
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))
