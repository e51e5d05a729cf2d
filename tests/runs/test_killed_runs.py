"""Runs in processes of their own, killed with SIGKILL while something is half done, and resumed.

`tools/kill_matrix.py` does this at random moments.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(__file__).with_name("programs")
sys.path.insert(0, str(ROOT / "tools"))
from kill_matrix import ALL_ON, differences  # noqa: E402

pytestmark = pytest.mark.slow

RUN = [
    *("train.max_steps=10", "train.log_every=4", "data.train.dataset.num_images=24"),
    # A crop that drops faces, whose number is in the metrics.
    "data.train.transforms=[{type: SquareCrop, size: 128}, {type: Flip, p: 0.5}]",
    *("data.val.dataset.num_images=4", "hooks.tensorboard=null"),
    *("hooks.checkpoint.every_steps=3", "hooks.checkpoint.every_epochs=null"),
    "hooks.evaluation.every_steps=4",
    "hooks.early_stopping={type: EarlyStopping, patience: 99}",
    *ALL_ON,
]


def run(folder: Path, words: Sequence[str], killed: str = "", processes: int = 1) -> int:
    program = [str(PROGRAMS / "killed.py")] if killed else ["-m", "facezoo.cli"]
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        launcher += [str(processes)]
    return subprocess.run(
        [*launcher, *program, "train", "tiny_test", "--out", str(folder), *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "FACEZOO_KILL": killed},
        capture_output=True,
        timeout=200,
        check=False,
    ).returncode


def test_one_process_goes_on_exactly(tmp_path: Path) -> None:
    """Accumulation, bf16, several sides, EMA and early stopping are on; 0 workers, then 2."""
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert run(straight, RUN) == 0
    assert run(broken, RUN, killed="update:5") < 0
    assert run(broken, ["--resume", "data.workers=2"], killed="checkpoint:1") < 0
    assert list((broken / "checkpoints").glob(".step_*.new"))  # half written
    assert run(broken, ["--resume"], killed="evaluation:2") < 0
    assert run(broken, ["--resume", "data.workers=0"]) == 0
    assert differences(straight, broken) == []


def test_two_ranks_go_on_exactly(tmp_path: Path) -> None:
    """One rank is killed, and torchrun ends the other."""
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    assert run(straight, RUN, processes=2) == 0
    assert run(broken, RUN, killed="update:5:1", processes=2) != 0
    assert run(broken, ["--resume"], processes=2) == 0
    assert differences(straight, broken) == []
