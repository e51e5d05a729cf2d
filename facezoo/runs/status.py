"""What a run is doing, as one small file in its folder that anybody may read at any time."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facezoo.errors import FacezooError

if TYPE_CHECKING:
    from facezoo.training.trainer import Trainer

logger = logging.getLogger(__name__)

STATUS = "status.json"
STATES = ("running", "finished", "interrupted", "failed")
"""What the file may say; a reader adds ``killed``, which the process could not write itself."""


@dataclass(frozen=True)
class RunStatus:
    """What a run's ``status.json`` says.

    Attributes:
        state: ``running``, ``finished``, ``interrupted`` (by a signal), ``failed``, or ``killed``:
            it was running, and its process is gone.
        step: updates done when the file was written, at the start and at the end of the process.
        total_steps: of the whole run.
        started: when the process began to train, in UTC.
        updated: when the file was written, in UTC.
        host: name of the machine.
        process_id: of the process on it.
        message: the first line of the error of a failed run, else empty.
    """

    state: str
    step: int
    total_steps: int
    started: datetime
    updated: datetime
    host: str
    process_id: int
    message: str = ""


@contextmanager
def recording(folder: Path, trainer: Trainer) -> Iterator[None]:
    """Keeps ``status.json`` in a run folder while the block trains.

    A status that cannot be written is logged and ends nothing; an error of the block goes on.

    Args:
        folder: the run folder, which exists.
        trainer: whose steps are counted.
    """
    # Here, as reading a status needs nothing that imports torch.
    from facezoo.distributed import RunInterrupted

    now = _now()
    started = RunStatus(
        "running", trainer.step, trainer.total_steps, now, now, platform.node(), os.getpid()
    )

    def write(state: str, message: str = "") -> None:
        end = replace(started, state=state, step=trainer.step, updated=_now(), message=message)
        _write(folder, end)

    _write(folder, started)
    try:
        yield
    except (RunInterrupted, KeyboardInterrupt):
        write("interrupted")
        raise
    except BaseException as error:
        write("failed", _first_line(error))
        raise
    write("finished")


def read_status(folder: Path) -> RunStatus | None:
    """Returns the status of a run folder, None where there is none that can be read.

    A run that says it is running on this machine, and whose process is gone, is ``killed``.
    """
    try:
        status = _parse(json.loads((folder / STATUS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    lost = (
        status.state == "running"
        and status.host == platform.node()
        and not _is_alive(status.process_id)
    )
    return replace(status, state="killed") if lost else status


def _parse(content: dict[str, Any]) -> RunStatus:
    """Returns the status in a file's content; raises ValueError, TypeError or KeyError."""
    status = RunStatus(
        state=content["state"],
        step=int(content["step"]),
        total_steps=int(content["total_steps"]),
        started=datetime.fromisoformat(content["started"]),
        updated=datetime.fromisoformat(content["updated"]),
        host=str(content["host"]),
        process_id=int(content["process_id"]),
        message=str(content["message"]),
    )
    if status.state not in STATES:
        raise ValueError(f"{status.state!r} is no state of a run")
    if None in (status.started.tzinfo, status.updated.tzinfo):
        raise ValueError("a time without its zone")
    return status


def _write(folder: Path, status: RunStatus) -> None:
    """Puts the file in place at once, so that a reader never meets half of it."""
    content = asdict(status)
    for name in ("started", "updated"):
        content[name] = content[name].isoformat(timespec="seconds")
    temporary = folder / f".{STATUS}.new"
    try:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, folder / STATUS)
    except OSError as error:
        logger.warning("The status of the run could not be written: %s", error)


def _is_alive(process_id: int) -> bool:
    """Returns whether a process of this machine exists; True where nobody can tell."""
    # On Windows os.kill would end the process instead of asking for it.
    if sys.platform == "win32" or process_id <= 0:
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's, or a number of another system
        return True
    return True


def _first_line(error: BaseException) -> str:
    """Returns the sentence of an error that is meant for users; others with their kind."""
    first = next(iter(str(error).splitlines()), "")
    if isinstance(error, FacezooError) and first:
        return first
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _now() -> datetime:
    return datetime.now(timezone.utc)
