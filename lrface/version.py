"""The one home of the version number, and of the commit where there is one."""

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
