"""Where a run lives, and the checkpoint that it goes on from."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from facezoo.engine.checkpoint import find_checkpoint, last_checkpoint
from facezoo.engine.hooks.jsonl import read_metrics
from facezoo.errors import ConfigError

RUNS = Path("runs")
CHECKPOINTS = "checkpoints"
LEFT_BY_A_START = {
    *("config.yaml", "environment.json", "log.txt"),
    *("metrics.jsonl", "metrics.csv", "tensorboard"),
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
        resume: see ``facezoo.engine.run.train``.
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


def run_folder(name: str, out: str | Path | None, checkpoint: Path | None) -> Path:
    """Returns the folder of a run, which may not be there yet: a new one, or the checkpoint's.

    Raises:
        ConfigError: the folder holds something else, or the checkpoint stands in no run folder.
    """
    own = None if checkpoint is None else _folder_of(checkpoint)
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
    if not _is_free(folder):
        advice = "resume that run" if checkpoint is None else "leave out --out"
        raise ConfigError(
            f"{folder} holds files already, perhaps of another run; {advice}, or give another "
            "folder."
        )
    return folder


def _new_folder(name: str) -> Path:
    started = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    folder = RUNS / name / started
    number = 2
    while folder.exists():
        folder = RUNS / name / f"{started}_{number}"
        number += 1
    return folder


def _folder_of(checkpoint: Path) -> Path | None:
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
    return names <= LEFT_BY_A_START and not read_metrics(folder / "metrics.jsonl")
