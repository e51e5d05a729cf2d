"""Every way to name a model, and what is wrong with a bad one."""

from pathlib import Path

import pytest
import torch
import yaml

from facezoo.builder import build_model
from facezoo.config.config import load_config, zoo_folder
from facezoo.errors import CheckpointError, ConfigError
from facezoo.inference.detector import Detector
from facezoo.inference.loading import load_model
from facezoo.zoo import catalogue
from facezoo.zoo.safe_load import save_tensors

MODEL = "tiny_test"


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: value.contiguous() for name, value in build_model(MODEL).state_dict().items()}


@pytest.fixture
def run(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """A run folder as the engine leaves it, without the training."""
    folder = tmp_path / "run"
    for name in ("step_000001", "last"):
        checkpoint = folder / "checkpoints" / name
        checkpoint.mkdir(parents=True)
        save_tensors(checkpoint / "model.safetensors", tensors, {})
        (checkpoint / "config.yaml").write_text(yaml.safe_dump(load_config(MODEL).data))
    (folder / "config.yaml").write_text("nothing: here\n")
    return folder


def holds(model: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())


def test_a_run_gives_its_last_checkpoint_and_its_best_where_there_is_one(
    run: Path, tensors: dict[str, torch.Tensor]
) -> None:
    loaded = load_model(run)
    assert holds(loaded.model, tensors)
    assert loaded.weights == run / "checkpoints/last/model.safetensors"
    assert loaded.config.name == str(run)
    (run / "checkpoints/last").rename(run / "checkpoints/best")
    assert load_model(run).weights == run / "checkpoints/best/model.safetensors"


def test_checkpoint_or_its_file_or_weights_beside_a_name(
    run: Path, tensors: dict[str, torch.Tensor]
) -> None:
    checkpoint = run / "checkpoints" / "step_000001"
    for source in (checkpoint, checkpoint / "model.safetensors", str(checkpoint)):
        assert holds(load_model(source).model, tensors)
    for weights in (run, checkpoint, str(checkpoint / "model.safetensors")):
        loaded = load_model(MODEL, weights)
        assert holds(loaded.model, tensors) and loaded.config.name == MODEL
    assert holds(load_model(zoo_folder() / f"{MODEL}.yaml", run).model, tensors)
    assert holds(load_model(load_config(MODEL), run).model, tensors)


def test_config_in_the_metadata_of_a_file(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "alone.safetensors"
    save_tensors(path, tensors, {"config": load_config(MODEL).to_yaml()})
    assert holds(load_model(path).model, tensors)
    save_tensors(path, tensors, {})
    with pytest.raises(CheckpointError, match="does not say which model it belongs to"):
        load_model(path)


def test_weights_that_come_along(
    tmp_path: Path, tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=f"No weights of {MODEL} come with facezoo"):
        load_model(MODEL)
    monkeypatch.setattr(catalogue, "WEIGHTS", tmp_path)
    save_tensors(tmp_path / f"{MODEL}.safetensors", tensors, {})
    assert holds(load_model(MODEL).model, tensors)
    assert holds(load_model(zoo_folder() / f"{MODEL}.yaml").model, tensors)
    own = tmp_path / f"{MODEL}.yaml"
    own.write_text(f"_BASE_: {MODEL}\n")
    with pytest.raises(ConfigError, match="No weights"):
        load_model(own)


def test_overrides_and_thresholds_of_the_config(run: Path) -> None:
    detector = Detector(
        run, overrides=["evaluation.score_thresh=0.25", "evaluation.nms_thresh=0.6"], device="cpu"
    )
    described = detector.describe()
    assert described["score_thresh"] == 0.25 and described["nms_thresh"] == 0.6
    assert described["model"] == str(run) and described["weights"].endswith("model.safetensors")
    assert Detector(run, score_thresh=0.0).score_thresh == 0.0


def test_a_checkpoint_imports_nothing_unless_allowed(run: Path) -> None:
    path = run / "checkpoints" / "last" / "config.yaml"
    marker = run / "executed"
    (run / "facezoo_test_plugin.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**config, "imports": ["facezoo_test_plugin"]}))
    with pytest.raises(ConfigError, match="--allow-imports"):
        load_model(run)
    assert not marker.exists()


def test_weights_of_another_architecture(run: Path) -> None:
    with pytest.raises(CheckpointError, match="backbone"):
        load_model("retinaface_mnet025", run)


@pytest.mark.parametrize(
    ("source", "weights", "sentence"),
    [
        ("tiny_tset", None, "tiny_test"),
        ("nowhere.yaml", None, "nowhere.yaml"),
        ("nowhere.safetensors", None, "nowhere.safetensors"),
        (MODEL, "nowhere.safetensors", "nowhere.safetensors"),
        (".", None, "is a folder without model.safetensors"),
        (MODEL, ".", "is a folder without model.safetensors"),
    ],
)
def test_bad_names(
    source: str, weights: str | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ConfigError, CheckpointError)) as error:
        load_model(source, weights)
    assert sentence in str(error.value)


def test_a_name_of_the_zoo_is_no_folder_of_that_name(
    run: Path, tensors: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.parent)
    monkeypatch.setattr(catalogue, "WEIGHTS", run.parent)
    of_zoo = run.parent / f"{MODEL}.safetensors"
    save_tensors(of_zoo, tensors, {})
    run.rename(MODEL)
    assert load_model(MODEL).weights == of_zoo
    last = Path(MODEL, "checkpoints/last/model.safetensors")
    for source in (Path(MODEL), f"./{MODEL}", f"{MODEL}/"):
        assert load_model(source).weights == last
    assert load_model(MODEL, MODEL).weights == last


def test_a_long_yaml_text_is_no_path(run: Path) -> None:
    text = load_config(MODEL).to_yaml() + "# " + 5000 * "x"
    assert load_model(text, run).config.name == "config"


def test_overrides_do_not_contradict_the_pixels_of_the_weights(
    run: Path, tensors: dict[str, torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    same, other = "model.pixels.mean=[123.675,116.28,103.53]", "model.pixels.mean=[1,2,3]"
    for source, weights in ((run, None), (MODEL, run)):
        assert holds(load_model(source, weights, [same]).model, tensors)
        with pytest.raises(ConfigError, match=r"other pixels \(mean\) than .* asks for; leave"):
            load_model(source, weights, [other])
    assert not caplog.messages
    loaded = load_model(load_config(MODEL, [other]), run)
    assert holds(loaded.model, tensors)
    (message,) = caplog.messages
    assert "other pixels (mean) than the config says; those of the file are used" in message


def test_a_public_checkpoint_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "a.pth").touch()
    with pytest.raises(ConfigError, match=r"facezoo zoo convert .*a\.pth --from FAMILY"):
        load_model(tmp_path / "a.pth")
