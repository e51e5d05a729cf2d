"""The ways into facezoo, in files, stay short."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_ways_in_are_short() -> None:
    tool = Path(__file__).parents[2] / "tools" / "way_in.py"
    done = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
