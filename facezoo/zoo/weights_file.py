"""Where the weights are that a run folder, a checkpoint or a file name stands for."""

from __future__ import annotations

from pathlib import Path

from facezoo.errors import CheckpointError

WEIGHTS = "model.safetensors"


def find_weights(source: str | Path) -> Path | None:
    """Returns a run folder's or checkpoint's file of weights, or a safetensors file as it is.

    Args:
        source: a run folder, whose best checkpoint is taken, else its last; a checkpoint; or a
            file, which need not exist.

    Returns:
        The file; None where ``source`` is neither a folder nor named ``.safetensors``.

    Raises:
        CheckpointError: a folder holds no weights.
    """
    place = Path(source)
    if place.suffix == ".safetensors" and not place.is_dir():
        return place
    if not place.is_dir():
        return None
    for folder in (place / "checkpoints" / "best", place / "checkpoints" / "last", place):
        if (folder / WEIGHTS).is_file():
            return folder / WEIGHTS
    raise CheckpointError(
        f"{place} is a folder without {WEIGHTS} and without checkpoints/best or checkpoints/last; "
        "give a run folder, a checkpoint or a file of weights."
    )
