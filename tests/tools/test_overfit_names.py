"""``tools/overfit.py``: where the runs of models of the zoo and of YAML files go."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def overfit(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, whose training says a number at once."""
    specification = importlib.util.spec_from_file_location("overfit", PROJECT / "tools/overfit.py")
    assert specification is not None and specification.loader is not None
    tool = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(tool)

    def trained(model: str, root: Path, out: Path, size: int, steps: int, lr: float) -> float:
        out.mkdir(parents=True)
        (out / "model.txt").write_text(model)
        return 0.95

    monkeypatch.setattr(tool, "overfit", trained)
    return tool


def test_a_file_gives_its_stem_to_the_run(overfit: ModuleType, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "mine"
    words = ["--root", str(tmp_path), "--out", str(out)]
    files = [str(folder / "point_tiny.yaml"), "other/lite.v2.yml"]
    assert overfit.main([*words, "yoloface_n05", *files]) == 0
    names = ["yoloface_n05", "point_tiny", "lite.v2"]
    assert list(json.loads((out / "overfit.json").read_text())) == names
    trained = [(out / name / "model.txt").read_text() for name in names]
    assert trained == ["yoloface_n05", *files]  # each from where it is, not by its stem
    assert not folder.exists()


@pytest.mark.parametrize(
    "models",
    [["a/tiny.yaml", "b/tiny.yaml"], ["yoloface_n05", "mine/yoloface_n05.yml"], ["x", "x"]],
)
def test_two_models_of_one_name_are_refused(
    models: list[str], overfit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        overfit.main(["--root", str(tmp_path), "--out", str(tmp_path / "out"), *models])
    assert stop.value.code == 2
    assert "two models would share the run folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_help_says_that_files_are_taken(
    overfit: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        overfit.main(["--help"])
    assert "names in the zoo, or YAML files" in capsys.readouterr().out
