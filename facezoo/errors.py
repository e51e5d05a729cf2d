"""The errors that facezoo raises for what a user can put right.

Each message is one sentence: what is wrong, where (file:line or dotted path), what to do.
The command line prints it on stderr and exits with status 2; `--debug` adds the traceback.
"""

import difflib
import pickle
import struct
import zipfile
from collections.abc import Iterable, Sequence

DAMAGED_FILE = (
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
)
"""What torch raises for a truncated file: whatever the bytes at the break happen to mean."""


class FacezooError(Exception):
    """Anything a user can put right: a config, a file, an argument, a checkpoint.

    Attributes:
        exit_code: what the command line ends with.
    """

    exit_code: int = 2


class ConfigError(FacezooError):
    """A YAML file, an override or a component's argument is wrong.

    Args:
        problems: one sentence, or one sentence per problem where several were found together.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class DataError(FacezooError):
    """A data root, an annotation file, an image or a predictions file is missing or malformed."""


class CheckpointError(FacezooError):
    """A weights file or checkpoint is truncated, unsafe, or of another architecture."""


def nearest(name: object, known: Iterable[object]) -> list[str]:
    """Returns up to three names that ``name`` may be a misspelling of, the nearest first."""
    by_lower = {str(one).lower(): str(one) for one in known}
    near = difflib.get_close_matches(str(name).lower(), by_lower, 3, 0.6)
    return [by_lower[one] for one in near]


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Returns `` (did you mean 'x'?)`` for the names that come near, or nothing."""
    near = nearest(name, known)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
