"""Where the log of a run goes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.logging import RichHandler

from facezoo.engine.terminal import terminal

LOGGED = "facezoo"


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Logs to a file, and to the terminal where nobody has set up logging."""
    facezoo_logger = logging.getLogger(LOGGED)
    level = facezoo_logger.level
    to_file = logging.FileHandler(path, encoding="utf-8")
    to_file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handlers: list[logging.Handler] = [to_file]
    if not facezoo_logger.hasHandlers():
        handlers.append(_to_terminal())
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


def _to_terminal() -> logging.Handler:
    """Returns lines that leave a progress bar whole on a terminal, and plain lines elsewhere."""
    if terminal().is_terminal:
        return RichHandler(
            logging.INFO, terminal(), show_level=False, show_path=False, show_time=False
        )
    plain = logging.StreamHandler()
    plain.setLevel(logging.INFO)
    return plain
