import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from facezoo.config.config import load_config
from facezoo.errors import CheckpointError
from facezoo.training.checkpoint import load_checkpoint, read_state, take_snapshot, write_snapshot
from facezoo.training.checkpoint_files import find_checkpoint, new_folder, point
from facezoo.training.hooks.checkpointing import Checkpoint
from facezoo.training.hooks.ema import EMA
from facezoo.training.process import generators, set_generators
from facezoo.training.trainer import Trainer

MakeTrainer = Callable[..., Trainer]


def hooks(**checkpoint: object) -> dict[str, object]:
    return {"ema": EMA(decay=0.9), "checkpoint": Checkpoint(best=None, **checkpoint)}


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_resume_is_exact(
    make_trainer: MakeTrainer, toy: type[nn.Module], tmp_path: Path, optimizer: str, precision: str
) -> None:
    """2N steps, and N steps + a fresh trainer that goes on: every bit is the same."""

    def build(folder: Path) -> Trainer:
        return make_trainer(
            hooks(every_steps=5, keep=9),
            steps=10,
            model=toy(dropout=0.5, batch_norm=True).to(memory_format=torch.channels_last),
            folder=folder,
            optimizer=optimizer,
            precision=precision,
        )

    straight = build(tmp_path / "straight")
    straight.fit()

    resumed = build(tmp_path / "resumed")
    random.seed(99), np.random.seed(99), torch.manual_seed(99)
    load_checkpoint(resumed, tmp_path / "straight" / "checkpoints" / "step_000005")
    assert resumed.step == 5
    resumed.fit()

    for name in ("model.safetensors", "raw.safetensors"):
        expected = load_file(tmp_path / "straight" / "checkpoints" / "last" / name)
        found = load_file(tmp_path / "resumed" / "checkpoints" / "last" / name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    expected_state = read_state(tmp_path / "straight" / "checkpoints" / "last" / "state.pt")
    found_state = read_state(tmp_path / "resumed" / "checkpoints" / "last" / "state.pt")
    expected_state["metrics"] = found_state["metrics"] = None  # they hold times
    assert_same(expected_state, found_state)


def assert_same(expected: object, found: object) -> None:
    if isinstance(expected, torch.Tensor):
        assert torch.equal(expected, found)
    elif isinstance(expected, dict):
        assert expected.keys() == found.keys()
        for key in expected:
            assert_same(expected[key], found[key])
    elif isinstance(expected, (list, tuple)):
        assert len(expected) == len(found)
        for one, other in zip(expected, found, strict=True):
            assert_same(one, other)
    else:
        assert expected == found


def test_weights_are_the_average_and_raw_ones_are_kept(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    trainer = make_trainer(hooks())
    trainer.fit()
    last = tmp_path / "checkpoints" / "last"
    average = trainer.averaged.state_dict()
    raw = trainer.model.state_dict()
    assert all(torch.equal(average[k], v) for k, v in load_file(last / "model.safetensors").items())
    assert all(torch.equal(raw[k], v) for k, v in load_file(last / "raw.safetensors").items())
    assert not torch.equal(average["out.weight"], raw["out.weight"])


def test_without_average_there_is_one_set_of_weights(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    make_trainer({"checkpoint": Checkpoint(best=None)}).fit()
    names = {path.name for path in (tmp_path / "checkpoints" / "last").iterdir()}
    assert names == {"model.safetensors", "state.pt", "config.yaml", "digests.json"}


def test_state_is_plain(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer(hooks()).fit()
    state = torch.load(tmp_path / "checkpoints" / "last" / "state.pt", weights_only=True)
    assert state["step"] == 6
    assert state["config"]["model"] == {"type": "Toy"}
    assert (state["name"], state["note"]) == ("config", "")


def test_a_checkpoint_of_another_architecture_is_refused(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    class Wider(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Linear(3, 3)

    make_trainer(hooks()).fit()
    with pytest.raises(CheckpointError, match="other"):
        load_checkpoint(make_trainer(model=Wider()), tmp_path / "checkpoints" / "last")


def test_another_optimizer_is_refused(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer(hooks()).fit()
    trainer = make_trainer(hooks())
    parameters = list(trainer.model.parameters())
    trainer.optimizer = torch.optim.SGD([{"params": parameters[:1]}, {"params": parameters[1:]}])
    with pytest.raises(CheckpointError, match="another optimizer"):
        load_checkpoint(trainer, tmp_path / "checkpoints" / "last")


def test_arguments_of_the_optimizer_are_those_of_the_config(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    """A resume that changes the weight decay changes it; the learning rate is the schedule's."""
    make_trainer(hooks(every_steps=3, keep=9)).fit()
    trainer = make_trainer(hooks(), lr=1.0)
    for group in trainer.optimizer.param_groups:
        group["weight_decay"] = 0.5
    load_checkpoint(trainer, tmp_path / "checkpoints" / "step_000003")
    assert trainer.optimizer.param_groups[0]["weight_decay"] == 0.5
    trainer.fit()
    expected = trainer.schedule.factor((5 + 0.5) / 6)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(expected)


@pytest.mark.parametrize(("before", "after"), [("fp32", "fp16"), ("fp16", "bf16")])
def test_precision_may_change_on_the_way(
    make_trainer: MakeTrainer, tmp_path: Path, before: str, after: str
) -> None:
    make_trainer(hooks(every_steps=3, keep=9), precision=before).fit()
    trainer = make_trainer(hooks(), precision=after)
    load_checkpoint(trainer, tmp_path / "checkpoints" / "step_000003")
    trainer.fit()
    assert trainer.step == 6


def test_what_may_differ_is_said(
    make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_trainer(hooks()).fit()
    last = tmp_path / "checkpoints" / "last"
    load_checkpoint(make_trainer(hooks()), last)
    assert "not to the last bit" not in caplog.text
    state = torch.load(last / "state.pt", weights_only=True)
    state["made_with"] |= {"processes": 4, "torch": "2.6.0"}
    torch.save(state, last / "state.pt")
    (last / "digests.json").unlink()
    load_checkpoint(make_trainer(hooks()), last)
    (line,) = [one for one in caplog.messages if "not to the last bit" in one]
    assert "same samples" in line
    assert "processes 4 -> 1" in line and f"torch 2.6.0 -> {torch.__version__}" in line


def test_the_config_of_a_checkpoint_keeps_its_references(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    trainer = make_trainer(hooks())
    trainer.config = load_config(
        {
            "data": {"image_size": 64, "root": "1e-3"},
            "model": {"type": "Toy", "size": "${data.image_size}"},
        }
    )
    trainer.fit()
    carried = tmp_path / "checkpoints" / "last" / "config.yaml"
    found = load_config(carried, ["data.image_size=320"])
    assert found["model.size"] == 320
    assert found["data.root"] == "1e-3"


def test_folders_of_other_names_are_passed_over(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    """Copies that a user made, and what a killed process left half written."""
    checkpoints = tmp_path / "checkpoints"
    for name in ("step_000120 copy", "step_one", ".step_000002.new", ".step_000002.old"):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / "state.pt").write_bytes(b"half")
    make_trainer(hooks(every_steps=3, keep=1)).fit()
    names = {path.name for path in checkpoints.iterdir()}
    assert names == {"step_000120 copy", "step_one", "step_000006", "last"}
    (checkpoints / "last").unlink()
    assert find_checkpoint(tmp_path) == checkpoints / "step_000006"


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "missing", "pickle", "version"])
def test_a_damaged_state_is_one_sentence(
    make_trainer: MakeTrainer, tmp_path: Path, damage: str
) -> None:
    make_trainer(hooks()).fit()
    path = (tmp_path / "checkpoints" / "last").resolve() / "state.pt"
    if damage == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    elif damage == "missing":
        path.unlink()
    elif damage == "pickle":
        torch.save({"format": 1, "run": Toxic(tmp_path / "executed")}, path)
    elif damage == "version":
        torch.save({"format": 99}, path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"not a checkpoint")
    with pytest.raises(CheckpointError) as caught:
        read_state(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


class Toxic:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_generators_go_on_where_they_were() -> None:
    states = generators()
    drawn = (random.random(), np.random.rand(), np.random.randn(), torch.rand(3))
    set_generators(states)
    again = (random.random(), np.random.rand(), np.random.randn(), torch.rand(3))
    assert drawn[:3] == again[:3] and torch.equal(drawn[3], again[3])


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "step_000001"
    with pytest.raises(OSError, match="disk"), new_folder(folder) as temporary:
        (temporary / "half").write_text("half")
        assert not folder.exists()
        raise OSError("disk is full")
    assert list(tmp_path.iterdir()) == []

    for text in ("first", "second"):
        with new_folder(folder) as temporary:
            (temporary / "file").write_text(text)
        assert (folder / "file").read_text() == text
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("links", [True, False])
def test_an_entry_moves_from_folder_to_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no privilege")

    if not links:
        monkeypatch.setattr(Path, "symlink_to", refuse)
    entry = tmp_path / "last"
    for name in ("step_1", "step_2", "step_2"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "file").write_text(name)
        point(entry, tmp_path / name)
        assert (entry / "file").read_text() == name
        assert entry.is_symlink() is links
    assert {path.name for path in tmp_path.iterdir()} == {"last", "step_1", "step_2"}


def test_resume_finds_the_last_checkpoint(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer(hooks(every_steps=2, keep=5)).fit()
    checkpoints = tmp_path / "checkpoints"
    assert find_checkpoint(tmp_path).resolve() == (checkpoints / "step_000006").resolve()
    assert find_checkpoint(checkpoints / "step_000002") == checkpoints / "step_000002"
    (checkpoints / "last").unlink()
    shutil.rmtree(checkpoints / "step_000006")
    assert find_checkpoint(tmp_path) == checkpoints / "step_000004"
    with pytest.raises(CheckpointError, match="no checkpoint"):
        find_checkpoint(tmp_path / "elsewhere")


def test_nothing_is_saved_after_a_bad_loss(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.meter.update(
        1, next(trainer.open_stream(0)), {"box": torch.tensor(float("nan"))}, torch.tensor(True)
    )
    with pytest.raises(Exception, match="not finite"):
        write_snapshot(take_snapshot(trainer), tmp_path / "step_000001")
    assert not (tmp_path / "step_000001").exists()
