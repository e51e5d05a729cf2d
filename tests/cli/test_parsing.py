"""How words on the command line are told apart."""

from pathlib import Path

import pytest

from facezoo.cli import build_parser
from facezoo.cli.options import is_override, parse, read_names, split_overrides
from facezoo.errors import DataError


def words_of(*argv: str) -> list[str]:
    return parse(build_parser(), argv).words


def test_words_may_stand_anywhere() -> None:
    expected = ["tiny_test", "a.b=1", "c=2"]
    assert words_of("train", "tiny_test", "a.b=1", "c=2", "--sample") == expected
    assert words_of("train", "--sample", "tiny_test", "a.b=1", "--out", "x", "c=2") == expected
    assert words_of("train", "tiny_test", "--out", "x", "a.b=1", "--check", "c=2") == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("train.epochs=5", True),
        ("hooks.ema=null", True),
        ("data.root=a=b", True),
        ("_x=1", True),
        ("mine.yaml", False),
        ("runs/a=b/mine.yaml", False),
        ("=5", False),
    ],
)
def test_overrides(word: str, expected: bool) -> None:
    assert is_override(word) is expected


def test_a_file_is_never_an_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_overrides(["lr=1.yaml", "b=2"]) == ([], ["lr=1.yaml", "b=2"])
    Path("lr=1.yaml").touch()
    assert split_overrides(["lr=1.yaml", "b=2"]) == (["lr=1.yaml"], ["b=2"])


def test_list_of_names(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("0--Parade/a.jpg\r\n\n 1--Handshaking/b c.jpg \n")
    assert read_names(path) == ["0--Parade/a.jpg", "1--Handshaking/b c.jpg"]
    path.write_bytes(b"\xef\xbb\xbf0--Parade/a.jpg\n")
    assert read_names(path) == ["0--Parade/a.jpg"]
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    with pytest.raises(DataError, match=r"names\.txt is no text in UTF-8"):
        read_names(path)
    path.write_text("\n")
    with pytest.raises(DataError, match=r"names\.txt is empty"):
        read_names(path)
    with pytest.raises(DataError, match=r"other\.txt does not exist"):
        read_names(tmp_path / "other.txt")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["train"], "CONFIG"),
        (["train", "a.yaml", "--smaple"], "did you mean --sample"),
        (["eval", "m", "--wieghts=w"], "no option --wieghts, did you mean --weights"),
        (["detect", "a.jpg", "--zzz"], "no option --zzz;"),
        (["detect", "a.jpg", "--score", "0.5"], "no option --score"),
        (["detect", "a.jpg", "--score-thresh", "high"], "invalid float value: 'high'"),
        (["zoo", "show", "a", "b"], "'b' is one word too many"),
        (["zoo", "delete"], "'delete'"),
        (["zoo", "convert", "f.pth"], "--from"),
        (["data", "download", "imagenet"], "imagenet"),
    ],
)
def test_wrong_requests_are_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(build_parser(), argv)
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert sentence in printed.err
    assert printed.err.count("\n") == 1 and not printed.out
