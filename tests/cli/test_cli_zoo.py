"""``facezoo zoo``: the list, one model, a conversion."""

import json
from pathlib import Path

import pytest

from facezoo.cli import main
from facezoo.zoo.catalogue import ZooEntry
from facezoo.zoo.model_size import ModelSize

ENTRY = ZooEntry("tiny_test", "A run of seconds.", ModelSize(12_345, 2_340_000_000), None)


def test_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("facezoo.zoo.catalogue.entries", lambda: [ENTRY])
    assert main(["zoo", "list", "--json", str(tmp_path / "zoo.json")]) == 0
    printed = capsys.readouterr().out
    for word in ("tiny_test", "12,345", "1.755", "4.68", "GMACs", "GFLOPs"):
        assert word in printed
    (listed,) = json.loads((tmp_path / "zoo.json").read_text())
    assert listed == {
        "name": "tiny_test",
        "description": "A run of seconds.",
        "parameters": 12_345,
        "macs_640x480": 1_755_000_000,
        "flops_640x640": 4_680_000_000,
        "weights": None,
    }


def test_show(capsys: pytest.CaptureFixture) -> None:
    assert main(["zoo", "show", "tiny_test"]) == 0
    printed = capsys.readouterr().out
    assert "tiny_test: A run of seconds on a CPU" in printed
    assert "GMACs at 640 x 480: " in printed and "SyntheticFaces" in printed


def test_convert_hands_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    seen = []

    def convert_file(source: Path, family: str, out: Path) -> list[str]:
        seen.append((source, family, out))
        return ["300 tensors"]

    monkeypatch.setattr("facezoo.zoo.converters.convert_file", convert_file)
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", "convert", "there/a.pth", "--from", "biubug6"]) == 0
    assert main(["zoo", "convert", "a.pth", "--from", "biubug6", "--out", "o/b.safetensors"]) == 0
    assert seen == [
        (Path("there/a.pth"), "biubug6", Path("a.safetensors")),
        (Path("a.pth"), "biubug6", Path("o/b.safetensors")),
    ]
    assert "300 tensors" in capsys.readouterr().out
