"""Checkpoints: everything that a run needs to resume, in one file that is either complete or absent."""

from pathlib import Path
from typing import Any

import torch

from lrface.errors import LrfaceError
from lrface.files import atomic_write

FORMAT = 1


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write tensors, numbers, strings and containers of these, atomically.

    Raises:
        LrfaceError: the file cannot be written.
    """
    with atomic_write(path) as file:
        torch.save(content | {"format": FORMAT}, file)


def load_checkpoint(path: Path, recipe: dict[str, Any], fingerprint: str) -> dict[str, Any]:
    """Read a checkpoint of the same run. No code in the file is executed.

    Args:
        path: the file.
        recipe: the recipe of the run that resumes.
        fingerprint: of its training store.

    Raises:
        LrfaceError: the file is missing or damaged, or belongs to another recipe or other data.
    """
    if not path.is_file():
        raise LrfaceError(f"nothing to resume: {path} does not exist")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or malicious file can raise anything
        raise LrfaceError(f"{path} is not a checkpoint that can be read") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise LrfaceError(f"{path} is not a checkpoint of this version")
    different = _differences(content["recipe"], recipe)
    if different:
        raise LrfaceError(
            f"{path} was trained with another recipe ({', '.join(different)} differ): resume with that recipe, "
            "or choose another --out"
        )
    if content["store"] != fingerprint:
        raise LrfaceError(f"{path} was trained on other faces than the store that the recipe names now")
    return content


def restore(module: torch.nn.Module, state: dict[str, Any], where: Path) -> None:
    """Load a module's state.

    Raises:
        LrfaceError: the state is of another architecture.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise LrfaceError(f"{where} is of another architecture than the recipe's: {first[0].strip()}") from error


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys at which two recipes differ, except for those that may change on resuming (``free``)."""
    free = {"optim.epochs", "optim.lr", "optim.clip_norm", "whiten", "description", "name"}
    result = []
    for key in sorted(before.keys() | now.keys()):
        left, right, name = before.get(key), now.get(key), f"{prefix}{key}"
        if isinstance(left, dict) and isinstance(right, dict):
            result += _differences(left, right, f"{name}.")
        elif left != right and name not in free:
            result.append(name)
    return result
