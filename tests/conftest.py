"""Fixtures and settings that every test shares."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photographs, weights and predictions; skips where there is none."""
    folder = Path(os.environ.get("FACEZOO_SHARED", PROJECT / ".." / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the shared data folder, which FACEZOO_SHARED names (not at {folder})")
    return folder.resolve()


@pytest.fixture(autouse=True, scope="session")
def _two_threads() -> None:
    import torch

    torch.set_num_threads(2)
