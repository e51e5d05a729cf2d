"""Files that inherit, defaults of the sections, plug-ins, and the way back to a file."""

import sys
from pathlib import Path
from typing import Any

import pytest

from facezoo.config.config import Config, find_config, load_config, zoo_folder
from facezoo.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> Path:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)
    return Path(name)


def model_of(source: Any) -> Any:
    return load_config(source).data["model"]


def test_mappings_are_merged_and_lists_replaced() -> None:
    write("base.yaml", "model: {type: A, sizes: [1, 2], neck: {type: N, channels: 8}}\n")
    write("child.yaml", "_BASE_: base.yaml\nmodel: {sizes: [3], neck: {channels: 16}}\n")
    assert model_of("child.yaml") == {
        "type": "A",
        "sizes": [3],
        "neck": {"type": "N", "channels": 16},
    }


def test_delete_and_null_take_away() -> None:
    write("base.yaml", "model: {type: A, neck: {type: N, channels: 8}, head: {type: H}}\n")
    write("child.yaml", "_BASE_: base.yaml\nmodel: {neck: {_delete_: true, type: M}, head: null}\n")
    assert model_of("child.yaml") == {"type": "A", "neck": {"type": "M"}, "head": None}
    write("anew.yaml", "_BASE_: base.yaml\nmodel: {neck: {_delete_: true, type: N}}\n")
    assert model_of("anew.yaml")["neck"] == {"type": "N"}
    write("kept.yaml", "_BASE_: base.yaml\nmodel: {neck: {_delete_: false, width: 2}}\n")
    assert model_of("kept.yaml")["neck"] == {"type": "N", "channels": 8, "width": 2}
    write("fresh.yaml", "model: {_delete_: true, type: B, inner: {_delete_: true, x: 1}}\n")
    assert model_of("fresh.yaml") == {"type": "B", "inner": {"x": 1}}
    write("wrong.yaml", "model: {_delete_: please}\n")
    with pytest.raises(ConfigError, match=r"wrong\.yaml:1: _delete_ is true or false"):
        load_config("wrong.yaml")


def test_another_type_begins_anew() -> None:
    write(
        "base.yaml",
        "model:\n  type: A\n  neck: {type: N, width: 8, inner: {type: I}}\n  head: {type: H}\n",
    )
    write(
        "child.yaml",
        "_BASE_: base.yaml\n"
        "model:\n  neck: {type: M, inner: {y: 2}}\n  head: {type: G}\n  stem: {type: S}\n",
    )
    config = load_config("child.yaml")
    assert config["model"] == {
        "type": "A",
        "neck": {"type": "M", "inner": {"y": 2}},
        "head": {"type": "G"},
        "stem": {"type": "S"},
    }
    lines = load_config(config).to_yaml(origins=True).splitlines()
    assert (
        "    type: M  # child.yaml:3, in place of N (base.yaml:3), whose arguments are dropped"
        in lines
    )
    assert "    type: G  # child.yaml:4, in place of H (base.yaml:4)" in lines
    assert "    type: S  # child.yaml:5" in lines


def test_the_same_type_is_merged() -> None:
    write("base.yaml", "model: {type: A, neck: {type: N, channels: 8}}\n")
    write("child.yaml", "_BASE_: base.yaml\nmodel: {neck: {type: N, width: 2}}\n")
    assert model_of("child.yaml")["neck"] == {"type": "N", "channels": 8, "width": 2}
    assert "in place of" not in load_config("child.yaml").to_yaml(origins=True)


def test_later_bases_win_and_paths_are_relative_to_the_file() -> None:
    write("parts/deep/one.yaml", "_BASE_: ../root.yaml\nmodel: {a: 1, b: 1}\n")
    write("parts/two.yaml", "_BASE_: root.yaml\nmodel: {b: 2}\n")
    write("parts/root.yaml", "model: {root: 0}\n")
    write("child.yaml", "_BASE_: [parts/deep/one.yaml, parts/two.yaml]\nmodel: {c: 3}\n")
    assert model_of("child.yaml") == {"root": 0, "a": 1, "b": 2, "c": 3}


def test_a_cycle_shows_the_chain() -> None:
    write("a.yaml", "_BASE_: b.yaml\n")
    write("b.yaml", "_BASE_: sub/c.yaml\n")
    write("sub/c.yaml", "_BASE_: ../a.yaml\n")
    with pytest.raises(ConfigError, match=r"a\.yaml -> b\.yaml -> sub/c\.yaml -> a\.yaml"):
        load_config("a.yaml")


def test_a_missing_base_shows_line_and_chain() -> None:
    write("a.yaml", "_BASE_: b.yaml\n")
    write("b.yaml", "# comment\n_BASE_: gone.yaml\n")
    with pytest.raises(ConfigError, match=r"b\.yaml:2: _BASE_ names 'gone\.yaml'.*a\.yaml -> b\.y"):
        load_config("a.yaml")
    write("c.yaml", "_BASE_: {a: 1}\n")
    with pytest.raises(ConfigError, match=r"c\.yaml:1: _BASE_ takes a file or a list of files"):
        load_config("c.yaml")


def test_bases_by_zoo_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facezoo.config.config.zoo_folder", lambda: Path("zoo").resolve())
    write("zoo/small.yaml", "_BASE_: _base_/part.yaml\nmodel: {type: A}\n")
    write("zoo/_base_/part.yaml", "optimizer: {type: O}\n")
    write("mine.yaml", "_BASE_: [small, _base_/part]\n")
    for source in ("small", "mine.yaml", {"_BASE_": "small"}):
        data = load_config(source).data
        assert data["model"] == {"type": "A"}
        assert data["optimizer"] == {"type": "O"}
    assert load_config("small").name == "small"
    with pytest.raises(ConfigError, match=r"no config 'smal' \(did you mean 'small'\?\)"):
        load_config("smal")
    with pytest.raises(ConfigError, match=r"no config file x/small\.yaml; the zoo has 'small'"):
        load_config("x/small.yaml")
    write("wrong.yaml", "_BASE_: smal\n")
    with pytest.raises(ConfigError, match=r"wrong\.yaml:1.*did you mean 'small'"):
        load_config("wrong.yaml")


def test_a_name_of_the_zoo_has_no_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facezoo.config.config.zoo_folder", lambda: Path("zoo").resolve())
    write("zoo/_base_/part.yaml", "optimizer: {type: O}\n")
    for suffix in (".yaml", ".yml"):
        write("mine.yaml", f"_BASE_: [_base_/part{suffix}]\n")
        with pytest.raises(ConfigError) as error:
            load_config("mine.yaml")
        assert f"(the zoo's own is '_base_/part', without {suffix})" in str(error.value)
        assert len(error.value.problems) == 1 and "\n" not in str(error.value)
    write("wrong.yaml", "_BASE_: _base_/parts\n")
    with pytest.raises(ConfigError, match=r"did you mean '_base_/part'\?"):
        load_config("wrong.yaml")
    write("other.yaml", "_BASE_: other/thing.yaml\n")
    with pytest.raises(ConfigError, match=r"names 'other/thing\.yaml', and there is no file"):
        load_config("other.yaml")


def test_origins_survive_merging() -> None:
    write("base.yaml", "model:\n  type: A\n  a: 1\n  b: 1\n")
    write("child.yaml", "_BASE_: base.yaml\nmodel:\n  b: 2\n")
    config = load_config("child.yaml", ["model.type=A"])
    assert config.origin("model.a") == "base.yaml:3"
    assert config.origin("model.b") == "child.yaml:3"
    assert config.origin("model.type") == "command line"
    assert config.origin("model.missing") == "child.yaml:2"
    assert config.origin("train.seed") == "default"
    assert load_config({"model": {"a": 1}}).origin("model.a") == ""


def test_values_by_dotted_path() -> None:
    config = load_config({"model": {"type": "A", "anchors": {8: [16]}, "stages": [{"x": 1}]}})
    assert config["model.anchors.8"] == [16]
    assert config["model.stages.0.x"] == 1
    assert "model.stages.1" not in config
    assert config.get("model.nothing", 7) == 7
    with pytest.raises(KeyError):
        config["model.nothing"]


def test_two_configs_cannot_meet() -> None:
    source = {"model": {"type": "A", "sizes": [1]}}
    first = load_config(source)
    second = load_config(first, ["model.depth=2"])
    first.data["model"]["sizes"].append(2)
    source["model"]["sizes"].append(3)  # type: ignore[attr-defined]
    assert first["model"] == {"type": "A", "sizes": [1]}
    assert second["model"] == {"type": "A", "sizes": [1], "depth": 2}


def test_sections_are_filled_and_ordered() -> None:
    config = load_config({"imports": [], "train": {"seed": 3}, "model": {"type": "A"}})
    assert list(config.data) == ["model", "data", "train", "hooks", "evaluation", "imports"]
    assert config["train.seed"] == 3
    assert config["train.device"] == "auto"
    assert config["data.batch_size"] == 16
    assert config["evaluation"] == {
        "protocol": "original",
        "protocols": {},
        "score_thresh": 0.02,
        "nms_thresh": 0.4,
        "evaluators": [],
    }


WRONG = [
    ("modle: {type: A}", r"modle: there is no such section \(did you mean 'model'\?\)"),
    ("train: {sed: 1}", r"train\.sed: 'train' has no key 'sed' \(did you mean 'seed'\?\)"),
    ("train: {seed: '1'}", r"train\.seed: takes int, not '1'"),
    ("train: {compile: 1}", r"train\.compile: takes bool, not 1"),
    ("train: {precision: fp8}", r"train\.precision: takes 'fp32' \| 'bf16' \| 'fp16', not 'fp8'"),
    ("train: {epochs: 0}", r"train\.epochs is 0"),
    ("train: null", "train: takes a mapping"),
    ("data: {image_size: 640.5}", r"data\.image_size: takes int"),
    ("data: {batch_size: 0}", r"data\.batch_size is 0; give 1 or more"),
    (
        "data: {train: {datset: {}}}",
        r"data\.train\.datset: 'data\.train' has no key 'datset' \(did",
    ),
    ("data: {train: {transforms: []}}", r"data\.train: 'dataset' is missing"),
    ("data: {val: 3}", r"data\.val: takes a mapping"),
    ("evaluation: {nms_thresh: 4}", r"evaluation\.nms_thresh is 4"),
    ("model: RetinaFace", "model: takes a mapping with a 'type'"),
    ("hooks: [{type: EMA}]", "hooks: takes a mapping from names to hooks"),
    ("imports: my_parts", "imports: takes a list of modules"),
    ("imports: [../my_parts.py]", r"imports\.0: takes the name of a module"),
    ("- 1", "a config is a mapping at its top"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_what_is_wrong_is_said_with_its_line(text: str, sentence: str) -> None:
    write("wrong.yaml", f"# comment\n{text}\n")
    with pytest.raises(ConfigError, match=sentence) as error:
        load_config("wrong.yaml")
    assert len(error.value.problems) == 1
    assert "wrong.yaml:2" in str(error.value) or text == "- 1"


def test_reduced_decoding_is_gone_and_its_default_in_an_older_run_is_passed_over() -> None:
    with pytest.raises(ConfigError, match=r"^data\.reduced_decoding: .* is gone, .*; leave"):
        load_config({"data": {"reduced_decoding": True}})
    assert "data.reduced_decoding" not in load_config({"data": {"reduced_decoding": False}})


def test_all_problems_are_told_at_once() -> None:
    write("wrong.yaml", "modle: {}\ntrain: {sed: 1, seed: no}\n")
    with pytest.raises(ConfigError) as error:
        load_config("wrong.yaml", ["data.batchsize=3"])
    assert len(error.value.problems) == 4


def test_written_config_reads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOS", "/photos")
    write(
        "a.yaml",
        "data: {root: '${env:PHOTOS}', image_size: 320}\n"
        "model: {type: A, size: '${data.image_size}', fold: ['${data.image_size}', 2], lr: 1e-3,\n"
        "  anchors: {8: [16, 32]}, stages: [{type: B, name: '1e-3'}], nothing: {}, none: null}\n",
    )
    config = load_config("a.yaml")
    monkeypatch.delenv("PHOTOS")
    for text in (config.to_yaml(), config.to_yaml(origins=True)):
        again = load_config(text)
        assert again.data == config.data
    assert load_config(config.data).data == config.data
    assert load_config(config.to_yaml(), ["data.image_size=64"])["model.fold"] == [64, 2]


def test_origins_are_printed_beside_the_values() -> None:
    write("a.yaml", "data: {image_size: 320}\nmodel:\n  type: A\n  size: ${data.image_size}\n")
    lines = load_config("a.yaml", ["train.seed=7"]).to_yaml(origins=True).splitlines()
    assert "  size: 320  # a.yaml:4, ${data.image_size}" in lines
    assert "  seed: 7  # command line" in lines
    assert "  workers: 0  # default" in lines


def test_empty_file_is_an_empty_config() -> None:
    assert "model" not in load_config(write("a.yaml", "# nothing\n"))


def test_zoo_is_where_the_package_says() -> None:
    assert zoo_folder().is_dir()
    assert find_config("tiny_test") == zoo_folder() / "tiny_test.yaml"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "plugin_of_the_test"
    sys.modules.pop("plugin_of_the_test", None)


def test_plugin_beside_the_yaml_is_imported(plugin: str) -> None:
    write(f"mine/{plugin}.py", "VALUE = 3\n")
    write("mine/base.yaml", f"imports: [{plugin}]\n")
    write("child.yaml", "_BASE_: mine/base.yaml\n")
    before = sys.path[0]
    config = load_config("child.yaml")
    assert plugin not in sys.modules
    config.import_plugins()
    assert sys.modules[plugin].VALUE == 3
    assert sys.path[0] == before
    assert str(Path("mine").resolve()) in sys.path


def test_plugin_of_a_mapping_is_looked_for_in_the_current_folder(plugin: str) -> None:
    write(f"{plugin}.py", "")
    load_config({"imports": [plugin]}).import_plugins()
    assert plugin in sys.modules


def test_checkpoint_imports_nothing_unless_allowed(plugin: str) -> None:
    write(f"{plugin}.py", "")
    config = load_config({"imports": [plugin]}, allow_imports=False)
    with pytest.raises(ConfigError, match=rf"imports\.0: .*{plugin}.*--allow-imports"):
        config.import_plugins()
    with pytest.raises(ConfigError, match="--allow-imports"):
        load_config(config, ["train.seed=1"]).import_plugins()
    load_config({"imports": [plugin]}).import_plugins()
    config.import_plugins()  # what runs already may go on running


def test_missing_plugin_is_one_sentence() -> None:
    config = load_config(write("a.yaml", "imports:\n  - gone_plugin\n"))
    with pytest.raises(ConfigError, match=r"imports\.0: .*'gone_plugin'.* \(a\.yaml:2\)"):
        config.import_plugins()


def test_config_travels_to_other_processes() -> None:
    import pickle

    config: Config = pickle.loads(pickle.dumps(load_config({"model": {"type": "A"}})))  # noqa: S301
    assert config["model.type"] == "A"
