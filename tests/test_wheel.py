"""The wheel carries what it needs, and works in a folder far from the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys, pathlib
import facezoo
assert "torch" not in sys.modules, "import facezoo alone must stay light"
model = facezoo.build_model("retinaface_r50", "model.backbone.pretrained=false")
print(json.dumps({
    "file": facezoo.__file__,
    "parameters": sum(p.numel() for p in model.parameters()),
}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the unpacked wheel."""
    wheels = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels)]
    subprocess.run([*build, str(PROJECT)], check=True, capture_output=True, text=True)
    (wheel,) = wheels.glob("facezoo-*.whl")
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def test_build_model_from_an_installed_wheel(site: Path, tmp_path: Path) -> None:
    script = tmp_path / "use_it.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert Path(seen["file"]).is_relative_to(site)
    assert 25e6 < seen["parameters"] < 30e6


def test_wheel_carries_configs_weights_and_types(site: Path) -> None:
    package = site / "facezoo"
    configs = {path.name for path in (PROJECT / "model_zoo").glob("*.yaml")}
    assert configs and configs == {path.name for path in (package / "model_zoo").glob("*.yaml")}
    assert (package / "py.typed").is_file()
    weights = {path.name for path in (package / "zoo" / "weights").iterdir()}
    detectors = ("retinaface_mnet025", "yoloface_n05")
    assert weights == {f"{name}.{kind}" for name in detectors for kind in ("safetensors", "md")}
    assert not (site / "tests").exists()


@pytest.mark.parametrize(
    ("words", "name"), [([], "retinaface_mnet025"), (["--model", "yoloface_n05"], "yoloface_n05")]
)
def test_detectors_find_faces_without_the_checkout(
    words: list[str], name: str, site: Path, tmp_path: Path
) -> None:
    from PIL import Image

    Image.new("RGB", (96, 64), "grey").save(tmp_path / "wall.png")
    detect = ["detect", "wall.png", "--json", "faces.json", *words]
    command = [sys.executable, "-m", "facezoo.cli", *detect]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout + done.stderr
    assert json.loads((tmp_path / "faces.json").read_text())
