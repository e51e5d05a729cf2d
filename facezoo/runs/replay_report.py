"""What a replay found, in tables and words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from facezoo.runs.replay import Replay

NAMED = 5


def print_replay(replay: Replay, console: Console) -> None:
    """Prints what a replay found; its last line says in words what follows from it."""
    share = f", share of rank {replay.rank} of {replay.world_size}" if _shared(replay) else ""
    console.print(f"step {replay.step}{share}, in {replay.precision} on {replay.device}")
    console.print(f"images: {', '.join(replay.ids)}")
    console.print(_loss_table(replay), soft_wrap=False)
    for name, problems in (
        ("weights", replay.weights),
        ("statistics of batch norm", replay.statistics),
        ("targets", replay.targets),
    ):
        console.print(f"{name}: {'not sound' if problems else 'sound'}")
        for line in _first(problems):
            console.print(f"  {line}")
    console.print(_image_table(replay), soft_wrap=False)
    console.print(f"first output that is not finite: {replay.first_module or 'none'}")
    console.print(f"norm of the gradients: {_number(replay.gradient_norm)}")
    if replay.gradients:
        console.print("parameters with a gradient that is not finite:")
        for line in _first(replay.gradients):
            console.print(f"  {line}")
    console.print(conclusion(replay))


def conclusion(replay: Replay) -> str:
    """Returns in words what follows from a replay."""
    place = f"in {replay.precision} on {replay.device}"
    bad = [f"{name} {_number(one.value)}" for name, one in replay.losses.items() if not one.finite]
    if bad:
        parts = [f"Not finite again {place}: {', '.join(bad)}"]
        if replay.first_module is not None:
            parts.append(f"first at {replay.first_module}")
        alone = [one.image_id for one in replay.suspects if not one.finite]
        parts.append(
            f"alone too with {_listed(alone)}" if alone else "although each image alone is finite"
        )
    elif not replay.finite:
        parts = [
            f"Not finite again {place}: the loss is {_number(replay.loss)}, but the norm of its "
            f"gradients is {_number(replay.gradient_norm)}"
        ]
        if replay.gradients:
            parts.append(f"for example of {replay.gradients[0]}")
    else:
        parts = [
            f"Finite here {place}: the loss is {_number(replay.loss)} and the norm of its "
            f"gradients {_number(replay.gradient_norm)}; if the run had the same precision and "
            "device, the cause was not in this batch and these weights"
        ]
        if _shared(replay):
            parts.append(f"but it may be in the share of another of {replay.world_size} ranks")
    unsound = [name for name in ("weights", "targets") if getattr(replay, name)]
    if unsound:
        parts.append(f"and the {' and the '.join(unsound)} are not sound, see above")
    return ", ".join(parts) + "."


def _shared(replay: Replay) -> bool:
    return replay.world_size > 1


def _loss_table(replay: Replay) -> Table:
    table = Table(title="Loss terms", title_justify="left")
    table.add_column("term")
    for name in ("total", "count", "value", "finite"):
        table.add_column(name, justify="right")
    for name, one in replay.losses.items():
        numbers = (_number(one.total), _number(one.count), _number(one.value))
        table.add_row(Text(name), *numbers, "yes" if one.finite else "no")
    return table


def _image_table(replay: Replay) -> Table:
    """Returns a table of the images to suspect."""
    found = any(not one.finite for one in replay.images)
    title = "Not finite alone" if found else "All finite alone; largest losses"
    table = Table(title=f"{title} (in evaluation mode)", title_justify="left")
    table.add_column("image", overflow="fold")
    for name in replay.losses:
        table.add_column(Text(name), justify="right")
    for one in replay.suspects[:NAMED]:
        table.add_row(Text(one.image_id), *(_number(value) for value in one.losses.values()))
    more = len(replay.suspects) - NAMED
    if more > 0:
        table.add_row(f"and {more} more")
    return table


def _number(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def _first(lines: Sequence[str]) -> list[str]:
    more = len(lines) - NAMED
    return [*lines[:NAMED], *([f"and {more} more"] if more > 0 else [])]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(_first(names))
