"""Where the crop of an enrolled face is kept, if somebody asked for it: no name becomes a path."""

import hashlib
from pathlib import Path

from lrface.recognition.gallery.names import name_key


def person_folder(folder: Path, name: str) -> Path:
    """Where the crops of a person are, within the folder of all; the spelling of the name does not count."""
    return folder / hashlib.sha256(name_key(name).encode("utf-8", "replace")).hexdigest()[:32]


def crop_path(folder: Path, name: str, digest: bytes) -> Path:
    """The crop of a face: ``digest`` is its image's (:func:`lrface.recognition.gallery.enrol.image_digest`)."""
    return person_folder(folder, name) / f"{digest.hex()}.png"
