"""The version number of lrface, and the commit where it is known."""

import os
import platform
from pathlib import Path

__version__ = "0.1.0"


def code_version() -> dict[str, str | None]:
    """The running version, as results record it: version number, and the commit if this is a git checkout (else None)."""
    import subprocess  # not at the top: every command imports this module

    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        commit = None
    return {"version": __version__, "commit": commit}


def hardware(device: str = "cpu") -> str:
    """The name of the processor and the number of usable cores; with CUDA the name of the graphics card."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # not Linux, or the processor has no name there
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"
