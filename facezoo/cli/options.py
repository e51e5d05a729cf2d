"""Words and options of a verb: what argparse leaves to do, and options from a signature.

A verb takes its options from the public function that it calls, whose source is read, not
imported, so that ``--help`` needs no torch::

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

import argparse
import ast
import difflib
import functools
import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from facezoo.errors import DataError

ROOT = Path(__file__).parents[2]
OVERRIDE = re.compile(r"[A-Za-z_][\w.-]*=")
TYPES = {"Path": (Path, "PATH"), "int": (int, "N"), "float": (float, "X"), "str": (str, None)}
REQUIRED = object()


class Parser(argparse.ArgumentParser):
    """A parser that reports an error as one sentence and takes no shortened options."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **arguments})

    def error(self, message: str) -> NoReturn:
        """Ends the process with the sentence; the usage would hide it."""
        sys.stderr.write(f"{self.prog}: {message}; see `{self.prog} --help`.\n")
        raise SystemExit(2)


def add_verb(verbs: Any, name: str, summary: str, description: str, examples: str) -> Parser:
    """Adds a verb to what ``add_subparsers`` gave, with a line for its list, and its help."""
    parser = verbs.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Either place is natural; the default must not undo what stood before the verb.
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,
        help="show the traceback of an error",
    )
    parser.set_defaults(parser=parser)
    return parser


def parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; words may stand before, between and behind options.

    argparse gives up on words behind an option, so they come back as unknown and join the others.
    """
    arguments, left_over = parser.parse_known_args(argv)
    verb: Parser = arguments.parser
    for word in left_over:
        if word.startswith("-") and word != "-":
            _refuse_option(verb, word)
    if left_over and not hasattr(arguments, "words"):
        verb.error(f"{left_over[0]!r} is one word too many")
    if hasattr(arguments, "words"):
        arguments.words = [*arguments.words, *left_over]
    return arguments


def split_overrides(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns the words that are no overrides, and those that are, such as ``train.epochs=5``."""
    overrides = [word for word in words if is_override(word)]
    return [word for word in words if not is_override(word)], overrides


def is_override(word: str) -> bool:
    """Returns whether a word is ``key=value`` and not a file of that name."""
    return OVERRIDE.match(word) is not None and not Path(word).exists()


def read_names(path: Path) -> list[str]:
    """Returns the image ids of a file with one ``<event>/<image>.jpg`` a line.

    Raises:
        DataError: the file is missing, is no text, or holds no name.
    """
    try:
        # With utf-8-sig, as editors on Windows may put a mark before the first name.
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, UnicodeDecodeError) as error:
        wrong = "does not exist" if isinstance(error, OSError) else "is no text in UTF-8"
        raise DataError(
            f"The list {path} {wrong}; give a file with one <event>/<image>.jpg a line."
        ) from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(f"The list {path} is empty; give one <event>/<image>.jpg a line.")
    return names


def add_model(parser: argparse.ArgumentParser, name: str, **options: Any) -> None:
    """Adds an argument that the shell completes with names of the zoo, files and folders."""
    parser.add_argument(name, **options).completer = _complete_models  # type: ignore[attr-defined]


def _complete_models(prefix: str, **_: object) -> list[str]:
    from argcomplete.completers import FilesCompleter

    from facezoo.zoo.catalogue import names

    return [name for name in names() if name.startswith(prefix)] + list(FilesCompleter()(prefix))


def _refuse_option(verb: Parser, word: str) -> NoReturn:
    option = word.partition("=")[0]
    known = re.findall(r"--[a-z][a-z-]*", verb.format_help())
    near = difflib.get_close_matches(option, known, n=1)
    verb.error(f"there is no option {option}" + (f", did you mean {near[0]}" if near else ""))


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
    """Adds an option for each named parameter of ``module:function``, a class or a dataclass.

    ``defaults`` are those of the command line where they are not the function's; ``options`` say by
    parameter what an option is called that has another name.
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
    shown = not any(default is one for one in (None, False, REQUIRED)) and "default" not in sentence
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
