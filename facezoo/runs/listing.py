"""What became of runs, as ``status.json`` of each says, and in which settings they differ."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facezoo.config.config import Config, load_with_problems
from facezoo.config.signatures import show
from facezoo.config.yaml_tree import flat
from facezoo.errors import ConfigError, DataError, FacezooError
from facezoo.runs.run_config import CONFIG
from facezoo.training.metrics_file import METRICS, read_metrics
from facezoo.writing import atomic_write

if TYPE_CHECKING:
    from facezoo.training.trainer import Trainer

logger = logging.getLogger(__name__)

STATUS = "status.json"
BEST, MODE = "val/loss", "min"
"""What chooses ``best`` where a config leaves it to the Checkpoint hook."""
ABSENT = "-"


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
    try:
        with atomic_write(folder / STATUS) as temporary:  # a reader never meets half of it
            temporary.write_text(json.dumps(asdict(status), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        logger.warning("The status of the run could not be written: %s", error)


def _is_gone(process_id: int) -> bool:
    """Returns whether no process of this machine has the number; False where nobody can tell."""
    # On Windows os.kill would end the process instead of asking for it.
    if sys.platform == "win32" or process_id <= 0:
        return False
    with suppress(PermissionError, OverflowError):  # another user's, or of another system
        try:
            os.kill(process_id, 0)
        except ProcessLookupError:
            return True
    return False


@dataclass(frozen=True)
class Run:
    """A run folder, as far as it can be read.

    Attributes:
        name: its path below the folder that was searched.
        folder: the run folder.
        state: see ``RunStatus``; ``unknown`` where the run left no status.
        step: updates done.
        total_steps: of the whole run; None where the run left no status.
        changed: when the run wrote something last, in UTC.
        remark: why the run failed, or what cannot be read; else empty.
        metric: the metric that chooses ``best``; None where nothing does.
        best_value: its best value, None before the first.
        best_step: the step of it.
        config: of the run; an empty one where it cannot be read.
        rows: of ``metrics.jsonl``.
    """

    name: str
    folder: Path
    state: str
    step: int
    total_steps: int | None
    changed: datetime
    remark: str = ""
    metric: str | None = None
    best_value: float | None = None
    best_step: int | None = None
    config: dict[str, Any] = field(default_factory=dict, repr=False)
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def record(self) -> dict[str, Any]:
        """Returns what a JSON file says of the run."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.repr}
        changed = self.changed.isoformat(timespec="seconds")
        return values | {"folder": str(self.folder), "changed": changed}

    def points(self, metric: str) -> dict[int, float]:
        """Returns the finite values of a metric by step, in the order of the run."""
        return {
            row["step"]: row[metric]
            for row in self.rows
            if isinstance(row.get(metric), (int, float)) and math.isfinite(row[metric])
        }


def find_runs(folder: Path) -> list[Run]:
    """Returns the runs in a folder and below it, the one that changed last first.

    A run that cannot be read is in the list too, with a remark.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}; name one that run folders are in.")
    runs = []
    for place, below, _ in os.walk(folder):
        path = Path(place)
        if not is_run(path):
            continue
        below.clear()  # what is in a run folder belongs to that run
        name = path.relative_to(folder).as_posix() if path != folder else path.resolve().name
        try:
            runs.append(read_run(path, name))
        except FacezooError as error:
            runs.append(_run(path, name, remark=str(error).splitlines()[0]))
    return sorted(runs, key=lambda run: (run.changed, run.name), reverse=True)


def open_runs(folders: Sequence[Path]) -> list[Run]:
    """Returns runs to compare, named by what differs in their paths.

    Raises:
        ConfigError: fewer than two, one of them twice, or a config that cannot be read.
        DataError: one is no run folder, or its metrics cannot be read.
    """
    if len(folders) < 2:
        raise ConfigError(f"Name at least two runs to compare; the words name {len(folders)}.")
    for place in folders:
        if not is_run(place):
            raise DataError(
                f"{place} is no run folder, which has a {CONFIG} with a {METRICS} beside it; "
                "facezoo runs lists those that are there."
            )
    resolved = [place.resolve() for place in folders]
    twice = [place for place in folders if resolved.count(place.resolve()) > 1]
    if twice:
        raise ConfigError(f"{twice[0]} is named twice; name different runs.")
    shared = Path(os.path.commonpath([place.parent for place in resolved]))
    return [
        read_run(place, whole.relative_to(shared).as_posix())
        for place, whole in zip(folders, resolved, strict=True)
    ]


def is_run(folder: Path) -> bool:
    """Returns whether a folder is one that a run wrote to."""
    left = (METRICS, "checkpoints", STATUS)
    return (folder / CONFIG).is_file() and any((folder / name).exists() for name in left)


def read_run(folder: Path, name: str) -> Run:
    """Reads a run folder, without importing any plug-in of its config; ``name`` is the run's.

    Raises:
        ConfigError: its config cannot be read.
        DataError: its metrics cannot be read.
    """
    # A setting that this version no longer knows is no reason to hide a run.
    config, _ = load_with_problems(folder / CONFIG, allow_imports=False)
    run = _run(folder, name, config=config.data, rows=_read_rows(folder / METRICS))
    metric, mode = _best_metric(config)
    points = {} if metric is None else run.points(metric)
    if not points:
        return replace(run, metric=metric)
    # Of equal values the first, as the Checkpoint hook takes it.
    best_step = (max if mode == "max" else min)(points, key=points.__getitem__)
    return replace(run, metric=metric, best_value=points[best_step], best_step=best_step)


def settings_that_differ(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Returns by path the settings that are not the same in all runs: a text for each run."""
    configs = [flat(run.config) for run in runs]
    paths = dict.fromkeys(path for one in configs for path in one)
    return {
        path: [show(one[path]) if path in one else ABSENT for one in configs]
        for path in paths
        if any(path not in one or one[path] != configs[0].get(path) for one in configs)
    }


def validation_metrics(runs: Sequence[Run]) -> list[str]:
    """Returns the names of all metrics under ``val/``, in the order in which they came."""
    names = (name for run in runs for row in run.rows for name in row)
    return list(dict.fromkeys(name for name in names if name.startswith("val/")))


def _run(folder: Path, name: str, rows: Sequence[dict[str, Any]] = (), **found: Any) -> Run:
    """Returns a run with what its status says, which is older than its metrics while it runs."""
    files = [folder / one for one in (CONFIG, METRICS, STATUS, "log.txt")]
    newest = max(path.stat().st_mtime for path in files if path.is_file())
    changed = datetime.fromtimestamp(newest, timezone.utc)
    step, found["rows"] = max((row["step"] for row in rows), default=0), [*rows]
    status = read_status(folder)
    if status is None:
        return Run(name, folder, "unknown", step, None, changed, **found)
    step = max(status.step, step)
    found = {"remark": status.message, **found}
    return Run(name, folder, status.state, step, status.total_steps, changed, **found)


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = read_metrics(path)
    except ValueError as error:  # no JSON, or no text
        raise DataError(f"{path} has a line that is no JSON: {error}; remove that line.") from error
    if not all(isinstance(row, dict) and isinstance(row.get("step"), int) for row in rows):
        raise DataError(f"{path} has a line without a step; remove that line.")
    return rows


def _best_metric(config: Config) -> tuple[str | None, str]:
    """Returns the metric that chooses ``best`` and its mode; no metric where nothing is chosen."""
    hook = config.get("hooks.checkpoint")
    if not isinstance(hook, dict):
        return None, MODE
    metric = hook.get("best", BEST)
    return (metric if isinstance(metric, str) else None), hook.get("mode", MODE)
