"""``tools/replay.py``: what it says of a step that failed in a real run, and bad files."""

from __future__ import annotations

import json
import math
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import util
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facezoo.builder import build_model
from facezoo.config.config import load_config
from facezoo.data.build_data import build_dataset
from facezoo.data.loading.loader import train_stream
from facezoo.data.transforms.transform import Transform
from facezoo.errors import CheckpointError
from facezoo.registry import TRANSFORMS
from facezoo.runs.run import train
from facezoo.structures import Batch, Sample, Targets
from facezoo.training.update import NonFiniteLossError, Update, save_bad_batch

PROJECT = Path(__file__).resolve().parents[2]
SMALL = [
    "train.max_steps=3",
    "data.batch_size=2",
    "data.train.dataset.num_images=8",
    "hooks.evaluation=null",
    "hooks.tensorboard=null",
    "hooks.checkpoint.best=null",
]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    specification = util.spec_from_file_location("replay", PROJECT / "tools/replay.py")
    assert specification is not None and specification.loader is not None
    module = util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Spoil(Transform):
    """Puts the landmarks of one image so far away that their loss overflows, and inverts a box."""

    def __init__(self, far_away: str, inverted: str) -> None:
        self.far_away = far_away
        self.inverted = inverted

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        boxes, landmarks = sample.boxes.copy(), sample.landmarks.copy()
        if sample.image_id == self.far_away:
            landmarks[:] = 3e38
        if sample.image_id == self.inverted:
            boxes[0, 2] = boxes[0, 0] - 1
        return replace(sample, boxes=boxes, landmarks=landmarks)


def batches(count: int) -> list[Batch]:
    """The first batches of the small run."""
    config = load_config("tiny_test", SMALL)
    return list(islice(train_stream(*build_dataset(config, "train"), 2, 0), count))


def saved(path: Path, model: nn.Module | None = None) -> Path:
    """Saves a sound batch with weights, by default those of a new model."""
    torch.manual_seed(0)
    save_bad_batch(path, model or build_model("tiny_test"), batches(1)[0], 7)
    return path


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each update of a run began with, and the loss terms it gave."""
    seen: list[dict[str, Any]] = []
    original = Update.__call__

    def spy(self: Update, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        before = {name: one.clone() for name, one in self.model.state_dict().items()}
        losses, bad = original(self, batch)
        seen.append({"batch": batch, "weights": before, "losses": losses})
        return losses, bad

    monkeypatch.setattr(Update, "__call__", spy)
    return seen


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failed_step_is_saved_and_taken_apart(
    workers: int,
    tool: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    updates: list[dict[str, Any]],
    capsys: pytest.CaptureFixture,
) -> None:
    far_away, inverted = batches(3)[2].ids
    monkeypatch.setitem(TRANSFORMS._obj_map, "Spoil", Spoil)  # as a plug-in registers it
    spoil = f"{{type: Spoil, far_away: {far_away}, inverted: {inverted}}}"
    transforms = f"data.train.transforms=[{{type: Flip, p: 0.5}}, {spoil}]"
    overrides = [*SMALL, f"data.workers={workers}", transforms]
    with pytest.raises(NonFiniteLossError, match=r"step 3 \(class .*landmark inf"):
        train("tiny_test", overrides=overrides, out=tmp_path / "run")
    file = tmp_path / "run/replay/step_000003_rank0.safetensors"
    assert f"python tools/replay.py {tmp_path / 'run'} {file}" in (
        tmp_path / "run/log.txt"
    ).read_text().replace("\n", "")

    batch, weights, step = tool.read_batch(file)
    failed = updates[-1]
    assert (len(updates), step, batch.ids) == (3, 3, (far_away, inverted))
    for name in Targets.__dataclass_fields__:
        assert torch.equal(getattr(batch.targets, name), getattr(failed["batch"].targets, name))
    assert torch.equal(batch.images, failed["batch"].images)
    for name, _ in build_model("tiny_test").named_parameters():
        assert torch.equal(weights[name], failed["weights"][name])

    capsys.readouterr()
    assert tool.replay(str(tmp_path / "run"), file, [], False) is False
    printed = capsys.readouterr().out
    assert "weights that are not finite: none" in printed
    assert f"{inverted}: face 0 has a box without area: [" in printed
    assert "first output that is not finite: head.landmark_loss" in printed
    lines = {line.split(": ")[0].strip(): line for line in printed.splitlines()}
    assert "landmark inf" in lines[far_away] and "inf" not in lines[inverted]
    assert tool.in_words(failed["losses"]) in printed.splitlines()[-1]


@pytest.mark.parametrize("overrides", [[], ["train.precision=bf16"], ["train.channels_last=false"]])
def test_a_sound_step_has_the_losses_of_the_trainer(
    overrides: list[str],
    tool: ModuleType,
    tmp_path: Path,
    updates: list[dict[str, Any]],
    capsys: pytest.CaptureFixture,
) -> None:
    train("tiny_test", overrides=[*SMALL, *overrides, "train.max_steps=1"], out=tmp_path / "run")
    (first,) = updates
    model = build_model("tiny_test")
    model.load_state_dict(first["weights"])
    file = tmp_path / "x.safetensors"
    save_bad_batch(file, model, first["batch"], 1)
    capsys.readouterr()
    before = sorted(tmp_path.rglob("*"))
    assert tool.replay("tiny_test", file, overrides, False) is True
    assert sorted(tmp_path.rglob("*")) == before
    printed = capsys.readouterr().out
    assert tool.in_words(first["losses"]) in printed.splitlines()[-1]
    assert printed.count(": none") == 4


@pytest.mark.parametrize("kind", [math.inf, math.nan])
@pytest.mark.parametrize("place", ["first", "middle"])
def test_the_first_module_is_that_of_the_bad_weight(
    kind: float, place: str, tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model = build_model("tiny_test")
    convolutions = [name for name, one in model.named_modules() if isinstance(one, nn.Conv2d)]
    name = convolutions[0 if place == "first" else len(convolutions) // 2]
    with torch.no_grad():
        model.get_submodule(name).weight[0, 0, 0, 0] = kind
    assert not tool.replay("tiny_test", saved(tmp_path / "x.safetensors", model), [], False)
    printed = capsys.readouterr().out
    assert f"  {name}.weight: 1 values\n" in printed
    assert f"first output that is not finite: {name}\n" in printed
    assert "gradients that are not finite: none" not in printed


def test_a_module_is_named_for_what_it_does_between_its_parts(tool: ModuleType) -> None:
    class Divides(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = nn.Identity()

        def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
            return {"out": [self.part(x) / 0]}

    class Reads(nn.Module):
        def forward(self, x: dict[str, list[Tensor]]) -> Tensor:
            return x["out"][0]

    model = nn.Sequential(nn.Identity(), Divides(), Reads())
    with tool.modules_not_finite(model) as names:
        model(torch.ones(2))
    assert names == ["1", "2"]


def test_statistics_that_the_failed_step_spoilt_condemn_no_image(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    model = build_model("tiny_test")
    norm = next(one for one in model.modules() if isinstance(one, nn.BatchNorm2d))
    assert norm.running_mean is not None
    norm.running_mean[:] = math.nan
    assert tool.replay("tiny_test", saved(tmp_path / "x.safetensors", model), [], False)
    printed = capsys.readouterr().out
    assert "may have spoilt this statistic" in printed and " nan" not in printed


def test_every_kind_of_bad_target_is_named(
    tool: ModuleType, batch_of: Callable[[int, int], Batch]
) -> None:
    batch = batch_of(0, 3)  # images of 8 x 8 pixels, 4 faces
    targets = Targets(
        boxes=torch.tensor([1.0, 1, 3, 3]).repeat(3, 4, 1),
        valid=torch.tensor([[True, True, True, False]] * 3),
        ignore=torch.zeros(3, 4, dtype=torch.bool),
        labels=torch.zeros(3, 4, dtype=torch.int64),
        landmarks=torch.zeros(3, 4, 5, 2),
        landmarks_valid=torch.ones(3, 4, 5, dtype=torch.bool),
    )
    assert tool.bad_targets(replace(batch, targets=targets)) == []
    targets.boxes[0, 0, 1] = math.inf
    targets.boxes[0, 1] = torch.tensor([3.0, 1, 3, 3])
    targets.boxes[1, 0] = torch.tensor([3.0, 5, 4, 3])
    targets.boxes[1, 1] = torch.tensor([8.0, 1, 9, 3])
    targets.boxes[1, 2] = torch.tensor([7.0, 7, 9, 9])  # reaches beyond, which is no problem
    targets.landmarks[2, 2, 4, 0] = math.nan
    targets.boxes[2, 3, 0] = math.nan
    first, second, third = batch.ids
    found = tool.bad_targets(replace(batch, targets=targets))
    assert [one.rpartition(": ")[0] for one in found] == [
        f"{first}: face 0 has a box that is not finite",
        f"{first}: face 1 has a box without area",
        f"{second}: face 0 has a box without area",
        f"{second}: face 1 has a box outside of the image (8 x 8 px)",
        f"{third}: face 2 has a landmark that is marked as known and is not finite",
        f"{third}: face 3 has a value that is not finite where nothing is annotated",
    ]
    assert found[3].endswith(": [8.0, 1.0, 9.0, 3.0]")


def test_a_file_that_holds_no_batch_is_refused(tool: ModuleType, tmp_path: Path) -> None:
    sound = saved(tmp_path / "sound.safetensors")
    tensors = load_file(sound)
    (tmp_path / "cut.safetensors").write_bytes(sound.read_bytes()[:-100])
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps({"a": 1}))
    save_file({"weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    save_file(tensors, tmp_path / "unmarked.safetensors", {"step": "7"})
    ids = json.dumps(["a", "b", "c"])
    save_file(tensors, tmp_path / "three.safetensors", {"step": "7", "ids": ids})
    for name, words in {
        "gone.safetensors": "There is no weights file",
        "cut.safetensors": "is truncated or no safetensors file",
        "pickle.safetensors": "is truncated or no safetensors file",
        "state.pt": r"holds no batch: give a \.safetensors",
        "weights.safetensors": "holds no batch of a training",
        "unmarked.safetensors": "holds no batch of a training",
        "three.safetensors": "holds no batch of a training",
    }.items():
        with pytest.raises(CheckpointError, match=words) as caught:
            tool.replay("tiny_test", tmp_path / name, [], False)
        assert str(caught.value).count("\n") == 0
    with pytest.raises(CheckpointError, match="is of another architecture"):
        tool.replay("tiny_test", sound, ["model.neck.channels=8"], False)


def test_nothing_is_downloaded(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    def spy(config: Any) -> nn.Module:
        built.append(config.get("model.backbone.pretrained"))
        return build_model("tiny_test")

    monkeypatch.setattr(tool, "build_model", spy)
    backbone = "model.backbone={type: timm.resnet18, pretrained: true}"
    assert tool.replay("tiny_test", saved(tmp_path / "x.safetensors"), [backbone], False)
    assert built == [False]


def test_the_command_line_of_the_tool(tool: ModuleType, tmp_path: Path) -> None:
    import subprocess

    words = [sys.executable, str(PROJECT / "tools/replay.py"), "tiny_test"]
    words += [str(tmp_path / "gone.safetensors"), "train.precision=bf16"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("replay.py: There is no weights file")
