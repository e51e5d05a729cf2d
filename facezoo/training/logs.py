"""Where the log of a run goes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.logging import RichHandler

from facezoo.terminal import terminal

LOGGED = "facezoo"


@contextmanager
def logging_to(path: Path, rank: int = 0) -> Iterator[None]:
    """Logs to a file, and to the terminal where nobody has set up logging.

    Args:
        path: the file.
        rank: of this process; only rank 0 writes the file, the others warn on the terminal.
    """
    facezoo_logger = logging.getLogger(LOGGED)
    level = facezoo_logger.level
    handlers: list[logging.Handler] = [] if rank else [_LogFile(path)]
    if not facezoo_logger.hasHandlers():
        handlers.append(_to_stderr(logging.WARNING, f"rank {rank}: ") if rank else _to_terminal())
    for handler in handlers:
        facezoo_logger.addHandler(handler)
    facezoo_logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        facezoo_logger.setLevel(level)
        for handler in handlers:
            facezoo_logger.removeHandler(handler)
            handler.close()


class _LogFile(logging.FileHandler):
    """A file that a full disk ends with one sentence, instead of a traceback for every line."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Says why, once, and writes no more."""
        logging.getLogger(LOGGED).removeHandler(self)
        logging.getLogger(LOGGED).warning(
            "%s gets no more lines: %s.", self.baseFilename, sys.exc_info()[1]
        )


def _to_terminal() -> logging.Handler:
    """Returns lines that leave a progress bar whole on a terminal, and plain lines elsewhere."""
    if terminal().is_terminal:
        return RichHandler(
            logging.INFO, terminal(), show_level=False, show_path=False, show_time=False
        )
    return _to_stderr(logging.INFO)


def _to_stderr(level: int, start: str = "") -> logging.Handler:
    plain = logging.StreamHandler()
    plain.setLevel(level)
    plain.setFormatter(logging.Formatter(f"{start}%(message)s"))
    return plain
