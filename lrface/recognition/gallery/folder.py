"""A folder of photos per person -> a gallery. Killed at any moment, the same call goes on where it was."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from lrface.data.folders import LOOSE, Passed, leave_out, list_folder, walk
from lrface.errors import LrfaceError
from lrface.files import require_path
from lrface.recognition.gallery.answers import Report
from lrface.recognition.gallery.gallery import BATCH, Gallery
from lrface.recognition.gallery.names import checked_name


@dataclass
class FolderReport(Report):
    """What became of a folder.

    Attributes:
        images: how many photos there are, with those that are left out, and linked folders.
        people: how many people have photos.
    """

    images: int = 0
    people: int = 0


def import_folder(gallery: Gallery, folder: str | Path, force: bool = False, progress: bool = True) -> FolderReport:
    """Enrol the people of a folder: ``folder/NAME/*.jpg``, to the bottom; the name of the subfolder is the person's.

    Photos that a person has already, by content, are not looked at again. What cannot be used is in the report: photos
    without a usable face, folders without photos, photos that lie in no person's folder, linked folders.

    Args:
        gallery: where to.
        folder: from where.
        force: enrol unusable faces, too; see :meth:`Gallery.add`.
        progress: show a bar with rate and time left.

    Raises:
        LrfaceError: the folder holds no person's folder, the gallery cannot be written, or the detector cannot be had.
    """
    from tqdm import tqdm

    report, people, passed = FolderReport(), list[tuple[str, Path]](), Passed()
    root = Path(require_path(folder))
    listing = list_folder(root, passed, str(root))
    leave_out((str(root / image) for image in listing.images), LOOSE, passed)
    for entry in map(root.joinpath, listing.folders):
        if name := _name(entry, report, passed):
            people.append((name, entry))
    report.refused += passed.rows
    report.notes += passed.notes()
    report.images += len(passed.rows)
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


def _name(folder: Path, report: FolderReport, passed: Passed) -> str | None:
    """Whose photos a folder holds, having counted them; None if nobody's, and the report says why."""
    images = sum(1 for _ in walk(folder, passed))
    if not images:
        report.notes.append(f"{folder} holds no photos")
        return None
    try:
        name = checked_name(folder.name)
    except LrfaceError as error:
        leave_out(walk(folder, Passed()), str(error), passed)
        return None
    report.images += images
    return name


def _photos(folder: Path) -> list[Path]:
    return sorted(map(Path, walk(folder, Passed())))
