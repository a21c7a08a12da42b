"""The one home of the version number, and of the commit where there is one."""

import os
import platform
from pathlib import Path

__version__ = "0.1.0"


def code_version() -> dict[str, str | None]:
    """What runs here, as results record it: the version, and the commit if this is a git checkout with git at hand."""
    import subprocess  # not above: this module is part of every command

    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = None
    return {"version": __version__, "commit": commit}


def hardware(device: str = "cpu") -> str:
    """The processor's name and the cores that may be used; for CUDA the graphics card's."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux, or a processor that does not say
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"
