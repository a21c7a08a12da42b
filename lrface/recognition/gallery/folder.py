"""A folder of photos per person -> a gallery. Killed at any moment, the same call goes on where it was."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lrface.errors import LrfaceError
from lrface.faces.images import SUFFIXES
from lrface.files import require_path
from lrface.recognition.gallery.answers import Report
from lrface.recognition.gallery.gallery import BATCH, Gallery
from lrface.recognition.gallery.names import checked_name


@dataclass
class FolderReport(Report):
    """What became of a folder.

    Attributes:
        images: how many photos there are.
        people: how many people have photos.
    """

    images: int = 0
    people: int = 0


def import_folder(gallery: Gallery, folder: str | Path, force: bool = False, progress: bool = True) -> FolderReport:
    """Enrol the people of a folder: ``folder/NAME/*.jpg``, to the bottom; the name of the subfolder is the person's.

    Photos that a person has already, by content, are not looked at again. What cannot be used is in the report: photos
    without a usable face, folders without photos, photos that lie in no person's folder.

    Args:
        gallery: where to.
        folder: from where.
        force: enrol unusable faces, too; see :meth:`Gallery.add`.
        progress: show a bar with rate and time left.

    Raises:
        LrfaceError: the folder holds no person's folder, the gallery cannot be written, or the detector cannot be had.
    """
    from tqdm import tqdm

    report, people = FolderReport(), list[tuple[str, Path]]()
    for entry in _listing(Path(require_path(folder))):
        if not entry.is_dir():
            if entry.suffix.lower() in SUFFIXES:
                report.refused.append((str(entry), "lies in no person's folder"))
        elif name := _name(entry, report):
            people.append((name, entry))
    if not people:
        raise LrfaceError(f"{folder} holds no photos: expected a folder of them for each person")
    report.people = len(people)
    photos = ((name, file) for name, entry in people for file in _photos(entry))  # a million of them is not held
    with tqdm(total=report.images, unit="img", desc="import", disable=None if progress else True) as bar:
        while batch := list(islice(photos, BATCH)):
            part = gallery.add_many(batch, force)
            report.added += part.added
            report.known += part.known
            report.refused += part.refused
            report.notes += part.notes
            bar.update(len(batch))
    return report


def _name(folder: Path, report: FolderReport) -> str | None:
    """Whose photos a folder holds, having counted them; None if nobody's, and the report says why."""
    try:
        name = checked_name(folder.name)
    except LrfaceError as error:
        report.refused.append((str(folder), str(error)))
        return None
    images = len(_photos(folder))
    if not images:
        report.refused.append((str(folder), "holds no photos"))
        return None
    report.images += images
    return name


def _photos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise LrfaceError(f"cannot list {folder}: {error.strerror or error}") from error
