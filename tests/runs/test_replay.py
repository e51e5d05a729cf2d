"""A step that fails in a real run, and what its replay says of it; files that are no replay."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from facezoo.config.config import load_config
from facezoo.data.build_data import build_dataset
from facezoo.data.loading.loader import train_stream
from facezoo.data.transforms.transform import Transform
from facezoo.errors import CheckpointError, ConfigError
from facezoo.factory import build_model
from facezoo.registry import TRANSFORMS
from facezoo.runs.replay import Replay, replay
from facezoo.runs.replay_probes import modules_not_finite, target_problems
from facezoo.runs.replay_report import conclusion, print_replay
from facezoo.runs.run import train
from facezoo.structures import Batch, Sample, Targets
from facezoo.training.meter import NonFiniteLossError
from facezoo.training.replay_file import load_replay, save_replay
from facezoo.training.update import Update

SMALL = [
    "train.max_steps=3",
    "data.batch_size=2",
    "data.train.dataset.num_images=8",
    "hooks.evaluation=null",
    "hooks.tensorboard=null",
    "hooks.checkpoint.best=null",
]


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


def kept(path: Path, model: nn.Module | None = None, batch: Batch | None = None) -> Path:
    """Keeps a batch with weights; by default a sound one with those of a new model."""
    torch.manual_seed(0)
    model = build_model("tiny_test") if model is None else model
    save_replay(path, model, batches(1)[0] if batch is None else batch, 7)
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return kept(tmp_path / "sound.safetensors")


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What each update of a run began with, and the loss terms it gave."""
    seen: list[dict[str, Any]] = []
    original = Update.__call__

    def spy(self: Update, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        before = {name: one.clone() for name, one in self.model.state_dict().items()}
        losses, bad = original(self, batch)
        values = {name: float(value) for name, value in losses.items()}
        seen.append({"batch": batch, "weights": before, "losses": values})
        return losses, bad

    monkeypatch.setattr(Update, "__call__", spy)
    return seen


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failed_step_is_kept_and_taken_apart(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: list[dict[str, Any]]
) -> None:
    far_away, inverted = batches(3)[2].ids

    monkeypatch.setitem(TRANSFORMS._obj_map, "Spoil", Spoil)  # as a plug-in registers it
    spoil = f"{{type: Spoil, far_away: {far_away}, inverted: {inverted}}}"
    transforms = f"data.train.transforms=[{{type: Flip, p: 0.5}}, {spoil}]"
    overrides = [*SMALL, f"data.workers={workers}", transforms]
    with pytest.raises(NonFiniteLossError, match=r"step 3 \(class .*landmark inf"):
        train("tiny_test", overrides=overrides, out=tmp_path / "run")
    file = tmp_path / "run/replay/step_000003_rank0.safetensors"

    file_holds, failed = load_replay(file), updates[-1]
    assert len(updates) == 3
    for name in Targets.__dataclass_fields__:
        theirs = getattr(failed["batch"].targets, name)
        assert torch.equal(getattr(file_holds.batch.targets, name), theirs)
    assert torch.equal(file_holds.batch.images, failed["batch"].images)
    for name, _ in build_model("tiny_test").named_parameters():
        assert torch.equal(file_holds.weights[name], failed["weights"][name])

    found = replay(tmp_path / "run", file)
    assert (found.step, found.ids, found.finite) == (3, (far_away, inverted), False)
    assert [name for name, one in found.losses.items() if not one.finite] == ["landmark"]
    assert {name: one.value for name, one in found.losses.items()} == failed["losses"]
    assert [one.image_id for one in found.suspects] == [far_away]
    assert found.first_module == "head.landmark_loss"
    assert found.weights == ()
    (problem,) = found.targets
    assert problem.startswith(f"{inverted}: face 0 has a box without area: [")
    last = conclusion(found)
    assert last.startswith("Not finite again in fp32 on cpu: landmark inf, first at head.land")
    assert far_away in last and "targets are not sound" in last


@pytest.mark.parametrize(
    "overrides",
    [[], ["train.accumulate=2"], ["train.precision=bf16"], ["train.channels_last=false"]],
)
def test_a_sound_step_is_that_of_the_trainer_to_the_last_digit(
    overrides: list[str], tmp_path: Path, updates: list[dict[str, Any]]
) -> None:
    train("tiny_test", overrides=[*SMALL, *overrides, "train.max_steps=2"], out=tmp_path / "run")
    second = updates[1]
    model = build_model("tiny_test")
    model.load_state_dict(second["weights"])
    found = replay("tiny_test", kept(tmp_path / "x.safetensors", model, second["batch"]), overrides)
    assert {name: one.value for name, one in found.losses.items()} == second["losses"]
    assert found.finite and math.isfinite(found.gradient_norm) and found.gradient_norm > 0
    assert (found.first_module, found.gradients, found.weights, found.targets) == (None, (), (), ())
    assert conclusion(found).startswith(f"Finite here in {found.precision} on cpu: the loss is ")
    if not overrides:
        for one in found.losses.values():
            assert one.value == pytest.approx(one.total / one.count)
        assert {one.image_id for one in found.suspects} == set(second["batch"].ids)


@pytest.mark.parametrize("kind", [math.inf, math.nan])
@pytest.mark.parametrize("place", ["first", "middle"])
def test_the_first_module_is_that_of_the_bad_weight(
    kind: float, place: str, tmp_path: Path
) -> None:
    model = build_model("tiny_test")
    convolutions = [name for name, one in model.named_modules() if isinstance(one, nn.Conv2d)]
    name = convolutions[0 if place == "first" else len(convolutions) // 2]
    with torch.no_grad():
        model.get_submodule(name).weight[0, 0, 0, 0] = kind
    found = replay("tiny_test", kept(tmp_path / "x.safetensors", model))
    assert found.first_module == name
    assert len(found.weights) == 1 and found.weights[0].startswith(f"{name}.weight: 1 of ")
    assert f"{name}.weight" in found.gradients and not math.isfinite(found.gradient_norm)
    assert not any(one.finite for one in found.images)
    assert f"first at {name}" in conclusion(found)
    assert "the weights are not sound" in conclusion(found)


def test_a_module_is_named_for_what_it_does_between_its_parts() -> None:
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
    with modules_not_finite(model) as names:
        model(torch.ones(2))
    assert names == ["1", "2"]
    with modules_not_finite(model) as others:
        pass
    model(torch.ones(2))
    assert others == []


def test_statistics_that_the_failed_step_spoilt_condemn_no_image(tmp_path: Path) -> None:
    model = build_model("tiny_test")
    name, norm = next(
        (name, one) for name, one in model.named_modules() if isinstance(one, nn.BatchNorm2d)
    )
    assert norm.running_mean is not None
    norm.running_mean[:] = math.nan
    found = replay("tiny_test", kept(tmp_path / "x.safetensors", model))
    assert found.finite and all(one.finite for one in found.images)
    assert found.weights == () and found.statistics[0].startswith(f"{name}.running_mean: ")
    assert "not sound" not in conclusion(found)
    frozen = replay("tiny_test", tmp_path / "x.safetensors", ["model.freeze_batch_norm=[backbone]"])
    assert frozen.statistics == () and not frozen.finite
    assert frozen.weights[0].startswith(f"{name}.running_mean: ")


def test_every_kind_of_bad_target_is_named(batch_of: Callable[[int, int], Batch]) -> None:
    batch = batch_of(0, 3)  # images of 8 x 8 pixels, 4 faces
    targets = Targets(
        boxes=torch.tensor([1.0, 1, 3, 3]).repeat(3, 4, 1),
        valid=torch.tensor([[True, True, True, False]] * 3),
        ignore=torch.zeros(3, 4, dtype=torch.bool),
        labels=torch.zeros(3, 4, dtype=torch.int64),
        landmarks=torch.zeros(3, 4, 5, 2),
        landmarks_valid=torch.ones(3, 4, 5, dtype=torch.bool),
    )
    assert target_problems(replace(batch, targets=targets)) == []
    targets.boxes[0, 0, 1] = math.inf
    targets.boxes[0, 1] = torch.tensor([3.0, 1, 3, 3])
    targets.boxes[1, 0] = torch.tensor([3.0, 5, 4, 3])
    targets.boxes[1, 1] = torch.tensor([8.0, 1, 9, 3])
    targets.boxes[1, 2] = torch.tensor([7.0, 7, 9, 9])  # reaches beyond, which is no problem
    targets.landmarks[2, 2, 4, 0] = math.nan
    targets.boxes[2, 3, 0] = math.nan
    first, second, third = batch.ids
    found = target_problems(replace(batch, targets=targets))
    assert [one.rpartition(": ")[0] for one in found] == [
        f"{first}: face 0 has a box that is not finite",
        f"{first}: face 1 has a box without area",
        f"{second}: face 0 has a box without area",
        f"{second}: face 1 has a box outside of the image (8 x 8 px)",
        f"{third}: face 2 has a landmark that is marked as known and is not finite",
        f"{third}: face 3 has a value that is not finite where nothing is annotated",
    ]
    assert found[3].endswith(": [8, 1, 9, 3]")


def test_gradients_alone_and_a_share_of_a_batch_are_said(sound: Path) -> None:
    found = replay("tiny_test", sound)
    spoilt = replace(found, gradient_norm=math.inf, gradients=("neck.weight",))
    assert not spoilt.finite
    assert "the norm of its gradients is inf, for example of neck.weight." in conclusion(spoilt)
    share = replace(found, rank=1, world_size=2)
    assert "may be in the share of another of 2 ranks" in conclusion(share)
    assert "share of rank 1 of 2" in printed(share)
    bad = {name: replace(one, value=math.nan) for name, one in found.losses.items()}
    assert "although each image alone is finite" in conclusion(replace(found, losses=bad))


def printed(found: Replay) -> str:
    console = Console(width=80, highlight=False, markup=False, soft_wrap=True, record=True)
    with console.capture() as capture:
        print_replay(found, console)
    return capture.get()


def test_long_names_cut_no_number(sound: Path) -> None:
    found = replay("tiny_test", sound)
    long = "0--Parade/0_Parade_marchingband_1_849_[b]" + "x" * 60 + "[/b].jpg"
    losses = {name: 1234.5625 for name in found.losses}
    one = replace(found.images[0], image_id=long, losses=losses)
    text = printed(replace(found, images=(one,), ids=(long,)))
    assert text.count("1234.56") == 3 and long in text
    assert text.splitlines()[-1] == conclusion(found)


def test_tied_weights_are_kept(tmp_path: Path, batch_of: Callable[[int, int], Batch]) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    file = kept(tmp_path / "x.safetensors", model, batch_of(0, 2))
    assert torch.equal(load_replay(file).weights["1.weight"], model[0].weight)


def test_one_sentence_for_a_file_that_cannot_be_replayed(sound: Path, tmp_path: Path) -> None:
    tensors, folder = load_file(sound), tmp_path
    marks = {"step": "7", "dropped": "0", "rank": "0", "world_size": "1"}
    ids = {"ids": json.dumps(["a", "b"])}
    (folder / "cut.safetensors").write_bytes(sound.read_bytes()[:-100])
    (folder / "pickle.safetensors").write_bytes(pickle.dumps({"a": 1}))
    torch.save({"a": torch.zeros(1)}, folder / "weights.pt")
    save_file({"weight": torch.zeros(1)}, folder / "weights.safetensors")
    save_file(tensors, folder / "unmarked.safetensors", marks)
    save_file(tensors, folder / "no_list.safetensors", {**marks, "ids": "3"})
    save_file(tensors, folder / "three.safetensors", {**marks, "ids": '["a", "b", "c"]'})
    save_file(tensors, folder / "none.safetensors", {**marks, "ids": "[]"})
    boxes = {"targets.boxes": tensors["targets.boxes"].double()}
    save_file({**tensors, **boxes}, folder / "type.safetensors", {**marks, **ids})
    for name, words in {
        "gone.safetensors": "There is no replay file",
        "cut.safetensors": "is truncated or no safetensors file",
        "pickle.safetensors": "is truncated or no safetensors file",
        "weights.pt": r"is no replay file: its name does not end in \.safetensors",
        "weights.safetensors": r"is no replay file: it has no batch\.images",
        "unmarked.safetensors": "is no replay file: it does not say which step and images",
        "no_list.safetensors": "is no replay file: it does not say which step and images",
        "three.safetensors": r"batch\.images has the shape \[2, 3, 128, 128\]",
        "none.safetensors": "it holds no images",
        "type.safetensors": r"targets\.boxes has .* torch\.float64",
    }.items():
        with pytest.raises(CheckpointError, match=words) as caught:
            replay("tiny_test", folder / name)
        assert str(caught.value).count("\n") == 0


def test_weights_of_another_model_are_refused(sound: Path) -> None:
    with pytest.raises(CheckpointError, match=r"are of another model: neck.* more differ") as found:
        replay("tiny_test", sound, ["model.neck.channels=8"])
    assert "\n" not in str(found.value)


def test_slices_that_the_batch_cannot_be_cut_into_are_refused(sound: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.accumulate is 3, but .* holds 2 images"):
        replay("tiny_test", sound, ["train.accumulate=3"])


def test_nothing_is_downloaded(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def spy(config: Any) -> nn.Module:
        built.append(config.get("model.backbone.pretrained"))
        return build_model("tiny_test")

    monkeypatch.setattr("facezoo.runs.replay.build_model", spy)
    backbone = "model.backbone={type: timm.resnet18, pretrained: true}"
    assert replay("tiny_test", sound, [backbone]).finite
    assert built == [False]
