"""The errors that facezoo raises for what a user can put right.

Each message is one sentence: what is wrong, where (file:line or dotted path), what to do.
The command line prints it on stderr and exits with status 2; `--debug` adds the traceback.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Sequence

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
