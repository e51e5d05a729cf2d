"""Parts built from mappings, on parts made up for the purpose."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import facezoo.registry
from facezoo import builder
from facezoo.builder import build, build_evaluators, build_model, build_optimizer
from facezoo.config.config import load_config
from facezoo.data import build_data
from facezoo.data.build_data import build_dataset
from facezoo.errors import ConfigError, DataError
from facezoo.registry import Registry
from facezoo.runs import build_trainer, run_check
from facezoo.runs.build_trainer import build_hooks, build_schedule
from facezoo.runs.run_check import check_config


class Backbone(nn.Module):
    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        if min(channels) < 1:
            raise ValueError("channels are 1 or more")
        self.weight = nn.Parameter(torch.zeros(channels))
        self.out_channels, self.out_strides = channels, [8 * 2**i for i in range(len(channels))]


class Stateful(Backbone):
    def __init__(self) -> None:
        super().__init__([4])
        self.mean = torch.ones(3).mean().item()  # not to be had on the meta device


class Neck(nn.Module):
    def __init__(self, in_channels: list[int], width: int = 16) -> None:
        super().__init__()
        self.in_channels, self.width = in_channels, width
        self.out_channels = [width] * len(in_channels)


class Sequence(Neck):
    def __init__(self, in_channels: list[int], stages: list[Neck]) -> None:
        super().__init__(in_channels)
        self.stages = nn.ModuleList(stages)
        self.out_channels = stages[-1].out_channels


class Loss:
    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight


class BoxLoss(Loss):
    pass


class Overlap(BoxLoss):
    pass


@dataclass(frozen=True)
class Codec:
    variances: tuple[float, float] = (0.1, 0.2)
    in_strides: list[int] | None = None


class Head(nn.Module):
    def __init__(
        self,
        in_channels: list[int],
        in_strides: list[int],
        anchors: dict[int, list[float]],
        loss: Loss,
        codec: Codec = Codec(),
        named: dict[str, Loss] | None = None,
        num_landmarks: int = 5,
        box_loss: BoxLoss | None = None,
    ) -> None:
        super().__init__()
        self.box_loss = box_loss
        self.in_channels, self.in_strides, self.anchors = in_channels, in_strides, anchors
        self.loss, self.codec, self.named, self.num_landmarks = loss, codec, named, num_landmarks


class Detector(nn.Module):
    def __init__(self, backbone: Backbone, neck: Neck | None, head: Head) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = backbone, neck, head


class Dataset:
    num_landmarks = 7

    def __init__(self, root: Path, image_size: int = 8) -> None:
        if not root.exists():
            raise DataError(f"{root} is not there.")
        self.root, self.image_size = root, image_size


class Transform:
    def __init__(self, p: float = 1.0, num_landmarks: int = 5) -> None:
        self.p, self.num_landmarks = p, num_landmarks


class Family(Transform):
    def __init__(self, name: str, p: float = 1.0, **arguments: Any) -> None:
        super().__init__(p)
        if "typo" in arguments:
            raise TypeError(f"{name} takes no 'typo'")
        if name == "Nothing":
            raise ConfigError("there is no 'Nothing'.")
        self.name, self.arguments = name, arguments


class Optimizer:
    def __init__(self, model: nn.Module, lr: float) -> None:
        self.model, self.lr = model, lr


class Schedule:
    def __init__(self, warmup: float = 0.0) -> None:
        if warmup > 1:
            raise ConfigError(f"schedule.warmup is {warmup}; give at most 1.")
        if warmup < 0:
            raise ConfigError(f"warmup is {warmup}; give at least 0.")
        self.warmup = warmup


class Hook:
    def __init__(self, decay: float = 0.9) -> None:
        self.decay = decay


class Evaluator:
    def __init__(self, sizes: list[int] | None = None) -> None:
        self.sizes = sizes


KINDS = {
    "DETECTORS": [Detector],
    "BACKBONES": [Backbone, Stateful],
    "NECKS": [Neck, Sequence],
    "HEADS": [Head],
    "LOSSES": [Loss, BoxLoss, Overlap],
    "DATASETS": [Dataset],
    "TRANSFORMS": [Transform],
    "OPTIMIZERS": [Optimizer],
    "SCHEDULES": [Schedule],
    "HOOKS": [Hook],
    "EVALUATORS": [Evaluator],
}
SOURCE: dict[str, Any] = {
    "model": {
        "type": "Detector",
        "backbone": {"type": "Backbone", "channels": [4, 8]},
        "neck": {"type": "Neck"},
        "head": {"type": "Head", "anchors": {8: [16]}, "loss": {"type": "Loss", "weight": 2}},
    },
    "data": {
        "root": ".",
        "image_size": 32,
        "train": {"dataset": {"type": "Dataset"}, "transforms": [{"type": "Transform", "p": 0.5}]},
    },
    "optimizer": {"type": "Optimizer", "lr": 1e-3},
    "schedule": {"type": "Schedule"},
    "hooks": {"ema": {"type": "Hook", "decay": 0.5}, "other": None, "last": {"type": "Hook"}},
    "evaluation": {"evaluators": [{"type": "Evaluator"}]},
}


@pytest.fixture(autouse=True)
def zoo(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Registry]]:
    made = {}
    for name, parts in KINDS.items():
        made[name] = Registry(name, f"{__name__}:{parts[0].__name__}", "facezoo.errors")
        for part in parts:
            made[name].register(part)
        for module in (builder, build_data, build_trainer, run_check):
            monkeypatch.setattr(module, name, made[name], raising=False)
    made["TRANSFORMS"].register_adapter("family")(Family)
    monkeypatch.setattr(facezoo.registry, "REGISTRIES", tuple(made.values()))
    yield made


def source(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SOURCE), **changes}


def problems_of(*overrides: str) -> list[str]:
    return check_config(SOURCE, overrides)


def test_context_flows_from_part_to_part() -> None:
    model = build_model(SOURCE)
    assert model.neck.in_channels == [4, 8]
    assert model.head.in_channels == [16, 16]
    assert model.head.in_strides == [8, 16]
    assert model.head.anchors == {8: [16.0]}
    assert model.head.loss.weight == 2.0
    assert model.head.codec == Codec()


def test_a_part_may_be_narrower_than_its_hint() -> None:
    model = build_model(SOURCE, "model.head.box_loss={type: Overlap, weight: 3}")
    assert type(model.head.box_loss) is Overlap and model.head.box_loss.weight == 3


def test_each_of_a_list_sees_the_one_before() -> None:
    stages = "[{type: Neck, width: 3}, {type: Neck}]"
    model = build_model(SOURCE, "model.neck.type=Sequence", f"model.neck.stages={stages}")
    assert [stage.in_channels for stage in model.neck.stages] == [[4, 8], [3, 3]]
    assert model.head.in_channels == [16, 16]


def test_without_a_neck_the_head_sees_the_backbone() -> None:
    model = build_model(SOURCE, "model.neck=null")
    assert model.neck is None
    assert model.head.in_channels == [4, 8]


def test_parts_in_mappings_and_plain_classes() -> None:
    model = build_model(
        SOURCE,
        "model.head.named={a: {type: Loss}, b: {type: Loss, weight: 3}}",
        "model.head.codec={variances: [1, 2]}",
    )
    assert {name: loss.weight for name, loss in model.head.named.items()} == {"a": 1.0, "b": 3.0}
    assert model.head.codec == Codec((1.0, 2.0), [8, 16])


def test_given_context_counts_and_must_agree() -> None:
    assert build_model(SOURCE, num_landmarks=9).head.num_landmarks == 9
    assert build_model(SOURCE, "model.head.num_landmarks=9", num_landmarks=9).head
    with pytest.raises(ConfigError, match=r"model\.head\.num_landmarks: .*says 98, but .* gives 9"):
        build_model(SOURCE, "model.head.num_landmarks=98", num_landmarks=9)
    with pytest.raises(ConfigError, match=r"model\.neck\.in_channels.*\[4\].*\[4, 8\].*leave it"):
        build_model(SOURCE, "model.neck.in_channels=[4]")
    assert build_model(SOURCE, "model.neck.in_channels=[4, 8]").neck.in_channels == [4, 8]


def test_a_section_is_no_context() -> None:
    with pytest.raises(ConfigError, match="takes overrides one by one"):
        build_model("tiny_test", overrides=["model.neck.channels=8"])
    with pytest.raises(ConfigError, match="'model' is a section of the config and no context"):
        build_model(SOURCE, model={"neck": None})


def test_nothing_that_is_given_is_changed(zoo: dict[str, Registry]) -> None:
    config = load_config(SOURCE)
    before = copy.deepcopy(SOURCE)
    first, second = build_model(config), build_model(config)
    first.head.anchors[8].append(3)
    first.backbone.out_channels.append(3)
    assert second.head.anchors == {8: [16]}
    assert config.data == load_config(before).data
    node = {"type": "Backbone", "channels": [4]}
    build(node, zoo["BACKBONES"]).out_channels.append(3)
    assert node == {"type": "Backbone", "channels": [4]}
    assert before == SOURCE


def test_build_takes_a_mapping_and_parts_that_are_built(zoo: dict[str, Registry]) -> None:
    backbone = Backbone([2])
    head = {"type": "Head", "anchors": {}, "loss": Loss(3)}
    model = build(
        {"type": "Detector", "backbone": backbone, "neck": None, "head": head}, zoo["DETECTORS"]
    )
    assert model.backbone is backbone
    assert model.head.in_channels == [2]
    assert model.head.loss.weight == 3
    with pytest.raises(
        ConfigError, match=r"^chanels: Backbone has no argument 'chanels' \(did you mean"
    ):
        build({"type": "Backbone", "chanels": [2]}, zoo["BACKBONES"])


WRONG = [
    (
        "model.type=Detektor",
        "model.type: DETECTORS has no part 'Detektor' (did you mean 'Detector'?",
    ),
    ("model.neck.type=Head", "model.neck.type: NECKS has no part 'Head'; 'Head' is one of HEADS"),
    ("model.neck=Neck", "model.neck: takes a mapping with a 'type' out of NECKS, not 'Neck'"),
    ("model.neck={_delete_: true, width: 3}", "model.neck: takes a mapping with a 'type' out of"),
    (
        "model.neck.widht=3",
        "model.neck.widht: Neck has no argument 'widht' (did you mean 'width'?)",
    ),
    ("model.neck.qqq=3", "its arguments are in_channels: list[int], width: int = 16"),
    ("model.pixels.order=rgb", "model.pixels: Detector has no argument 'pixels'"),
    ("model.neck.width='3'", "model.neck.width: Neck takes int, not '3'"),
    ("model.neck.width=true", "model.neck.width: Neck takes int, not true"),
    ("model.head.anchors={a: [1]}", "model.head.anchors: Head takes dict[int, list[float]], not"),
    ("model.head.anchors.8=[x]", "not {8: ['x']}: at 8.0, 'x' should be a valid number"),
    ("model.head={_delete_: true, type: Head, loss: {type: Loss}}", "model.head: Head needs 'anch"),
    (
        "model.head={_delete_: true, type: Head, loss: {type: Loss}, anchor: {}}",
        "did you mean 'anc",
    ),
    ("model.head.loss.weight=x", "model.head.loss.weight: Loss takes float, not 'x'"),
    (
        "model.head.box_loss={type: Loss}",
        "model.head.box_loss: Head takes BoxLoss, not Loss: give one, such as BoxLoss, Overlap (",
    ),
    ("model.head.codec={variance: [1, 2]}", "model.head.codec.variance: Codec has no argument"),
    ("model.head.codec={type: Codec}", "model.head.codec.type: Codec has no argument 'type'"),
    ("model.head.named={a: {type: Los}}", "model.head.named.a.type: LOSSES has no part 'Los'"),
    (
        "model.backbone.channels=[0]",
        "model.backbone.channels: Backbone refuses its arguments: channels are 1",
    ),
    ("model=null", "model: this config has no 'model'"),
    ("data.root=gone", "data.train.dataset: gone is not there"),
    ("data.train.dataset.type=Transform", "'Transform' is one of TRANSFORMS"),
    ("data.train.transforms.0.q=1", "data.train.transforms.0.q: Transform has no argument 'q'"),
    ("data.train.transforms=[{type: family.Blur, name: x}]", "has no argument 'name'"),
    ("data.train.transforms=[{type: family.Blur, typo: 1}]", "0.typo: family.Blur refuses its arg"),
    (
        "data.train.transforms=[{type: family.Nothing}]",
        "transforms.0.type: there is no 'Nothing' (",
    ),
    ("data.train.transforms=[Transform]", "data.train.transforms.0"),
    ("optimizer.lr=fast", "optimizer.lr: Optimizer takes float, not 'fast'"),
    ("schedule.warmup=2", "schedule.warmup is 2.0; give at most 1 (command line)"),
    ("schedule.warmup=-1", "schedule.warmup: warmup is -1.0; give at least 0 (command line)"),
    ("hooks.ema.decoy=2", "hooks.ema.decoy: Hook has no argument 'decoy' (did you mean 'decay'?)"),
    ("hooks.mine={decay: 1}", "hooks.mine: takes a mapping with a 'type' out of HOOKS"),
    ("evaluation.evaluators.0.sizes=3", "evaluation.evaluators.0.sizes: Evaluator takes list[int]"),
]


@pytest.mark.parametrize(("override", "sentence"), WRONG)
def test_check_says_what_is_wrong_once(override: str, sentence: str) -> None:
    problems = problems_of(override)
    assert len(problems) == 1, problems
    assert sentence in problems[0]


def test_check_of_a_sound_config_is_empty() -> None:
    assert problems_of() == []
    assert problems_of("optimizer=null", "schedule=null", "data.train=null") == []


def test_check_tells_everything_at_once() -> None:
    problems = problems_of(
        "train.sed=1",
        "train.seed=x",
        "model.backbone.chanels=[4]",
        "model.head.loss.weight=x",
        "model.neck.width=x",
        "data.root=gone",
        "optimizer.lr=fast",
        "hooks.ema.type=Emma",
    )
    assert len(problems) == 8
    assert all("command line" in problem for problem in problems if "gone" not in problem)


def test_check_names_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(load_config(SOURCE).to_yaml())
    Path("child.yaml").write_text(
        "_BASE_: base.yaml\nmodel:\n  head:\n    anchor: {}\n  neck: {type: Sequence}\n"
    )
    assert check_config("child.yaml") == [
        "model.neck: Sequence needs 'stages'; its arguments are in_channels: list[int], "
        "stages: list[Neck] (child.yaml:5)",
        "model.head.anchor: Head has no argument 'anchor' (did you mean 'anchors'?) (child.yaml:4)",
    ]
    Path("other.yaml").write_text("_BASE_: base.yaml\nmodel: {backbone: {type: Stateful}}\n")
    assert check_config("other.yaml") == []


def test_check_builds_on_the_meta_device_where_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []
    init = Detector.__init__

    def spy(self: Detector, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        devices.append(self.backbone.weight.device.type)

    spy.__annotations__ = init.__annotations__
    spy.__wrapped__ = init  # type: ignore[attr-defined]
    monkeypatch.setattr(Detector, "__init__", spy)
    assert problems_of() == []
    assert problems_of("model.backbone.type=Stateful") == []
    assert devices == ["meta", "cpu"]


def test_check_reports_a_part_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Neck, "register_buffer", None, raising=False)

    def fail(self: Neck, width: int = 3) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(Neck, "__init__", fail)
    assert "model: it cannot be built: out of luck" in problems_of()


def test_data_set_takes_root_and_size_of_the_section() -> None:
    dataset, transforms = build_dataset(load_config(SOURCE), "train")
    assert (dataset.root, dataset.image_size) == (Path("."), 32)
    assert [(one.p, one.num_landmarks) for one in transforms] == [(0.5, 7)]
    own = load_config(SOURCE, ["data.train.dataset.root=..", "data.train.dataset.image_size=3"])
    dataset, _ = build_dataset(own, "train")
    assert (dataset.root, dataset.image_size) == (Path(".."), 3)
    with pytest.raises(ConfigError, match=r"data\.val: there is no data set"):
        build_dataset(own, "val")


def test_missing_data_stays_a_data_error() -> None:
    with pytest.raises(DataError, match="gone is not there"):
        build_dataset(load_config(SOURCE, ["data.root=gone"]), "train")


def test_adapter_gets_the_name_and_the_rest() -> None:
    inner = "{type: family.Blur, size: 3}"
    one_of = f"data.train.transforms=[{{type: family.OneOf, p: 0.1, of: [{inner}]}}]"
    config = load_config(SOURCE, [one_of])
    (one,) = build_dataset(config, "train")[1]
    assert (one.name, one.p) == ("OneOf", 0.1)
    (blur,) = one.arguments["of"]
    assert (blur.name, blur.arguments) == ("Blur", {"size": 3})


def test_the_other_sections() -> None:
    config = load_config(SOURCE)
    model = nn.Linear(1, 1)
    optimizer: Any = build_optimizer(config, model)
    assert (optimizer.model, optimizer.lr) == (model, 0.001)
    assert build_schedule(config).warmup == 0
    hooks = build_hooks(config)
    assert {name: hook.decay for name, hook in hooks.items()} == {"ema": 0.5, "last": 0.9}
    assert len(build_evaluators(config)) == 1
    with pytest.raises(ConfigError, match="this config has no 'schedule'"):
        build_schedule(load_config({}))


def test_plugins_are_imported_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plugin_with_a_hook.py").write_text(
        "from facezoo.builder import HOOKS\n"
        "@HOOKS.register\nclass Mine:\n    def __init__(self, x: int): self.x = x\n"
    )
    sections = source(imports=["plugin_with_a_hook"], hooks={"mine": {"type": "Mine", "x": 3}})
    assert build_hooks(load_config(sections))["mine"].x == 3
    assert check_config(source(imports=["gone_plugin"]))[0].startswith(
        "imports.0: the module 'gone"
    )


def test_check_of_a_checkpoint_imports_only_what_is_allowed() -> None:
    (problem,) = check_config(source(imports=["gone_plugin"]), allow_imports=False)
    assert "--allow-imports" in problem
