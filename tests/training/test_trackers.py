"""W&B and MLflow, offline: what they hold after a run, after a failure and after a resume."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facezoo.errors import ConfigError
from facezoo.training.checkpoint import load_checkpoint
from facezoo.training.hook import Hook
from facezoo.training.hooks.checkpointing import Checkpoint
from facezoo.training.hooks.trackers import MLflow, WandB
from facezoo.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


class Shows(Hook):
    """Shows a picture after the second step."""

    def after_step(self, trainer: Trainer) -> None:
        if trainer.step == 2:
            trainer.show({"val/predictions": np.full((4, 6, 3), 100, np.uint8)})


class Fails(Hook):
    """Breaks before the fourth step."""

    def before_step(self, trainer: Trainer) -> None:
        if trainer.step == 3:
            raise ZeroDivisionError("on the way")


@pytest.fixture
def wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    library = pytest.importorskip("wandb", reason='needs pip install "facezoo[wandb]"')
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "wandb_home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    return library


@pytest.fixture
def mlflow() -> Any:
    reason = 'needs pip install "facezoo[mlflow]"'
    pytest.importorskip("sqlalchemy", reason=reason)
    return pytest.importorskip("mlflow", reason=reason)


def records(path: Path) -> list[Any]:
    """The records of a ``.wandb`` file: 7 bytes, then LevelDB's log format of 32 KiB blocks."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # the process that writes the file goes on for a moment after the run
    data, place, found, parts = path.read_bytes(), 7, [], b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:  # no header fits: the rest of the block is empty
            place += 32768 - place % 32768
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


def wandb_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


def history(path: Path) -> list[dict[str, Any]]:
    rows = [one.history for one in records(path) if one.WhichOneof("record_type") == "history"]
    return [
        {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row.item}
        for row in rows
    ]


def exit_code(path: Path) -> int:
    (end,) = (one.exit for one in records(path) if one.WhichOneof("record_type") == "exit")
    return end.exit_code


@pytest.mark.slow
def test_wandb_holds_the_run(wandb: Any, make_trainer: MakeTrainer, tmp_path: Path) -> None:
    hook = WandB(project="faces", name="first", mode="offline")
    make_trainer({"wandb": hook, "shows": Shows()}, steps=3).fit()
    (path,) = wandb_files(tmp_path)
    assert path.name == f"run-{hook.run_id}.wandb"
    rows = history(path)
    losses = [row for row in rows if "train/loss" in row]
    assert [row["step"] for row in losses] == [1, 2, 3]
    assert all(row["train/loss"] > 0 and "lr" in row for row in losses)
    (picture,) = [row for row in rows if "val/predictions/path" in row]
    assert picture["step"] == 2
    assert picture["val/predictions/_type"] == "image-file"
    assert (picture["val/predictions/width"], picture["val/predictions/height"]) == (6, 4)
    assert (path.parent / "files" / picture["val/predictions/path"]).is_file()
    run = next(one.run for one in records(path) if one.WhichOneof("record_type") == "run")
    assert (run.project, run.display_name) == ("faces", "first")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert config["model"] == {"type": "Toy"}
    metrics = [one.metric for one in records(path) if one.WhichOneof("record_type") == "metric"]
    assert ("*", "step") in [(one.glob_name, one.step_metric) for one in metrics]
    assert exit_code(path) == 0


@pytest.mark.slow
def test_wandb_goes_on_after_a_failure(
    wandb: Any, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    first, second = WandB(mode="offline"), WandB(mode="offline")
    hooks = {"wandb": first, "checkpoint": Checkpoint(every_steps=2, best=None), "fails": Fails()}
    with pytest.raises(ZeroDivisionError):
        make_trainer(hooks).fit()
    (failed,) = wandb_files(tmp_path)
    assert exit_code(failed) == 1
    again = tmp_path / "again"
    again.mkdir()
    resumed = make_trainer({"wandb": second}, folder=again)
    load_checkpoint(resumed, tmp_path / "checkpoints" / "step_000002")
    resumed.fit()
    (rest,) = wandb_files(again)
    assert second.run_id == first.run_id and rest.name == failed.name
    steps = [[row["step"] for row in history(path)] for path in (failed, rest)]
    assert steps == [[1, 2, 3], [3, 4, 5, 6]]
    assert exit_code(rest) == 0


def test_wandb_asks_to_go_on_where_somebody_answers(
    wandb: Any, make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def refuse(**arguments: Any) -> None:
        asked.update(arguments)
        raise wandb.errors.UsageError("No API key configured.\nUse `wandb login`.")

    monkeypatch.setattr(wandb, "init", refuse)
    hook = WandB()
    hook.load_state_dict({"run_id": "abc123"})
    with pytest.raises(ConfigError) as caught:
        make_trainer({"wandb": hook}).fit()
    (sentence,) = caught.value.problems
    assert "No API key configured. Use `wandb login`" in sentence and "mode: offline" in sentence
    assert (asked["id"], asked["resume"], asked["mode"]) == ("abc123", "allow", "online")


@pytest.mark.slow
def test_wandb_disabled_writes_nothing_and_keeps_the_run(
    wandb: Any, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    hook = WandB(mode="disabled")
    hook.load_state_dict({"run_id": "abc123"})
    make_trainer({"wandb": hook}, steps=2).fit()
    assert hook.state_dict() == {"run_id": "abc123"}
    assert wandb_files(tmp_path) == []


@pytest.mark.slow
def test_mlflow_holds_the_run(mlflow: Any, make_trainer: MakeTrainer, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'store.db'}"
    client = mlflow.MlflowClient(uri)
    client.create_experiment("faces", artifact_location=(tmp_path / "files").as_uri())
    hook = MLflow(uri, experiment="faces", name="first")
    trainer = make_trainer({"mlflow": hook, "shows": Shows()}, steps=3)
    trainer.note = "sample run"
    trainer.fit()
    (run,) = client.search_runs([client.get_experiment_by_name("faces").experiment_id])
    assert (run.info.run_id, run.info.run_name) == (hook.run_id, "first")
    assert run.info.status == "FINISHED"
    assert run.data.params["model.type"] == "Toy"
    assert run.data.tags["mlflow.note.content"] == "sample run"
    points = client.get_metric_history(hook.run_id, "train/loss")
    assert [point.step for point in points] == [1, 2, 3]
    assert points[-1].value == pytest.approx(trainer.metrics["train/loss"])
    assert {"lr", "train/loss_box", "epoch"} <= set(run.data.metrics)
    (config,) = (tmp_path / "files").rglob("config.yaml")
    assert config.read_text() == trainer.config.to_yaml()
    (picture,) = (tmp_path / "files").rglob("val*predictions*step+2*.png")
    assert picture.stat().st_size > 0


@pytest.mark.slow
def test_mlflow_goes_on_after_a_failure(
    mlflow: Any, make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uri = f"sqlite:///{tmp_path / 'store.db'}"
    client = mlflow.MlflowClient(uri)
    client.create_experiment("facezoo", artifact_location=(tmp_path / "files").as_uri())
    first = MLflow(uri)
    hooks = {"mlflow": first, "checkpoint": Checkpoint(every_steps=2, best=None), "fails": Fails()}
    with pytest.raises(ZeroDivisionError):
        make_trainer(hooks).fit()
    assert client.get_run(first.run_id).info.status == "FAILED"

    def resume(uri: str) -> MLflow:
        hook = MLflow(uri)
        resumed = make_trainer({"mlflow": hook})
        load_checkpoint(resumed, tmp_path / "checkpoints" / "step_000002")
        resumed.fit()
        return hook

    assert resume(uri).run_id == first.run_id
    run = client.get_run(first.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", tmp_path.name)
    points = client.get_metric_history(first.run_id, "train/loss")
    assert sorted(point.step for point in points) == [1, 2, 3, 3, 4, 5, 6]
    other = f"sqlite:///{tmp_path / 'other.db'}"
    mlflow.MlflowClient(other).create_experiment(
        "facezoo", artifact_location=(tmp_path / "other").as_uri()
    )
    assert resume(other).run_id != first.run_id
    assert f"MLflow has no run {first.run_id} any more" in caplog.text


@pytest.mark.slow
def test_a_store_that_takes_no_more_ends_no_run(
    mlflow: Any,
    make_trainer: MakeTrainer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow puts the files of an experiment that it makes

    class Leaves(Hook):
        def before_train(self, trainer: Trainer) -> None:
            def gone(*_: object, **__: object) -> None:
                raise mlflow.exceptions.MlflowException("the server is gone\nfor good")

            for name in ("log_batch", "log_image", "set_terminated"):
                monkeypatch.setattr(mlflow.MlflowClient, name, gone)

    hooks = {
        "mlflow": MLflow(f"sqlite:///{tmp_path / 'store.db'}"),
        "leaves": Leaves(),
        "shows": Shows(),
    }
    trainer = make_trainer(hooks, steps=2)
    trainer.fit()
    assert trainer.step == 2
    assert [one.message for one in caplog.records if one.name.startswith("facezoo")] == [
        f"MLflow did not take the {what} of step {step}: the server is gone for good"
        for what, step in (("metrics", 1), ("metrics", 2), ("pictures", 2), ("end", 2))
    ]


def test_a_store_that_is_none_is_one_sentence(mlflow: Any, make_trainer: MakeTrainer) -> None:
    with pytest.raises(ConfigError, match=r"MLflow cannot start .* tracking_uri") as caught:
        make_trainer({"mlflow": MLflow("nosuch://store")}).fit()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("hook", "extra"), [(WandB(), "wandb"), (MLflow(), "mlflow")])
def test_a_missing_library_is_one_sentence(
    hook: Hook, extra: str, make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, extra, None)
    trainer = make_trainer({"tracker": hook})
    with pytest.raises(ConfigError) as caught:
        trainer.fit()
    (sentence,) = caught.value.problems
    assert f'pip install "facezoo[{extra}]"' in sentence
    assert trainer.step == 0 and hook.rank_0_only


def test_the_extras_exist() -> None:
    setup = (Path(__file__).parents[2] / "setup.py").read_text()
    assert '"wandb": ["wandb' in setup and '"mlflow": ["mlflow-skinny' in setup
