"""``import facezoo`` is light, and every public name can be had from it."""

import importlib
import subprocess
import sys

import pytest

import facezoo

HEAVY = ("torch", "timm", "cv2", "albumentations", "torchvision", "scipy", "matplotlib")
SCRIPT = """
import sys
{lines}
print([name for name in {heavy} if name in sys.modules])
"""


@pytest.mark.parametrize(
    "lines",
    [
        "import facezoo",
        "import facezoo.registry, facezoo.config.config, facezoo.builder, facezoo.structures",
        "from facezoo import BACKBONES, FacezooError, Sample, load_config, build_model",
        "from facezoo import load_config; load_config({'model': {'x': '${train.seed}'}}).to_yaml()",
    ],
)
def test_light(lines: str) -> None:
    script = SCRIPT.format(lines=lines, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize("name", facezoo.__all__)
def test_public_name(name: str) -> None:
    value = getattr(facezoo, name)
    assert name in dir(facezoo)
    module = importlib.import_module(facezoo._MODULE_OF[name])
    assert value is getattr(module, name)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tarin'"):
        facezoo.tarin  # noqa: B018
    assert set(facezoo.__all__) == set(facezoo._MODULE_OF)
