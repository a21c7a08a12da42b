"""Importing a folder of photos per person into a gallery. If the process is killed, the same call resumes."""

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
    """The outcome of a folder.

    Attributes:
        images: number of photos, including those left out, and of linked folders.
        people: number of people with photos.
    """

    images: int = 0
    people: int = 0


def import_folder(gallery: Gallery, folder: str | Path, force: bool = False, progress: bool = True) -> FolderReport:
    """Enrol the people of a folder: ``folder/NAME/*.jpg`` with all subfolders. The subfolder's name is the person's name.

    Photos that a person already has, by content, are skipped. The report lists everything that cannot be used: photos
    without a usable face, folders without photos, photos outside a person's folder, linked folders.

    Args:
        gallery: receives the faces.
        folder: the photos.
        force: also enrol unusable faces; see :meth:`Gallery.add`.
        progress: show a progress bar with rate and remaining time.

    Raises:
        LrfaceError: there is no person's folder, the gallery cannot be written, or the detector is not available.
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
    # A generator, because there may be a million photos.
    photos = ((name, file) for name, entry in people for file in _photos(entry))
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
    """Count the photos of a person's folder and return the person's name; None if it cannot be used, with a report entry."""
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
