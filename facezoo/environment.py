"""What a bug report needs to know about the machine: versions and devices."""

import os
import platform
import sys
from importlib import metadata

import torch

from facezoo.version import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "albumentations",
    "pycocotools",
    "fvcore",
    "safetensors",
    "tensorboard",
)


def environment() -> dict[str, str]:
    """Returns versions and devices by name, in the order in which they are shown."""
    found = {
        "facezoo": __version__,
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "processor": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": str(torch.get_num_threads()),
    }
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    found["cuda"] = torch.version.cuda or "not built in"
    found["cudnn"] = str(torch.backends.cudnn.version() or "not built in")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory_gib = properties.total_memory / 2**30
        found[f"cuda:{index}"] = f"{properties.name}, {memory_gib:.0f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "available"
    return found


def peak_memory_gib(device: torch.device) -> float:
    """Returns the most memory used so far in GiB: the device's on CUDA, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**30 if sys.platform == "darwin" else peak / 2**20
