"""Installs facezoo; the configs of `model_zoo/` travel inside the package."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"', (HERE / "facezoo/version.py").read_text(), re.M)[1]

setup(
    name="facezoo",
    version=VERSION,
    description="A model zoo and training library for face detection",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=[*find_packages(include=["facezoo", "facezoo.*"]), "facezoo.model_zoo"],
    package_dir={"facezoo.model_zoo": "model_zoo"},
    package_data={
        "facezoo": ["py.typed", "zoo/weights/*", "evaluation/report_page.html"],
        "facezoo.model_zoo": ["*.yaml", "*.md", "_base_/*.yaml"],
    },
    install_requires=[
        "albumentations>=2.0.8,<3",
        "fvcore>=0.1.5.post20221221",
        "huggingface_hub>=0.25",
        "jinja2>=3.1",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "opencv-python-headless>=4.11",
        "pycocotools>=2.0.8",
        "pillow>=10",
        "pydantic>=2.7",
        "PyYAML>=6.0",
        "rich>=13",
        "safetensors>=0.4.5",
        "scipy>=1.11",
        "tensorboard>=2.16",
        "timm>=1.0.12",
        "torch>=2.6",
        "torchvision>=0.21",
        "typing_extensions>=4.4",
    ],
    extras_require={
        "completion": ["argcomplete>=3.1"],
        "fast-eval": ["faster-coco-eval>=1.6"],
        # The small package is enough for a server; what follows it is for a store in SQLite.
        "mlflow": ["mlflow-skinny>=3", "alembic>=1.10", "cryptography>=43", "SQLAlchemy>=2"],
        "wandb": ["wandb>=0.19"],
        "dev": [
            "build",
            "hypothesis>=6.100",
            "import-linter>=2.0",
            "mypy>=1.13",
            "onnxruntime>=1.18",
            "pre-commit>=3.5",
            "pytest>=8.2",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "setuptools>=77",
            "types-PyYAML",
            "wheel",
        ],
    },
    entry_points={"console_scripts": ["facezoo = facezoo.cli:main"]},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)
