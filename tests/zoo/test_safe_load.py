"""Weights files: what is read, what is refused, and that a refusal changes nothing."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from facezoo.errors import CheckpointError
from facezoo.models.face_detector import Pixels
from facezoo.zoo.safe_load import init_from, load_tensors, load_weights, save_tensors


class Net(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
        self.head = nn.Linear(width, 1)


def contiguous(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(model: nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())


@pytest.fixture
def source() -> Net:
    torch.manual_seed(0)
    return Net()


def test_safetensors_and_torch_files_of_several_wrappings(tmp_path: Path, source: Net) -> None:
    tensors = contiguous(source)
    save_tensors(tmp_path / "deep/a.safetensors", tensors, {"source": "here"})
    (tmp_path / "plain").touch()
    made = (tmp_path / "deep/a.safetensors").stat()
    assert made.st_mode == (tmp_path / "plain").stat().st_mode  # others may read it, as ever
    assert load_tensors(tmp_path / "deep/a.safetensors")[1]["source"] == "here"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.safetensors"]
    parallel = {f"module.{name}": value for name, value in tensors.items()}
    files = {"plain.pth": tensors, "b.tar": {"epoch": 3, "state_dict": parallel, "best": 0.5}}
    for name, content in files.items():
        torch.save(content, tmp_path / name)
    torch.save(tensors, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("deep/a.safetensors", *files, "old.pth"):
        model = Net()
        load_weights(model, tmp_path / name)
        assert same(model, tensors), name


def test_loading_keeps_the_memory_layout(tmp_path: Path) -> None:
    model = nn.Conv2d(8, 8, 3).to(memory_format=torch.channels_last)
    save_tensors(
        tmp_path / "a.safetensors", {n: v.contiguous() for n, v in model.state_dict().items()}, {}
    )
    load_weights(model, tmp_path / "a.safetensors")
    assert model.weight.is_contiguous(memory_format=torch.channels_last)


def test_another_architecture_changes_nothing(tmp_path: Path, source: Net) -> None:
    tensors = contiguous(source)
    tensors["tail.weight"] = tensors.pop("head.weight")
    tensors["backbone.0.weight"] = torch.zeros(5, 2)
    save_tensors(tmp_path / "a.safetensors", tensors, {})
    model = Net()
    before = contiguous(model)
    with pytest.raises(CheckpointError) as error:
        load_weights(model, tmp_path / "a.safetensors")
    for part in (
        "not in the file: head.weight",
        "not in the model: tail.weight",
        "backbone.0.weight ([5, 2] there, [3, 2] here)",
    ):
        assert part in str(error.value)
    assert same(model, before)


def test_a_long_list_of_differences_is_counted(tmp_path: Path, source: Net) -> None:
    save_tensors(tmp_path / "a.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match="and 4 more"):
        load_weights(source, tmp_path / "a.safetensors")


class Executes:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [True, False])
def test_a_pickle_that_would_execute_is_refused(tmp_path: Path, legacy: bool) -> None:
    harmful, trace = tmp_path / "harmful.pth", tmp_path / "executed"
    if legacy:
        harmful.write_bytes(pickle.dumps({"weight": Executes(trace)}, protocol=2))
    else:
        torch.save({"weight": Executes(trace)}, harmful)
    with pytest.raises(CheckpointError, match=r"harmful\.pth"):
        load_tensors(harmful)
    assert not trace.exists()


def test_a_pickled_model_is_refused(tmp_path: Path, source: Net) -> None:
    torch.save(source, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"more than plain tensors.*refused"):
        load_tensors(tmp_path / "model.pt")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".tar"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.6, 0.99])
def test_truncated_files(tmp_path: Path, source: Net, suffix: str, kept: float) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".safetensors":
        save_tensors(path, contiguous(source), {})
    else:
        torch.save(contiguous(source), path, _use_new_zipfile_serialization=suffix == ".pth")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(CheckpointError, match=f"a{suffix} is truncated") as error:
        load_tensors(path)
    assert "\n" not in str(error.value)


def test_files_without_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights file .*none\.pth"):
        load_tensors(tmp_path / "none.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds a list"):
        load_tensors(tmp_path / "list.pth")
    torch.save({"epoch": 1}, tmp_path / "epoch.pth")
    with pytest.raises(CheckpointError, match="no tensors by name, but epoch"):
        load_tensors(tmp_path / "epoch.pth")


def test_init_from_a_whole_file_reports_what_fits(tmp_path: Path, source: Net) -> None:
    tensors = contiguous(source)
    tensors["head.weight"] = torch.zeros(1, 9)
    tensors["fc.weight"] = torch.zeros(1)
    del tensors["head.bias"]
    save_tensors(tmp_path / "a.safetensors", tensors, {})
    model = Net()
    before = contiguous(model)
    report = init_from(model, str(tmp_path / "a.safetensors"))
    assert torch.equal(model.backbone[0].weight, source.backbone[0].weight)
    assert torch.equal(model.head.weight, before["head.weight"])
    text = "\n".join(report)
    for line in (
        "backbone: 7 of 7 tensors",
        "head: 0 of 2 tensors",
        "not in the file, left as they were: head.bias",
        "of another shape, left as they were: head.weight",
        "in the file, not used: fc.weight",
    ):
        assert line in text


def test_init_one_part_by_names_of_its_own_or_of_the_whole(tmp_path: Path, source: Net) -> None:
    whole = tmp_path / "whole.pth"
    torch.save(contiguous(source), whole)
    part = tmp_path / "part.pth"
    torch.save(
        {"state_dict": {f"module.{n}": v for n, v in contiguous(source.backbone).items()}}, part
    )
    for file in (whole, part):
        model = Net()
        before = contiguous(model)
        report = init_from(model, f"{file}:backbone")
        assert report[0].startswith("backbone: 7 of 7")
        assert torch.equal(model.backbone[0].weight, source.backbone[0].weight)
        assert torch.equal(model.head.weight, before["head.weight"])


def test_init_from_what_is_not_there(tmp_path: Path, source: Net) -> None:
    file = tmp_path / "a.pth"
    torch.save({"other": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match=r"Nothing in .* fits: it has other"):
        init_from(source, str(file))
    with pytest.raises(CheckpointError, match="did you mean 'backbone'"):
        init_from(source, f"{file}:backbon")


def test_init_from_a_run_or_a_checkpoint(tmp_path: Path, source: Net) -> None:
    run = tmp_path / "runs/x"
    file = run / "checkpoints/last/model.safetensors"
    save_tensors(file, contiguous(source), {})
    for place in (run, file.parent, file):
        model = Net()
        assert init_from(model, str(place))[0] == f"backbone: 7 of 7 tensors from {file}"
        assert same(model, contiguous(source))
        model = Net()
        before = contiguous(model)
        init_from(model, f"{place}:backbone")
        assert torch.equal(model.backbone[0].weight, source.backbone[0].weight)
        assert torch.equal(model.head.weight, before["head.weight"])
    with pytest.raises(CheckpointError, match=r"is a folder without model\.safetensors"):
        init_from(Net(), str(tmp_path))


def test_init_from_leaves_the_preprocessing_to_the_config(tmp_path: Path, source: Net) -> None:
    file = tmp_path / "a.safetensors"
    source.pixels = Pixels(mean=(1, 2, 3))
    save_tensors(file, contiguous(source), {})
    model = Net()
    model.pixels = Pixels(mean=(4, 5, 6))
    report = init_from(model, str(file))
    assert model.pixels.mean.tolist() == [4, 5, 6]
    assert torch.equal(model.head.weight, source.head.weight)
    assert report[-1] == (
        f"pixels: as the config says, although {file} has others: "
        "pixels.mean [1.0, 2.0, 3.0] there, [4.0, 5.0, 6.0] here"
    )
    model.pixels = Pixels(mean=(1, 2, 3))
    assert "pixels" not in "".join(init_from(model, str(file)))
    with pytest.raises(CheckpointError, match=r"which the config decides; set model\.pixels"):
        init_from(model, f"{file}:pixels")


def test_a_graph_is_no_file_of_weights(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(CheckpointError, match="a graph of ONNX"):
        load_tensors(tmp_path / "a.onnx")
