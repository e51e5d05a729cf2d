"""``facezoo train --profile N``, and ``--replay``, which a script took over."""

from pathlib import Path

import pytest

from facezoo.cli import main
from facezoo.config.config import load_config

SMALL = [
    "train.max_steps=5",
    "data.batch_size=2",
    "data.train.dataset.num_images=4",
    "hooks.evaluation=null",
    "hooks.tensorboard=null",
    "hooks.checkpoint=null",
]


def test_replay_names_the_script_that_took_it_over(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "tiny_test", "--replay", "x.safetensors"]) == 2
    assert capsys.readouterr().err == (
        "facezoo: --replay is no longer an option; run: python tools/replay.py tiny_test "
        "x.safetensors\n"
    )


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
