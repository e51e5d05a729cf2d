"""The page that shows how to add a part is run as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

PROJECT = Path(__file__).resolve().parent.parent
PAGE = (PROJECT / "docs" / "extend.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@pytest.mark.slow
def test_plug_in_of_the_docs_trains(tmp_path: Path) -> None:
    blocks = FENCE.findall(PAGE)
    for language, text in blocks:
        if language in ("python", "yaml"):
            (tmp_path / text.split("\n", 1)[0].removeprefix("# ")).write_text(text)
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "photo.jpg"), noise)

    shell = [text for language, text in blocks if language == "bash"]
    commands = [line for text in shell for line in text.splitlines()]
    assert len(commands) == 3
    for command in commands:
        words = command.replace("facezoo", "", 1).split()
        done = subprocess.run(
            [sys.executable, "-m", "facezoo.cli", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    assert (tmp_path / "trained" / "checkpoints" / "last" / "model.safetensors").is_file()

    script = subprocess.run(
        [sys.executable, "build_it.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(script.stdout) > 1000
