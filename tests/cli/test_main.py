"""The command line as a user meets it: answers, exit codes, and one sentence for each mistake."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import facezoo
from facezoo.cli import EPILOG, VERBS, main
from facezoo.errors import ConfigError


@pytest.mark.parametrize("verb", [None, *(verb.NAME for verb in VERBS)])
def test_help_has_examples(verb: str | None, capsys: pytest.CaptureFixture) -> None:
    assert main([verb, "--help"] if verb else ["--help"]) == 0
    printed = capsys.readouterr().out
    assert "examples:\n  facezoo " in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_version(capsys: pytest.CaptureFixture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"facezoo {facezoo.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "VERB"),
        (["trian", "quickstart"], "no verb 'trian' among train, eval"),
        (["trian", "quickstart"], "did you mean 'train'?"),
        (["--debugg", "env"], "--debugg"),
        (["train", "a.b=1"], "no config among the words"),
        (["train", "retinaface_mnet02"], "retinaface_mnet025"),
        (["train", "tiny_test", "mine"], "mine"),
        (["train", "tiny_test", "mine", "--resume", "runs/x"], "--resume runs/x is one run"),
        (["eval", "retinaface_mnet02"], "retinaface_mnet025"),
        (["eval", "a", "b"], "Name one model to evaluate; the words name 2."),
        (["eval", "tiny_test", "--list", "none.txt"], "The list none.txt does not exist"),
        (["eval", "tiny_test"], "No weights of tiny_test come with facezoo"),
        (["eval", "tiny_test", "--weights", "none.safetensors"], "none.safetensors"),
        (["eval", "tiny_test", "evaluation.protocl=vga"], "protocl"),
        (["eval-predictions", "none"], "none"),
        (["eval-predictions", ".", "--list", "none.txt"], "The list none.txt does not exist"),
        (["detect", "none.jpg"], "There is no file or folder none.jpg."),
        (["detect", "wall.png", "--device", "gpu0"], "The device 'gpu0' is not on this machine"),
        (["detect", "wall.png", "--batch-size", "0"], "batch_size is 0"),
        (["detect", "empty"], "There is no photograph in empty."),
        (["detect", "wall.png", "--protocol", "vag"], "mean 'vga'"),
        (["detect", "wall.png", "--model", "tiny_tset"], "tiny_test"),
        (["detect", "wall.png", "--model", "empty"], "empty is a folder without model.safetensors"),
        (["zoo", "show", "retinaface_r5"], "retinaface_r50"),
        (["zoo", "convert", "none.pth", "--from", "biubug6"], "none.pth"),
        (["zoo", "convert", "wall.png", "--from", "biubug"], "biubug6"),
    ],
)
def test_wrong_requests(
    argv: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("wall.png").write_bytes(b"")
    assert main(argv) == 2
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert printed.err.startswith("facezoo") and "Traceback" not in printed.err


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ConfigError(["first.", "second."]), 2, "facezoo: first.\nsecond.\n"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (KeyboardInterrupt(), 130, "facezoo: stopped.\n"),
    ],
)
def test_errors_of_a_verb(
    error: BaseException,
    code: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr("facezoo.environment.environment", lambda: _raise(error))
    assert main(["env"]) == code
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--debug", "env"], ["env", "--debug"]])
def test_debug_shows_the_traceback_of_an_error(
    argv: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("facezoo.environment.environment", lambda: _raise(ConfigError("wrong.")))
    assert main(argv) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_defect_is_not_taken_for_a_mistake_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facezoo.environment.environment", lambda: _raise(KeyError("x")))
    with pytest.raises(KeyError):
        main(["env"])


def test_env(capsys: pytest.CaptureFixture) -> None:
    assert main(["env"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["facezoo"] == facezoo.__version__
    assert lines["python"] == sys.version.split()[0]


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["detect", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys; from facezoo.cli import main; code = main(sys.argv[1:]); "
        "print(code, {'torch', 'cv2', 'timm', 'albumentations', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 set()"


@pytest.mark.slow
def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "facezoo.cli", "trian"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("facezoo: There is no verb 'trian'")


def test_completion_without_its_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert main(["env"]) == 2
    printed = capsys.readouterr()
    assert 'pip install "facezoo[completion]"' in printed.err
    assert printed.err.count("\n") == 1 and not printed.out


def test_extras_that_are_advised_exist() -> None:
    setup = (Path(__file__).parents[2] / "setup.py").read_text()
    (extras,) = (
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(setup))
        if isinstance(node, ast.keyword) and node.arg == "extras_require"
    )
    assert set(re.findall(r"facezoo\[(.+?)\]", EPILOG)) == {"completion"}
    assert extras["completion"][0].startswith("argcomplete")
    assert extras["fast-eval"][0].startswith("faster-coco-eval")
