"""``status.json`` of a run folder: what became of the run, for anybody to read at any time."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from facezoo.errors import FacezooError

if TYPE_CHECKING:
    from facezoo.training.trainer import Trainer

logger = logging.getLogger(__name__)

STATUS = "status.json"


@dataclass(frozen=True)
class RunStatus:
    """The content of ``status.json``.

    Attributes:
        state: ``running``, ``finished``, ``interrupted`` (by a signal), ``failed``, or ``killed``:
            it was running, and its process is gone.
        step: updates done when the file was written, at the start and at the end of the process.
        total_steps: of the whole run.
        host: name of the machine.
        process_id: of the process on it.
        message: the first line of the error of a failed run, else empty.
    """

    state: str
    step: int
    total_steps: int
    host: str
    process_id: int
    message: str


@contextmanager
def recording(folder: Path, trainer: Trainer) -> Iterator[None]:
    """Keeps ``status.json`` in a run folder while the block trains.

    A status that cannot be written is logged and ends nothing; an error of the block goes on.
    """
    from facezoo.distributed import RunInterrupted  # here, as listing runs needs no torch

    _write(folder, trainer, "running")
    try:
        yield
    except (RunInterrupted, KeyboardInterrupt):
        _write(folder, trainer, "interrupted")
        raise
    except BaseException as error:
        _write(folder, trainer, "failed", first_line(error))
        raise
    _write(folder, trainer, "finished")


def read_status(folder: Path) -> RunStatus | None:
    """Returns the status of a run folder, None where there is none that can be read."""
    try:
        content = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        status = RunStatus(**{one.name: content[one.name] for one in fields(RunStatus)})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    here = status.state == "running" and status.host == platform.node()
    return replace(status, state="killed") if here and _is_gone(status.process_id) else status


def first_line(error: BaseException) -> str:
    """Returns the sentence of an error that is meant for users; others with their kind."""
    first = next(iter(str(error).splitlines()), "")
    if isinstance(error, FacezooError) and first:
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _write(folder: Path, trainer: Trainer, state: str, message: str = "") -> None:
    host, process_id = platform.node(), os.getpid()
    status = RunStatus(state, trainer.step, trainer.total_steps, host, process_id, message)
    temporary = folder / f".{STATUS}.new"
    try:
        temporary.write_text(json.dumps(asdict(status), indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, folder / STATUS)  # a reader never meets half of it
    except OSError as error:
        logger.warning("The status of the run could not be written: %s", error)


def _is_gone(process_id: int) -> bool:
    """Returns whether no process of this machine has the number; False where nobody can tell."""
    # On Windows os.kill would end the process instead of asking for it.
    if sys.platform == "win32" or process_id <= 0:
        return False
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):  # another user's, or a number of another system
        return False
    return False
