"""Folders that appear whole, or not at all, and are known again when they are not what was written.

A checkpoint is written under a temporary name, flushed to the disk and renamed. ``digests.json``
holds the sha256 of each of its files, so that a damaged one is told from a sound one.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from facezoo.errors import CheckpointError

STATE = "state.pt"
DIGESTS = "digests.json"
BLOCK = 2**20


def find_checkpoint(place: Path) -> Path:
    """Returns ``place`` where it is a checkpoint, or the last checkpoint of a run folder.

    Raises:
        CheckpointError: there is no checkpoint.
    """
    if (place / STATE).is_file():
        return place
    found = last_checkpoint(place)
    if found is None:
        raise CheckpointError(
            f"There is no checkpoint in {place}; give a run folder with checkpoints/last, or a "
            "checkpoint itself, or, for a run that ended before its first one, delete the folder "
            "and start anew."
        )
    return found


def last_checkpoint(run: Path) -> Path | None:
    """Returns the last checkpoint of a run folder, or None where there is none."""
    _put_back(run / "checkpoints")
    steps = saved_steps(run)
    candidates = [run / "checkpoints" / "last", *(steps[one] for one in sorted(steps)[::-1])]
    return next((one for one in candidates if (one / STATE).is_file()), None)


def saved_steps(run: Path) -> dict[int, Path]:
    """Returns the folders of a run's checkpoints by step; other names are passed over."""
    return {
        int(folder.name.removeprefix("step_")): folder
        for folder in run.glob("checkpoints/step_*")
        if re.fullmatch(r"step_[0-9]+", folder.name)
    }


def point(entry: Path, target: Path) -> None:
    """Makes ``entry`` another name of the folder ``target`` beside it, in one step.

    A symbolic link that is renamed over the old one; where the system grants no links, a copy
    that takes the old one's place (there, for an instant, neither is in place).
    """
    temporary = entry.with_name(f".{entry.name}.new")
    _remove(temporary)
    try:
        temporary.symlink_to(target.name, target_is_directory=True)
        os.replace(temporary, entry)
    except OSError:
        _remove(temporary)
        shutil.copytree(target, temporary)
        _replace(temporary, entry)


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Gives a folder under a temporary name and renames it to ``folder`` once all is written."""
    temporary = folder.with_name(f".{folder.name}.new")
    _remove(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in temporary.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        _flush(temporary)
        _replace(temporary, folder)
    finally:
        _remove(temporary)


def _replace(temporary: Path, folder: Path) -> None:
    """Gives a folder its name; what had the name before goes once the new one is on the disk."""
    old = folder.with_name(f".{folder.name}.old")
    _remove(old)
    if folder.exists():
        os.replace(folder, old)
    os.replace(temporary, folder)
    _flush(folder.parent)
    _remove(old)


def _put_back(checkpoints: Path) -> None:
    """Gives a folder its name again where the process was killed while it was being replaced."""
    for old in checkpoints.glob(".*.old"):
        folder = old.with_name(old.name.removeprefix(".").removesuffix(".old"))
        if not folder.exists() and not folder.is_symlink():
            os.replace(old, folder)


def write_digests(folder: Path) -> None:
    """Writes the sha256 of every file in a folder into its ``digests.json``."""
    digests = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
    (folder / DIGESTS).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")


def check_digests(folder: Path) -> None:
    """Compares the files of a checkpoint with what was written; one without digests passes.

    Raises:
        CheckpointError: a file is missing or is not what was written.
    """
    try:
        digests = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
    except FileNotFoundError:  # a checkpoint of the first format
        return
    except ValueError as error:
        raise CheckpointError(_damaged(folder / DIGESTS)) from error
    for name, digest in digests.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(
                f"{path} is missing; resume from another folder in {folder.parent}."
            )
        if _sha256(path) != digest:
            raise CheckpointError(_damaged(path))


def _damaged(path: Path) -> str:
    folder = path.parent.resolve()
    others = [str(one) for one in saved_steps(folder.parent.parent).values() if one != folder]
    advice = f"resume from {max(others)}" if others else "start anew"
    return f"{path} is damaged: it is not what was written (sha256); {advice}."


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _flush(folder: Path) -> None:
    """Makes the entries of a folder survive a power cut, where the system can."""
    with contextlib.suppress(OSError, AttributeError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
