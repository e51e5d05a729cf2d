"""Where a run lives, and the checkpoint that it goes on from."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from facezoo.errors import ConfigError
from facezoo.training.checkpoint_files import find_checkpoint, last_checkpoint
from facezoo.training.metrics_file import METRICS, read_metrics

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

RUNS = Path("runs")
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
LEFT_BY_A_START = {
    *(LOCK, "status.json", ".status.json.new", "replay", "profile", "wandb"),
    *("config.yaml", "environment.json", "log.txt"),
    *(METRICS, f".{METRICS}.new", "metrics.csv", "tensorboard"),
}
"""What a run has in its folder before its first metrics."""


def checkpoint_to_resume(
    name: str, out: str | Path | None, resume: bool | str | Path | None, or_anew: bool = False
) -> Path | None:
    """Returns the checkpoint that a run goes on from, None where it starts anew.

    Without a name it is that of the latest run that has one.

    Args:
        name: the folder in ``runs`` where the runs of the config are.
        out: the run folder, where the user named one.
        resume: see ``facezoo.train``.
        or_anew: give None where there is nothing to go on from.

    Raises:
        FacezooError: there is nothing to go on from.
    """
    if not resume:
        return None
    if resume is not True:
        return find_checkpoint(Path(resume))
    if out is not None:
        return last_checkpoint(Path(out)) if or_anew else find_checkpoint(Path(out))
    runs = sorted((RUNS / name).glob("*"), reverse=True)
    found = next((one for run in runs if (one := last_checkpoint(run))), None)
    if found is None and not or_anew:
        raise ConfigError(
            f"There is no run of {name} to resume in {RUNS / name}; leave out the resume, or name "
            "the run folder."
        )
    return found


def run_folder(
    name: str, out: str | Path | None, checkpoint: Path | None, used: bool = False
) -> Path:
    """Returns the folder of a run, which may not be there yet: a new one, or the checkpoint's.

    Args:
        name: the folder in ``runs`` where the runs of the config are.
        out: the run folder, where the user named one.
        checkpoint: where the run goes on, or None.
        used: the run has been in ``out`` before, and may have failed without a checkpoint.

    Raises:
        ConfigError: the folder holds something else, or the checkpoint stands in no run folder.
    """
    own = None if checkpoint is None else _run_of(checkpoint)
    if out is None:
        if checkpoint is None:
            return _new_folder(name)
        if own is None:
            raise ConfigError(
                f"{checkpoint} is not in the {CHECKPOINTS} of a run folder; say with --out where "
                "the run goes on."
            )
        return own
    folder = Path(out)
    if own is not None and folder.resolve() == own.resolve():
        return folder
    if not used and not _is_free(folder):
        advice = "resume that run" if checkpoint is None else "leave out --out"
        raise ConfigError(
            f"{folder} holds files already, perhaps of another run; {advice}, or give another "
            "folder."
        )
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps a run folder to this process: two that write into one would spoil both.

    The lock goes with the process, however it ends. Where the system has no such locks, such as on
    Windows, nothing is locked.

    Raises:
        ConfigError: another process trains in the folder.
    """
    if fcntl is None:
        yield
        return
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise ConfigError(
                f"Another process trains in {folder} at this moment; wait for it or end it, or "
                "give another folder with --out."
            ) from error
        except OSError as error:  # a file system without locks
            logger.debug("%s cannot be locked: %s", folder, error)
        yield


def _new_folder(name: str) -> Path:
    started = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    names = itertools.chain([started], (f"{started}_{number}" for number in itertools.count(2)))
    return next(folder for one in names if not (folder := RUNS / name / one).exists())


def _run_of(checkpoint: Path) -> Path | None:
    """Returns the run folder of a checkpoint, relative where it is below the current folder."""
    place = Path(os.path.abspath(checkpoint))
    if place.parent.name != CHECKPOINTS:
        return None
    folder, here = place.parent.parent, Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _is_free(folder: Path) -> bool:
    """Returns whether nothing is there, or only what a start leaves that failed."""
    if not folder.is_dir():
        return True
    names = {path.name for path in folder.iterdir()}
    return names <= LEFT_BY_A_START and not read_metrics(folder / METRICS)
