"""What a run starts from, found out before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facezoo.config import Config
from facezoo.engine.checkpoint import STATE, read_state
from facezoo.engine.run_config import open_config, resumed_config
from facezoo.engine.run_folder import checkpoint_to_resume, run_folder
from facezoo.engine.sample import SAMPLE_NOTE, sample_config
from facezoo.errors import ConfigError


@dataclass(frozen=True)
class Start:
    """A run that can begin.

    Attributes:
        config: what it trains.
        folder: the run folder, which may not be there yet.
        checkpoint: where it goes on, or None.
        note: stands beside each of its numbers; often empty.
        remarks: what the log is to say of the config.
    """

    config: Config
    folder: Path
    checkpoint: Path | None = None
    note: str = ""
    remarks: Sequence[str] = ()


def prepare(
    source: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str],
    out: str | Path | None,
    resume: bool | str | Path | None,
    sample: bool,
    allow_imports: bool,
    or_anew: bool = False,
) -> Start:
    """Finds the config, the folder and the checkpoint of a run; writes nothing.

    Args:
        source: see ``facezoo.engine.run.train``, like the next five.
        overrides: of the config.
        out: the run folder.
        resume: where to go on.
        sample: whether it is a sample run; those of a config have a folder of their own.
        allow_imports: whether the config of a run may import plug-ins.
        or_anew: start anew where there is nothing to resume.

    Raises:
        FacezooError: the config, the folder or the checkpoint is wrong.
    """
    named = open_config(source, overrides, allow_imports)
    named = sample_config(named) if sample else named
    note = SAMPLE_NOTE if sample else ""
    name = f"{named.name}-sample" if sample else named.name
    checkpoint = checkpoint_to_resume(name, out, resume, or_anew)
    folder = run_folder(name, out, checkpoint)
    if checkpoint is None:
        return Start(named, folder, note=note)
    state = read_state(checkpoint / STATE)
    if state.get("note", note) != note:
        theirs, this = ("real", "sample") if sample else ("sample", "real")
        raise ConfigError(
            f"{checkpoint} is of a {theirs} run, and a {this} run cannot go on with it; name the "
            f"folder of a {this} run, or start anew."
        )
    config, remarks = resumed_config(
        checkpoint, state.get("name", named.name), named, overrides, sample, allow_imports
    )
    return Start(config, folder, checkpoint, note, remarks)
