"""Runs of a tiny network: what a resume goes on with, where it writes, what a start refuses."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from facezoo.config.config import load_config
from facezoo.errors import CheckpointError, ConfigError, DataError, FacezooError
from facezoo.runs.run import train, train_many
from facezoo.runs.run_config import open_config
from facezoo.training.checkpoint import read_state

SMALL = [
    "train.max_steps=2",
    "data.batch_size=2",
    "data.train.dataset.num_images=4",
    "hooks.evaluation=null",
    "hooks.tensorboard=null",
    "hooks.early_stopping=null",
    "hooks.checkpoint.best=null",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*overrides: str, config: Any = "tiny_test", **options: Any) -> Any:
    return train(config, overrides=[*SMALL, *overrides], out=options.pop("out", "run"), **options)


def resume(*overrides: str, config: Any = "tiny_test", out: Any = "run", **options: Any) -> Any:
    options.setdefault("resume", True)
    return train(config, overrides=overrides, out=out, **options)


def test_resume_goes_on_with_the_config_of_the_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "facezoo")
    run("optimizer.weight_decay=0.25", "schedule.warmup=0.5")
    caplog.clear()
    resume("train.max_steps=3", "optimizer.weight_decay=0.125")
    kept = load_config(Path("run/config.yaml"))
    assert (kept["schedule.warmup"], kept["train.max_steps"]) == (0.5, 3)
    assert kept["data.train.dataset.num_images"] == 4
    assert "Changed from here on: train.max_steps: 2 -> 3" in caplog.messages
    assert "Changed from here on: optimizer.weight_decay: 0.25 -> 0.125" in caplog.messages
    (unused,) = [one for one in caplog.messages if "keeps its own settings" in one]
    assert "where tiny_test has others" in unused and "schedule.warmup: 0.05 -> 0.5" in unused
    state = read_state(Path("run/checkpoints/last/state.pt"))
    assert state["step"] == 3
    assert state["optimizer"]["param_groups"][0]["weight_decay"] == 0.125
    assert (
        load_config(Path("run/checkpoints/last/config.yaml")).data == kept.data == state["config"]
    )


@pytest.mark.parametrize(
    "override",
    ["data.batch_size=4", "train.seed=1", "model.neck.channels=8", "optimizer.type=torch.SGD"],
)
def test_resume_refuses_what_cannot_change(override: str) -> None:
    run()
    path, _, value = override.partition("=")
    with pytest.raises(ConfigError) as caught:
        resume(override)
    (sentence,) = caught.value.problems
    assert path in sentence and f"-> {value.strip()}" in sentence.replace("'", "")
    assert "--init-from run/checkpoints/last/model.safetensors" in sentence


def test_resume_refuses_the_run_of_another_model() -> None:
    run()
    with pytest.raises(ConfigError, match=r"run of tiny_test, and quickstart is another model"):
        resume(config="quickstart")


def test_resume_needs_no_weights_of_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def spy(config: Any, *overrides: str) -> Any:
        built.append(config.get("model.backbone.pretrained"))
        return build_model(
            load_config(config, ["model.backbone={type: MobileNetV1, width: 0.0625}"])
        )

    from facezoo.builder import build_model

    monkeypatch.setattr("facezoo.runs.build_trainer.build_model", spy)
    run("model.backbone={type: timm.resnet18, pretrained: true}")
    resume("train.max_steps=3")
    assert built == [True, False]
    assert (
        load_config(Path("run/checkpoints/last/config.yaml"))["model.backbone.pretrained"] is True
    )


@pytest.mark.parametrize("named", [True, False])
def test_plug_ins_of_a_run_need_to_be_named_or_allowed(here: Path, named: bool) -> None:
    plugin = f"plugin_of_a_run_{named}".lower()
    folder = here / "mine"
    folder.mkdir()
    (folder / f"{plugin}.py").write_text("")
    (folder / "mine.yaml").write_text(f"_BASE_: tiny_test\nimports: [{plugin}]\n")
    run(config="mine/mine.yaml")
    import sys

    del sys.modules[plugin]  # as in a new process
    sys.path.remove(str(folder))
    if named:
        assert resume("train.max_steps=3", config="mine/mine.yaml").metrics["epoch"] == 1.5
        return
    with pytest.raises(ConfigError, match="allow-imports"):
        resume("train.max_steps=3", config="run")
    with pytest.raises(ConfigError, match="allow-imports"):
        resume("train.max_steps=3", config="tiny_test")


def test_a_checkpoint_alone_needs_a_folder_to_go_on_in(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    (here / "run/checkpoints/last").resolve().rename(here / "copied")
    with pytest.raises(ConfigError, match="say with --out where"):
        resume(resume="copied", out=None)
    assert resume("train.max_steps=3", resume="copied", out="other").folder == Path("other")
    monkeypatch.chdir("other/checkpoints")
    assert resume("train.max_steps=4", resume="last", out=None).folder == here / "other"
    assert (here / "other/checkpoints/step_000004").is_dir()


def test_resume_writes_into_no_other_run() -> None:
    run(out="a")
    run(out="b")
    with pytest.raises(ConfigError, match="b holds files already"):
        resume(resume="a", out="b")
    assert resume("train.max_steps=3", resume="a", out="c").folder == Path("c")
    assert not Path("a/checkpoints/step_000003").exists()
    assert resume("train.max_steps=3", resume="a", out="./a").folder == Path("a")


def test_a_failed_start_does_not_stand_in_the_way() -> None:
    missing = "data.train={_delete_: true, dataset: {type: WiderFace, root: gone, split: train}}"
    with pytest.raises(DataError, match="gone"):
        run(missing)
    run()
    with pytest.raises(ConfigError, match="holds files already"):
        run()
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds files already"):
        run(out="mine")


def test_sample_runs_and_real_ones_are_kept_apart() -> None:
    real = run(out=None).folder
    sample = run("model.neck.channels=8", out=None, sample=True).folder
    assert (real.parent, sample.parent) == (Path("runs/tiny_test"), Path("runs/tiny_test-sample"))
    assert resume("train.max_steps=3", out=None).folder == real
    with pytest.raises(ConfigError, match="is of a sample run, and a real run cannot go on"):
        resume(out=sample)
    with pytest.raises(ConfigError, match="is of a real run, and a sample run cannot go on"):
        resume(out=real, sample=True)


def test_the_latest_run_with_a_checkpoint_is_resumed() -> None:
    first = run(out=None).folder
    Path("runs/tiny_test/9999/checkpoints/.step_000001.new").mkdir(parents=True)
    assert resume("train.max_steps=3", out=None).folder == first
    with pytest.raises(ConfigError, match="no run of quickstart to resume"):
        resume(config="quickstart", out=None)
    with pytest.raises(CheckpointError, match="no checkpoint in nowhere"):
        resume(out="nowhere")


def write_pair() -> list[str]:
    for name in ("a", "b"):
        Path(f"{name}.yaml").write_text("_BASE_: tiny_test\n")
    return ["a.yaml", "b.yaml"]


def test_of_several_those_that_did_not_begin_start_anew() -> None:
    pair = write_pair()
    with pytest.raises(ConfigError, match="no run of any of a, b to resume"):
        train_many(pair, overrides=SMALL, out="out", resume=True)
    train("a.yaml", overrides=SMALL, out="out/a")
    results = train_many(pair, overrides=[*SMALL, "train.max_steps=3"], out="out", resume=True)
    assert [one.folder for one in results] == [Path("out/a"), Path("out/b")]
    logs = [Path(f"out/{name}/log.txt").read_text() for name in ("a", "b")]
    assert ["Resumed from" in log for log in logs] == [True, False]


def test_of_several_one_that_failed_before_its_first_checkpoint_is_begun_anew() -> None:
    pair, options = write_pair(), {"out": "out", "resume": True}
    Path("b.yaml").write_text(
        "_BASE_: tiny_test\noptimizer: {lr: 1e30}\ntrain: {log_every: 1, max_skipped: 0}\n"
    )
    first, second = train_many(pair, overrides=SMALL, out="out")
    assert not first.failure and "not finite" in second.failure
    assert not Path("out/b/checkpoints").exists() and Path("out/b/metrics.jsonl").stat().st_size
    log = Path("out/b/log.txt").read_text()
    kept = Path("out/a/checkpoints/last/model.safetensors").read_bytes()

    again = train_many(pair, overrides=[*SMALL, "optimizer.lr=0.001"], **options)
    assert [one.failure for one in again] == ["", ""]
    assert Path("out/a/checkpoints/last/model.safetensors").read_bytes() == kept
    assert read_state(Path("out/b/checkpoints/last/state.pt"))["step"] == 2
    assert [*Path("out/b/replay").iterdir()]
    log_now = Path("out/b/log.txt").read_text()
    assert log_now.startswith(log)
    assert "Begun anew in out/b, where a run ended before its first checkpoint." in log_now


def test_a_folder_of_another_model_is_not_begun_anew() -> None:
    pair = write_pair()
    train("a.yaml", overrides=SMALL, out="out/a")
    Path("out/b").mkdir()
    Path("out/b/config.yaml").write_text(
        load_config("tiny_test", ["model.neck.channels=24"]).to_yaml()
    )
    Path("out/b/metrics.jsonl").write_text('{"step": 1, "train/loss": 1.0}\n')
    with pytest.raises(ConfigError, match="out/b holds files already"):
        train_many(pair, overrides=SMALL, out="out", resume=True)


def test_weights_to_start_from_are_for_those_of_several_that_begin() -> None:
    pair, start = write_pair(), train("tiny_test", overrides=SMALL, out="start").folder
    train("a.yaml", overrides=[*SMALL, "train.seed=1"], out="out/a")
    kept = Path("out/a/checkpoints/last/model.safetensors").read_bytes()
    weights = str(start / "checkpoints/last/model.safetensors")
    train_many(pair, overrides=SMALL, out="out", resume=True, init_from=weights)
    assert Path("out/a/checkpoints/last/model.safetensors").read_bytes() == kept
    logs = [Path(f"out/{name}/log.txt").read_text() for name in ("a", "b")]
    assert [weights in log for log in logs] == [False, True]


def test_several_are_checked_before_the_first_is_trained() -> None:
    pair = write_pair()
    Path("b.yaml").write_text("_BASE_: tiny_test\nmodel: {neck: {chanels: 8}}\n")
    with pytest.raises(ConfigError, match=r"^b: model\.neck\.chanels"):
        train_many(pair, overrides=SMALL, out="out")
    assert not Path("out").exists()


def test_a_misspelt_protocol_is_refused_before_the_first_step() -> None:
    with pytest.raises(ConfigError, match=r"evaluation\.protocol: .*vgaa.*\(command line\)"):
        run("evaluation.protocol=vgaa")
    assert not Path("run/checkpoints").exists()


def test_resume_and_init_from_exclude_each_other() -> None:
    with pytest.raises(FacezooError, match="either resume or init_from"):
        train("tiny_test", resume=True, init_from="w.safetensors")


def test_a_checkpoint_of_the_first_format_is_resumed() -> None:
    """It has no digests, knows one process, and nothing that its hooks are still owed."""
    import torch

    run()
    path = Path("run/checkpoints/last/state.pt").resolve()
    state = torch.load(path, weights_only=True)
    for name in ("pending", "name", "note"):
        del state[name]
    for name in ("bad", "skipped"):
        del state["window"][name]
    versions = state.pop("made_with")
    state |= {"format": 1, "versions": versions, "generators": state["generators"][0]}
    torch.save(state, path)
    (path.parent / "digests.json").unlink()
    assert resume("train.max_steps=3").folder == Path("run")
    kept = yaml.safe_load(Path("run/config.yaml").read_text())
    assert kept["train"]["max_steps"] == 3


def test_a_config_of_another_version_is_refused_with_both_versions() -> None:
    import torch

    import facezoo

    run()
    folder = Path("run/checkpoints/last").resolve()
    state = torch.load(folder / "state.pt", weights_only=True)
    state["made_with"]["facezoo"] = "0.0.1"
    torch.save(state, folder / "state.pt")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("type: FPN", "type: FPN\n    gone: 3"))
    (folder / "digests.json").unlink()
    with pytest.raises(ConfigError) as caught:
        resume("train.max_steps=3")
    (problem,) = caught.value.problems
    assert "gone" in problem
    assert f"made with facezoo 0.0.1, this is {facezoo.__version__}" in problem


def test_a_name_of_the_zoo_is_no_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny_test").mkdir()
    Path("tiny_test/config.yaml").write_text("_BASE_: retinaface_mnet025\n")
    assert open_config("tiny_test").data["train"]["max_steps"] == 16
    assert open_config("./tiny_test").data["data"]["image_size"] == 640


def test_a_run_that_is_done_says_so_and_stays_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = train("tiny_test", overrides=["train.max_steps=2"], out=tmp_path / "run")
    before = (first.folder / "config.yaml").read_text()
    with caplog.at_level(logging.INFO, logger="facezoo"):
        again = train(
            "tiny_test", overrides=["optimizer.lr=1e-4"], out=tmp_path / "run", resume=True
        )
    assert "Nothing is left to train: the run is at step 2 of 2" in caplog.text
    assert "Changed from here on" not in caplog.text
    assert again.metrics["val/loss"] == first.metrics["val/loss"]
    assert (first.folder / "config.yaml").read_text() == before
