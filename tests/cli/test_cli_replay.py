"""``facezoo train --replay FILE`` and ``--profile N``."""

from itertools import islice
from pathlib import Path

import pytest

from facezoo.cli import main
from facezoo.config.config import load_config
from facezoo.data.build_data import build_dataset
from facezoo.data.loading.loader import train_stream
from facezoo.factory import build_model
from facezoo.training.replay_file import save_replay

SMALL = [
    "train.max_steps=5",
    "data.batch_size=2",
    "data.train.dataset.num_images=4",
    "hooks.evaluation=null",
    "hooks.tensorboard=null",
    "hooks.checkpoint=null",
]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "kept" / "step_000007_rank0.safetensors"
    stream = train_stream(*build_dataset(load_config("tiny_test"), "train"), 2, 0)
    save_replay(path, build_model("tiny_test"), next(islice(stream, 1)), 7)
    return path


def test_a_replay_is_reported_and_writes_nothing(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", "tiny_test", "--replay", str(file), "train.precision=bf16"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("step 7, in bf16 on cpu\nimages: synthetic_0/")
    assert "landmark" in printed and "weights: sound" in printed
    assert printed.splitlines()[-1].startswith("Finite here in bf16 on cpu: the loss is ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "left_out"),
    [
        (["--resume"], "--resume"),
        (["--out", "x"], "--out"),
        (["--sample"], "--sample"),
        (["--init-from", "w.safetensors"], "--init-from"),
        (["--check"], "--check"),
        (["--print-config"], "--print-config"),
        (["--profile", "2"], "--profile"),
        (["--out", "x", "--sample"], "--out and --sample"),
    ],
)
def test_a_replay_takes_no_option_of_a_training(
    words: list[str], left_out: str, file: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "tiny_test", *words, "--replay", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"facezoo: --replay trains nothing; leave out {left_out}.\n"
    assert captured.out == ""


def test_a_replay_takes_one_config(file: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "tiny_test", "quickstart", "--replay", str(file)]) == 2
    assert "--replay takes one config, not tiny_test and quickstart" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "tiny_test", "--replay", str(tmp_path / "gone.safetensors")]) == 2
    printed = capsys.readouterr().err
    assert "There is no replay file" in printed and printed.count("\n") == 1


def test_profile_watches_steps_of_a_run(tmp_path: Path) -> None:
    words = ["train", "tiny_test", "--out", str(tmp_path / "run"), "--profile", "2", *SMALL]
    assert main(words) == 0
    assert (tmp_path / "run/profile/trace.json").is_file()
    assert load_config(tmp_path / "run/config.yaml")["hooks.profile"] == {
        "type": "Profile",
        "steps": 2,
    }


def test_profile_keeps_what_the_config_says_of_the_hook(capsys: pytest.CaptureFixture) -> None:
    own = "hooks.profile={type: Profile, steps: 9, skip: 1}"
    assert main(["train", "tiny_test", own, "--profile", "2", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert "skip: 1" in printed and "steps: 2" in printed and "steps: 9" not in printed


@pytest.mark.parametrize("steps", ["0", "-3"])
def test_profile_takes_at_least_one_step(steps: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "tiny_test", "--profile", steps]) == 2
    assert f"--profile is {steps}; profile at least 1 step" in capsys.readouterr().err
