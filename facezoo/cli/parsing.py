"""Reading words: what argparse leaves to do, and options that several verbs share."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from facezoo.errors import DataError

OVERRIDE = re.compile(r"[A-Za-z_][\w.-]*=")


class Parser(argparse.ArgumentParser):
    """A parser that reports an error as one sentence and takes no shortened options."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **arguments})

    def error(self, message: str) -> NoReturn:
        """Ends the process with the sentence; the usage would hide it."""
        sys.stderr.write(f"{self.prog}: {message}; see `{self.prog} --help`.\n")
        raise SystemExit(2)


def add_verb(verbs: Any, name: str, summary: str, description: str, examples: str) -> Parser:
    """Adds a verb with its help and returns its parser.

    Args:
        verbs: what ``add_subparsers`` gave.
        name: the verb.
        summary: one line in the list of verbs.
        description: a paragraph.
        examples: one a line.
    """
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


def names_a_model(action: argparse.Action) -> None:
    """Lets the shell complete the argument with names of the zoo, files and folders."""
    action.completer = _complete_models  # type: ignore[attr-defined]


def _complete_models(prefix: str, **_: object) -> list[str]:
    from argcomplete.completers import FilesCompleter

    from facezoo.zoo.catalogue import names

    return [name for name in names() if name.startswith(prefix)] + list(FilesCompleter()(prefix))


def _refuse_option(verb: Parser, word: str) -> NoReturn:
    option = word.partition("=")[0]
    known = re.findall(r"--[a-z][a-z-]*", verb.format_help())
    near = difflib.get_close_matches(option, known, n=1)
    verb.error(f"there is no option {option}" + (f", did you mean {near[0]}" if near else ""))
