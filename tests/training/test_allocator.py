import platform
import subprocess
import sys

import pytest

from facezoo.training import process

SCRIPT = """
import resource, torch
from facezoo.training.process import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
net = torch.nn.Sequential(*[torch.nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1) for i in range(3)])
images = torch.rand(2, 3, 384, 384)
for step in range(7):
    if step == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    net(images).mean().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again() -> None:
    """A page that went back to the system faults when it is written again; a kept one does not."""
    faults = [
        int(subprocess.check_output([sys.executable, "-c", SCRIPT.format(keep=keep)]))
        for keep in (False, True)
    ]
    assert faults[0] > 10_000
    assert faults[1] < faults[0] / 10


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert process.keep_freed_memory() is False
