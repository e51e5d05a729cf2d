"""Counts the files whose functions run on three ways into facezoo, as a newcomer would read them.

    python tools/way_in.py            the files, and how many there are
    python tools/way_in.py --check    fails where there are more than LIMITS allows

Functions that run while a module is imported, such as decorators, are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from torch.optim.optimizer import register_optimizer_step_pre_hook

import facezoo
from facezoo.cli import main as facezoo_command

PACKAGE = Path(facezoo.__file__).parent
LIMITS = {"train": 70, "key": 12, "detect": 9}
WAYS = {
    "train": "`facezoo train tiny_test` to its first update",
    "key": "a key of a YAML to the constructor of the neck",
    "detect": "a photograph to its faces",
}


class Arrived(BaseException):
    """Ends a way at its goal; no code on the way catches it."""


class Trace:
    """Notes the files of facezoo whose functions run, in this thread and in forked workers.

    Args:
        path: where the names are written, by all processes, in the order of their first call.
        way: the one that is traced.
    """

    def __init__(self, path: Path, way: str) -> None:
        self.path = path
        self.way = way
        self.seen: set[str] = set()
        self.importing = 0

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Is called by Python at the begin and the end of each function."""
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(str(PACKAGE)):
            return
        if code.co_name == "<module>":
            self.importing += 1 if event == "call" else -1
        elif event == "call" and not self.importing and code.co_flags & inspect.CO_OPTIMIZED:
            file = Path(code.co_filename).relative_to(PACKAGE).as_posix()
            if file not in self.seen:
                self.seen.add(file)
                with self.path.open("a", encoding="utf-8") as names:
                    names.write(f"{file}\n")
            if self.way == "key" and "/necks/" in file and code.co_name == "__init__":
                raise Arrived


def trace(way: str, folder: Path) -> list[str]:
    """Returns the files on a way, in the order of their first call."""
    path, run = folder / f"{way}.txt", str(folder / "run")
    detector = facezoo.Detector() if way == "detect" else None
    sys.setprofile(Trace(path, way))
    try:
        if way == "train":
            with contextlib.redirect_stdout(sys.stderr):
                facezoo_command(["train", "tiny_test", "--out", run])
        elif way == "key":
            facezoo.build_model("tiny_test")
        elif detector is not None:
            detector([np.zeros((240, 320, 3), np.uint8)])
    except Arrived:
        pass
    finally:
        sys.setprofile(None)
    return list(dict.fromkeys(path.read_text(encoding="utf-8").splitlines()))


def _end_at_update(*_: object) -> None:
    sys.setprofile(None)
    raise Arrived


def main() -> int:
    """Prints the files of each way; returns 1 where ``--check`` finds too many."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail above the limits")
    check, too_long = parser.parse_args().check, False
    register_optimizer_step_pre_hook(_end_at_update)
    with tempfile.TemporaryDirectory() as folder:
        for way, what in WAYS.items():
            files = trace(way, Path(folder))
            too_long = too_long or len(files) > LIMITS[way]
            print(f"{what}: {len(files)} files, at most {LIMITS[way]}")
            print("".join(f"  {file}\n" for file in files), end="")
    return int(check and too_long)


if __name__ == "__main__":
    sys.exit(main())
