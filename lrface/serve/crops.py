"""The crops of enrolled people. The service keeps them only if its user asked for it."""

import hashlib
import shutil
from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.files import atomic_write


class Crops:
    """A folder with one subfolder of crops per person.

    The name of a subfolder is a digest of the person's name, so no name can become a path.

    Args:
        folder: is made if it does not exist, readable by its owner only.

    Raises:
        LrfaceError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise LrfaceError(f"cannot write {folder}: {error.strerror or error}") from error

    def keep(self, person: str, crop: np.ndarray) -> None:
        """Store a crop of the person with this key.

        Args:
            person: key of the name, from :func:`lrface.recognition.gallery.names.name_key`.
            crop: uint8 RGB, (height, width, 3).
        """
        data = encode_image(crop, "png")
        with atomic_write(self._of(person) / f"{hashlib.sha256(data).hexdigest()[:32]}.png") as file:
            file.write(data)

    def find(self, person: str) -> bytes | None:
        """The first crop of a person as PNG bytes, or None if there is none."""
        path = min(self._of(person).glob("[!.]*.png"), default=None)
        try:
            return None if path is None else path.read_bytes()
        except FileNotFoundError:  # erased in the meantime
            return None

    def erase(self, person: str) -> None:
        """Erase all crops of a person."""
        shutil.rmtree(self._of(person), ignore_errors=True)

    def erase_others(self, people: set[str]) -> None:
        """Erase the crops of all people except these keys."""
        kept = {self._of(person).name for person in people}
        for path in self._folder.iterdir():
            if path.is_dir() and len(path.name) == 32 and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def _of(self, person: str) -> Path:
        return self._folder / hashlib.sha256(person.encode("utf-8", "replace")).hexdigest()[:32]
