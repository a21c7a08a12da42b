"""Paths of the kept crops of enrolled faces. Names do not appear in them."""

import hashlib
from pathlib import Path

from lrface.recognition.gallery.names import name_key


def person_folder(folder: Path, name: str) -> Path:
    """The folder of a person's crops; all spellings of a name have the same one."""
    return folder / hashlib.sha256(name_key(name).encode("utf-8", "replace")).hexdigest()[:32]


def crop_path(folder: Path, name: str, digest: bytes) -> Path:
    """The crop of a face; ``digest`` is from :func:`lrface.recognition.gallery.enrol.image_digest`."""
    return person_folder(folder, name) / f"{digest.hex()}.png"
