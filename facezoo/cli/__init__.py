# PYTHON_ARGCOMPLETE_OK
"""The command line: one file per verb, each a thin skin over one public function.

Exit codes: 0 done, 1 done with failures that were reported, 2 the request was wrong, 130 and
143 ended by Ctrl-C and SIGTERM. Answering ``--help`` imports no torch: what is heavy is imported
by a verb that runs.
"""

import difflib
import os
import sys
import traceback
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence

from facezoo.cli import data, detect, env, eval_compare, eval_predictions, runs, train, zoo
from facezoo.cli import eval as evaluation
from facezoo.cli.options import Parser, parse
from facezoo.errors import FacezooError
from facezoo.version import __version__

VERBS = (train, evaluation, eval_predictions, eval_compare, runs, detect, zoo, data, env)

EPILOG = """\
examples:
  facezoo train quickstart                     train on drawn faces, without any data
  facezoo detect photo.jpg --draw              find faces with the model that comes along
  facezoo eval retinaface_mnet025 --data data/widerface --protocol original

`facezoo VERB --help` says more. Completion, after pip install "facezoo[completion]":
  eval "$(register-python-argcomplete facezoo)"
"""


def build_parser(named: str | None = None) -> Parser:
    """Returns the parser of the command line, with all verbs or with the one that is named."""
    parser = Parser(
        prog="facezoo",
        description="Train, evaluate and use face detectors.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"facezoo {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        if named in (None, verb.NAME):
            verb.add_parser(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
        argv: the words after ``facezoo``; by default those of this process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        if "_ARGCOMPLETE" in os.environ:
            _complete(build_parser())
        parser = build_parser(_named_verb(words))
        arguments = parse(parser, words)
        return int(arguments.run(arguments))
    except SystemExit as stop:  # argparse, after --help or a wrong option
        return int(stop.code or 0)
    except (FacezooError, OSError, KeyboardInterrupt) as error:
        if debug:
            traceback.print_exception(error)
        return _report(error)


def _complete(parser: Parser) -> None:
    """Answers the shell, which asks for completions, and ends the process."""
    try:
        import argcomplete
    except ImportError as error:
        raise FacezooError(
            "The shell asks for completions (_ARGCOMPLETE is set), but argcomplete is not "
            'installed; run pip install "facezoo[completion]".'
        ) from error
    argcomplete.autocomplete(parser)


def _report(error: FacezooError | OSError | KeyboardInterrupt) -> int:
    """Prints the one sentence of an error and returns the exit code."""
    sentence = str(error)
    if isinstance(error, KeyboardInterrupt):
        sentence = "stopped."
    elif isinstance(error, OSError):
        sentence += " (--debug shows where)."
    rank = os.environ.get("RANK", "0")  # torchrun sets it
    sys.stderr.write(f"facezoo{'' if rank == '0' else f' (rank {rank})'}: {sentence}\n")
    if isinstance(error, FacezooError):
        return error.exit_code
    return 130 if isinstance(error, KeyboardInterrupt) else 2


def _named_verb(words: Sequence[str]) -> str | None:
    """Returns the verb among the words; refuses an unknown one in one sentence."""
    known = [verb.NAME for verb in VERBS]
    named = next((word for word in words if not word.startswith("-")), None)
    if named is None or named in known:
        return named
    near = difflib.get_close_matches(named, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise FacezooError(f"There is no verb {named!r} among {', '.join(known)}{hint}")
