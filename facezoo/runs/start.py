"""What a run starts from: config, folder and checkpoint, found out before anything is written."""

import itertools
import logging
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from facezoo import distributed
from facezoo.builder import without_pretrained
from facezoo.config.config import Config, load_config
from facezoo.errors import ConfigError
from facezoo.runs.run_config import (
    CONFIG,
    TRIAL_NOTE,
    differences,
    open_config,
    resumed_config,
    trial_config,
)
from facezoo.training.checkpoint import read_state
from facezoo.training.checkpoint_files import STATE, find_checkpoint, last_checkpoint
from facezoo.training.metrics_file import METRICS, read_metrics
from facezoo.version import __version__

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
    written_by: str = __version__

    @property
    def config_to_build(self) -> Config:
        """The config, without the weights of a hub where the run resumes and has its own."""
        return self.config if self.checkpoint is None else without_pretrained(self.config)

    def blame_version(self, error: ConfigError) -> ConfigError:
        """Returns an error of the config; of one by another version it names both versions."""
        if self.written_by == __version__:
            return error
        return ConfigError(
            [
                f"{problem} (The run was made with facezoo {self.written_by}, this is "
                f"{__version__}: override the value, or go on with that version.)"
                for problem in error.problems
            ]
        )


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

    Its arguments are those of ``facezoo.train``. With ``or_anew`` the run starts anew where there
    is nothing to resume, also in the folder of a run of this config that ended before its first
    checkpoint.

    Raises:
        FacezooError: the config, the folder or the checkpoint is wrong.
    """
    named = open_config(source, overrides, allow_imports)
    if sample:
        named = trial_config(named)
    # Rank 0 looks, as it may be about to write where the others still look.
    checkpoint, folder = distributed.from_main(
        _find_places(named, sample, out, resume, or_anew)
        if distributed.is_main()
        else (None, Path())
    )
    start = Start(
        named,
        folder,
        checkpoint,
        note=TRIAL_NOTE if sample else "",
        command=f"facezoo train {_word(source)} --resume {folder}{' --sample' if sample else ''}",
    )
    if checkpoint is not None:
        return _resumed(start, checkpoint, overrides, sample, allow_imports)
    if not (folder / CONFIG).is_file():
        return start
    remark = f"Begun anew in {folder}, where a run ended before its first checkpoint."
    return replace(start, remarks=[remark])


def prepare_many(
    sources: Sequence[str | Path | Mapping[str, Any] | Config],
    overrides: Sequence[str],
    out: str | Path | None,
    resume: bool,
    init_from: str | None,
    sample: bool,
    allow_imports: bool,
) -> list[Start]:
    """Finds config, folder and checkpoint of the runs of ``train_many``; writes nothing.

    Raises:
        FacezooError: two configs have one name, there is nothing to resume, or see ``prepare``.
    """
    names = [open_config(one, overrides, allow_imports).name for one in sources]
    if len(set(names)) < len(names):
        raise ConfigError(f"Two of the configs have one name ({', '.join(names)}); rename a file.")
    # It has what those need that have not begun, unlike the command that resumes one run.
    options = [
        *([] if out is None else ["--out", str(out)]),
        *([] if init_from is None else ["--init-from", init_from]),
        *(["--sample"] if sample else []),
        *(["--allow-imports"] if allow_imports else []),
    ]
    words = [*map(_word, sources), *overrides, *options, "--resume"]
    command = f"facezoo train {shlex.join(words)}"
    starts = []
    for one, name in zip(sources, names, strict=True):
        folder = None if out is None else Path(out) / name
        start = prepare(one, overrides, folder, resume, sample, allow_imports, or_anew=True)
        starts.append(replace(start, command=command))
    if resume and not any(one.checkpoint or one.remarks for one in starts):
        raise ConfigError(
            f"There is no run of any of {', '.join(names)} to resume; leave out the resume."
        )
    return starts


def _resumed(
    start: Start, checkpoint: Path, overrides: Sequence[str], sample: bool, allow_imports: bool
) -> Start:
    """Returns a start with the config of the run that it goes on with."""
    state = read_state(checkpoint / STATE)
    if state.get("note", start.note) != start.note:
        theirs, this = ("real", "sample") if sample else ("sample", "real")
        raise ConfigError(
            f"{checkpoint} is of a {theirs} run, and a {this} run cannot go on with it; name the "
            f"folder of a {this} run, or start anew."
        )
    named, start = start.config, replace(start, written_by=state["made_with"]["facezoo"])
    name = state.get("name", named.name)
    try:
        config, remarks = resumed_config(checkpoint, name, named, overrides, sample, allow_imports)
    except ConfigError as error:
        raise start.blame_version(error) from error
    return replace(start, config=config, remarks=remarks)


def _word(source: object) -> str:
    """Returns how a command names a config."""
    return str(source) if isinstance(source, (str, Path)) else "CONFIG"


def _find_places(
    config: Config,
    sample: bool,
    out: str | Path | None,
    resume: bool | str | Path | None,
    or_anew: bool,
) -> tuple[Path | None, Path]:
    """Returns the checkpoint to go on from, if there is one, and the run folder."""
    if out is None and distributed.may_restart():
        raise ConfigError(
            "torchrun may restart this run (--max-restarts), which then has to find its folder: "
            "name it with --out."
        )
    name = f"{config.name}-sample" if sample else config.name
    restarted = distributed.is_restarted() and out is not None
    if restarted and last_checkpoint(Path(str(out))) is not None:
        resume = True  # further on than a checkpoint that the command names
    checkpoint = _checkpoint_to_resume(name, out, resume or restarted, or_anew or restarted)
    used = restarted
    if resume is True and or_anew and out is not None and Path(out, CONFIG).is_file():
        begun = load_config(Path(out, CONFIG))  # of the same model, it is the run to resume
        used |= not differences(begun.get("model"), config.get("model"))
    return checkpoint, _run_folder(name, out, checkpoint, used)


def _checkpoint_to_resume(
    name: str, out: str | Path | None, resume: bool | str | Path | None, or_anew: bool = False
) -> Path | None:
    """Returns the checkpoint of ``out``, or else of the latest run of the name; None for none."""
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


def _run_folder(
    name: str, out: str | Path | None, checkpoint: Path | None, used: bool = False
) -> Path:
    """Returns the folder of a run, which may not be there yet: a new one, or the checkpoint's."""
    # Where it is "used" the run has been in it before, and may have failed without a checkpoint.
    own = None if checkpoint is None else _run_of(checkpoint)
    if out is None:
        if checkpoint is None:
            started = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
            taken = (f"{started}_{number}" for number in itertools.count(2))
            folders = (RUNS / name / one for one in itertools.chain([started], taken))
            return next(folder for folder in folders if not folder.exists())
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
