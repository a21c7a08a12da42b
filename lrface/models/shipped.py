"""The models in the package: their names, their files, and the checksums of these files.

``tools/ship.py`` writes ``weights/shipped.json``::

    {"format": 1, "default": NAME, "models": {NAME: FILE, ...}, "sha256": {FILE: HEX, ...},
     "families": {NAME: FILE, ...}, "family": NAME}

``families`` and ``family``, the default family, may be missing.
"""

from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import file_digest, read_json

#: Folder of the shipped files.
WEIGHTS = Path(__file__).parents[1] / "weights"
LISTING = "shipped.json"  # in that folder
FORMAT = 1


def names() -> list[str]:
    """The names of the shipped models, sorted."""
    return sorted(listing()["models"])


def default() -> str:
    """The name of the default model.

    Raises:
        LrfaceError: this installation has no model.
    """
    name: str | None = listing()["default"]
    if name is None:
        raise LrfaceError(f"this installation carries no model ({WEIGHTS / LISTING} is missing): name one with --model")
    return name


def find(name: str) -> Path | None:
    """The file of the shipped model ``name``; None if there is no such model.

    Raises:
        LrfaceError: the file is missing.
    """
    file = listing()["models"].get(name)
    if file is None:
        return None
    path = WEIGHTS / file
    if not path.is_file():
        raise LrfaceError(f"{path}, the shipped model {name}, is missing: install lrface again")
    return path


def families() -> list[str]:
    """Names of the shipped families."""
    return sorted(listing().get("families", {}))


def find_family(name: str | None) -> Path | None:
    """The file of the shipped family ``name``, or of the default family if ``name`` is None; None if there is none.

    Raises:
        LrfaceError: the file is missing or was changed since it was shipped.
    """
    known = listing()
    file = known.get("families", {}).get(known.get("family") if name is None else name)
    if file is None:
        return None
    path = WEIGHTS / file
    if not path.is_file():
        raise LrfaceError(f"{path}, the shipped family {name or known['family']}, is missing: install lrface again")
    checked_digest(path)
    return path


def checked_digest(path: str | Path) -> str:
    """SHA-256 of any model file. A file of the package must have the checksum with which it was shipped.

    Raises:
        LrfaceError: the file cannot be read, or it was shipped and has been changed since.
    """
    digest = file_digest(path)
    real = Path(path).resolve()  # a link to a shipped file counts as that file
    shipped = listing()["sha256"].get(real.name) if real.parent == WEIGHTS.resolve() else None
    if shipped and shipped != digest:
        raise LrfaceError(
            f"{path} has been changed since it was shipped (its SHA-256 begins with {digest[:12]}, not {shipped[:12]}): "
            "it is not used; install lrface again"
        )
    return digest


def faults() -> list[str]:
    """Check the shipped files: one sentence for each missing or changed file; empty if all are in order."""
    found = []
    for file in listing()["sha256"]:
        try:
            checked_digest(WEIGHTS / file)
        except LrfaceError as error:
            found.append(str(error))
    return found


def listing() -> dict[str, Any]:
    """The contents of ``shipped.json``; a list without models if the file is missing.

    Raises:
        LrfaceError: the file belongs to another version.
    """
    path = WEIGHTS / LISTING
    if not path.is_file():
        return {"format": FORMAT, "default": None, "models": {}, "sha256": {}}
    content: dict[str, Any] = read_json(path)
    if content.get("format") != FORMAT:
        raise LrfaceError(f"{path} is of another version of lrface: install lrface again")
    return content
