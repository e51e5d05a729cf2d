"""What a run starts from, found out before anything is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import facezoo
from facezoo.config import Config
from facezoo.engine import distributed
from facezoo.engine.checkpoint import read_state
from facezoo.engine.checkpoint_files import STATE, last_checkpoint
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
        command: what goes on with the run when it was interrupted.
        written_by: version of facezoo that wrote the checkpoint.
    """

    config: Config
    folder: Path
    checkpoint: Path | None = None
    note: str = ""
    remarks: Sequence[str] = ()
    command: str = ""
    written_by: str = ""


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
    # Rank 0 looks, as it may be about to write where the others still look.
    checkpoint, folder = distributed.from_main(
        _places(name, out, resume, or_anew) if distributed.is_main() else (None, Path())
    )
    named_as = source if isinstance(source, (str, Path)) else "CONFIG"
    command = f"facezoo train {named_as} --resume {folder}{' --sample' if sample else ''}"
    if checkpoint is None:
        return Start(named, folder, note=note, command=command)
    state = read_state(checkpoint / STATE)
    if state.get("note", note) != note:
        theirs, this = ("real", "sample") if sample else ("sample", "real")
        raise ConfigError(
            f"{checkpoint} is of a {theirs} run, and a {this} run cannot go on with it; name the "
            f"folder of a {this} run, or start anew."
        )
    written_by = state["made_with"]["facezoo"]
    try:
        config, remarks = resumed_config(
            checkpoint, state.get("name", named.name), named, overrides, sample, allow_imports
        )
    except ConfigError as error:
        raise of_version(error, written_by) from error
    return Start(config, folder, checkpoint, note, remarks, command, written_by)


def of_version(error: ConfigError, written_by: str) -> ConfigError:
    """Returns what is wrong with a config of another version of facezoo, with both versions."""
    if written_by == facezoo.__version__:
        return error
    return ConfigError(
        [
            f"{problem} (The run was made with facezoo {written_by}, this is "
            f"{facezoo.__version__}: override the value, or go on with that version.)"
            for problem in error.problems
        ]
    )


def _places(
    name: str, out: str | Path | None, resume: bool | str | Path | None, or_anew: bool
) -> tuple[Path | None, Path]:
    """Returns the checkpoint to go on from, if there is one, and the run folder."""
    if out is None and distributed.may_restart():
        raise ConfigError(
            "torchrun may restart this run (--max-restarts), which then has to find its folder: "
            "name it with --out."
        )
    restarted = distributed.is_restarted() and out is not None
    if restarted and last_checkpoint(Path(str(out))) is not None:
        resume = True  # further on than a checkpoint that the command names
    checkpoint = checkpoint_to_resume(name, out, resume or restarted, or_anew or restarted)
    return checkpoint, run_folder(name, out, checkpoint, used=restarted)
