"""Kills training runs at random moments and checks that each goes on as if nothing had happened.

    python tools/kill_matrix.py --kills 30 --out /tmp/kills

Every case trains `tiny_test` once without a break. Then it trains it again in a process of its own
(or two ranks under torchrun), kills the processes with SIGKILL at a random moment, resumes, kills
again, until the run is done, and compares losses, weights, average, optimizer, generators and
evaluation with the run that had no break, bit for bit. Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

RUN = [
    *("train.max_steps=40", "train.log_every=4", "data.train.dataset.num_images=96"),
    # A crop that drops faces, whose number is in the metrics.
    "data.train.transforms=[{type: SquareCrop, size: 128}, {type: Flip, p: 0.5}]",
    *("hooks.checkpoint.every_steps=3", "hooks.checkpoint.every_epochs=null"),
    *("hooks.evaluation.every_steps=13", "hooks.tensorboard=null"),
    "hooks.early_stopping={type: EarlyStopping, patience: 99}",
]
ALL_ON = [
    *("train.accumulate=2", "train.precision=bf16", "data.multi_scale=[96,128,160]"),
    "train.clip_norm=1.0",
]
CASES: dict[str, tuple[int, Sequence[str], Sequence[Sequence[str]]]] = {
    "one process": (1, [], [[]]),
    "workers 0, then 2, then 1": (1, [], [["data.workers=2"], ["data.workers=1"]]),
    "accumulation, bf16, multi-scale": (1, ALL_ON, [[], ["data.workers=2"]]),
    "two ranks": (2, [], [[]]),
    "two ranks, everything on": (2, ALL_ON, [["data.workers=1"], ["data.workers=0"]]),
}
"""Processes, settings of the run, and what changes from life to life."""


def start(
    folder: Path, overrides: Sequence[str], processes: int = 1, resume: bool = False
) -> subprocess.Popen[bytes]:
    """Starts a training of `tiny_test` in ``folder``, in a process group of its own."""
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        launcher += [str(processes)]
    words = ["-m", "facezoo.cli", "train", "tiny_test", "--out", str(folder)]
    words += ["--resume", *overrides] if resume else overrides
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [*launcher, *words],
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def differences(run: Path, other: Path) -> list[str]:
    """Returns what two finished runs do not have in common, bit for bit; times are left out."""
    found = []
    last, other_last = run / "checkpoints" / "last", other / "checkpoints" / "last"
    for name in ("last", "best"):
        names = [(one / "checkpoints" / name).resolve().name for one in (run, other)]
        found += _differences(name, *names)
    for name in ("model.safetensors", "raw.safetensors"):
        found += _differences(name, load_file(last / name), load_file(other_last / name))
    states = [torch.load(one / "state.pt", weights_only=True) for one in (last, other_last)]
    for state in states:
        state["metrics"] = _without_times(state["metrics"])
        del state["config"]  # the workers in it may differ
    found += _differences("state", *states)
    rows = [
        [_without_times(json.loads(line)) for line in (one / "metrics.jsonl").open()]
        for one in (run, other)
    ]
    return found + _differences("metrics.jsonl", *rows)


def _without_times(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith("time/")}


def _differences(path: str, one: object, other: object) -> list[str]:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if torch.equal(one, other) else [path]
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{path} (keys)"]
        return [x for key in one for x in _differences(f"{path}.{key}", one[key], other[key])]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return [f"{path} (length)"]
        return [
            x
            for place, pair in enumerate(zip(one, other, strict=True))
            for x in _differences(f"{path}.{place}", *pair)
        ]
    return [] if one == other else [f"{path}: {one} and {other}"]


def kill(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Kills a process and all it has started; torchrun gives ranks a session of their own."""
    os.killpg(process.pid, signal.SIGKILL)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGKILL)
        except OSError:  # it has ended by itself
            pass
    process.wait()


def _wait_for_steps(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Waits until this life of a run has made a step."""
    path = folder / "metrics.jsonl"
    before = path.stat().st_size if path.exists() else 0
    while process.poll() is None and (not path.exists() or path.stat().st_size <= before):
        time.sleep(0.02)


def _check(name: str, out: Path, kills: int, generator: random.Random) -> tuple[int, int, int]:
    """Returns kills, those while a checkpoint was being written, and the differences found."""
    processes, settings, lives = CASES[name]
    place = out / name.replace(" ", "_").replace(",", "")
    straight = place / "straight"
    if start(straight, [*RUN, *settings], processes).wait():
        raise SystemExit(f"{name}: the run without a break failed, see {straight}.log")
    done = half_written = wrong = run_number = 0
    while done < kills:
        run_number += 1
        run = place / f"run{run_number}"
        process, life = start(run, [*RUN, *settings], processes), 0
        while True:
            _wait_for_steps(run, process)
            time.sleep(generator.uniform(0, 2.0))
            if process.poll() is not None or done == kills:
                break
            kill(process, run)
            done += 1
            half_written += any((run / "checkpoints").glob(".step_*.new"))
            resume = (run / "checkpoints").is_dir() and any((run / "checkpoints").glob("step_*"))
            if not resume:
                shutil.rmtree(run, ignore_errors=True)
            changes = lives[life % len(lives)] if resume else [*RUN, *settings]
            process, life = start(run, changes, processes, resume), life + 1
        if process.wait():
            raise SystemExit(f"{name}: run {run_number} failed, see {run}.log")
        found = differences(straight, run)
        wrong += bool(found)
        print(f"{name}: run {run_number}, {done} kills so far, {found or 'exact'}", flush=True)
    return done, half_written, wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    share = -(-arguments.kills // len(CASES))
    results = [_check(name, arguments.out, share, generator) for name in CASES]
    done, half_written, wrong = (sum(column) for column in zip(*results, strict=True))
    print(f"{done} kills, {half_written} of them while a checkpoint was being written; ", end="")
    print(f"{wrong} runs differ." if wrong else "every run is exact.")
    raise SystemExit(wrong > 0)


if __name__ == "__main__":
    main()
