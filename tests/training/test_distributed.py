"""Two ranks under torchrun against one process, and what happens when one of them fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from facezoo import distributed
from facezoo.config.sections import TrainSettings
from facezoo.errors import ConfigError
from facezoo.training.metrics_file import read_metrics

PROGRAMS = Path(__file__).with_name("programs")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
SHORT = [
    *("train.max_steps=6", "train.log_every=1", "data.train.dataset.num_images=16"),
    *("hooks.tensorboard=null", "hooks.evaluation=null", "hooks.checkpoint.best=null"),
]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """What one process and what two ranks found."""
    folder = tmp_path_factory.mktemp("ranks")
    program = str(PROGRAMS / "two_ranks.py")
    found = []
    for name, launcher in (("one", [sys.executable]), ("two", TORCHRUN)):
        out = folder / f"{name}.json"
        subprocess.run([*launcher, program, str(out)], env=environment(), check=True, timeout=200)
        found.append(json.loads(out.read_text()))
    assert (found[0]["ranks"], found[1]["ranks"]) == (1, 2)
    return found[0], found[1]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["plain", "no_faces", "accumulated"])
def test_two_ranks_train_as_one_process(both: tuple[dict, dict], case: str) -> None:
    one, two = both[0][case], both[1][case]
    assert one["ids"] == two["ids"]
    for expected, found in zip(one["losses"], two["losses"], strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    assert two["norms"] == pytest.approx(one["norms"], rel=1e-4)


@pytest.mark.slow
def test_losses_of_the_cases_differ(both: tuple[dict, dict]) -> None:
    """Or the comparison above would compare nothing."""
    plain, no_faces = both[0]["plain"], both[0]["no_faces"]
    assert plain["losses"][0]["box"] != pytest.approx(no_faces["losses"][0]["box"], rel=1e-2)
    assert plain["losses"][2] != pytest.approx(plain["losses"][0], rel=1e-2)


@pytest.mark.slow
def test_two_ranks_evaluate_to_the_last_digit(both: tuple[dict, dict]) -> None:
    one, two = both[0]["evaluation"], both[1]["evaluation"]
    assert one["sum_of_scores"] > 0 and one["loss"] > 0
    assert one == two


@pytest.mark.slow
def test_a_failing_rank_ends_all_and_torchrun_restarts_them(tmp_path: Path) -> None:
    """The second attempt goes on from the last checkpoint of the first."""
    (tmp_path / "failing.py").write_text(
        "import os\n"
        "from facezoo import HOOKS\n"
        "from facezoo.training.hooks import Hook\n"
        "@HOOKS.register\n"
        "class Failing(Hook):\n"
        "    def after_step(self, trainer):\n"
        "        first = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'\n"
        "        if first and trainer.step == 4 and os.environ['RANK'] == '1':\n"
        "            raise ValueError('the cable was pulled')\n"
    )
    config = tmp_path / "elastic.yaml"
    config.write_text(
        "_BASE_: tiny_test\nimports: [failing]\n"
        "hooks: {failing: {type: Failing}, checkpoint: {every_steps: 3}}\n"
    )
    started = time.monotonic()
    words = ["-m", "facezoo.cli", "train", str(config), "--out", str(tmp_path / "run")]
    words += [*SHORT, "hooks.checkpoint.every_epochs=null"]
    done = subprocess.run(
        [*TORCHRUN, "--max-restarts", "1", *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 120  # torch alone would wait for minutes
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "Resumed from" in log and "after step 3" in log
    assert "Rank 1 failed: the cable was pulled" in done.stderr
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").open()]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_signal_to_the_launcher_saves_the_step(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = [*SHORT, "train.max_steps=100000", "hooks.checkpoint.every_epochs=null"]
    process = subprocess.Popen(
        [*TORCHRUN, "-m", "facezoo.cli", "train", "tiny_test", "--out", str(run), *words],
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while not (run / "metrics.jsonl").is_file() or not (run / "metrics.jsonl").stat().st_size:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    last = [json.loads(line)["step"] for line in (run / "metrics.jsonl").open()][-1]
    assert (run / "checkpoints" / "last").resolve().name == f"step_{last:06d}"
    assert f"SIGTERM ended the run after step {last}; go on with: facezoo train" in errors


def test_batch_is_shared_equally() -> None:
    settings = TrainSettings(max_steps=1, accumulate=2)
    settings.check_batch_size(8, 4)
    with pytest.raises(ConfigError, match=r"batch_size \(8\).*3 processes times.*accumulate \(2\)"):
        settings.check_batch_size(8, 3)


def test_synchronised_batch_norm_needs_gpus() -> None:
    model = torch.nn.BatchNorm2d(3)
    with pytest.raises(ConfigError, match=r"train\.sync_batch_norm needs GPUs.*cpu"):
        distributed.with_shared_batch_norm(model, torch.device("cpu"))
    converted = distributed.with_shared_batch_norm(model, torch.device("cuda"))
    assert isinstance(converted, torch.nn.SyncBatchNorm)


def test_a_run_that_may_restart_needs_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facezoo.runs.run import train

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "2")
    with pytest.raises(ConfigError, match="name it with --out"):
        train("tiny_test")


def test_a_restarted_run_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SLURM and torchrun say how often they have started it."""
    from facezoo.runs.run import train

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    small = [*SHORT, "data.batch_size=2", "train.max_steps=2"]
    assert train("tiny_test", overrides=small, out="run").metrics["epoch"] == 0.25
    assert train("tiny_test", overrides=["train.max_steps=3"], out="run").metrics["epoch"] == 0.375
    # It is further on than the checkpoint that the first start was given.
    again = ["train.max_steps=4"]
    first = "run/checkpoints/step_000002"
    assert train("tiny_test", overrides=again, out="run", resume=first).metrics["epoch"] == 0.5
    assert [row["step"] for row in read_metrics(Path("run/metrics.jsonl"))] == [1, 2, 3, 4]


def test_in_one_process_everything_stays_as_it_is() -> None:
    tensor = torch.arange(3.0)
    assert distributed.sum_over_ranks(tensor) is tensor
    assert distributed.gather("x") == ["x"] and distributed.from_main("x") == "x"
    assert distributed.any_rank(True) and not distributed.any_rank(False)
    assert (distributed.share().rank, distributed.share().world_size) == (0, 1)
