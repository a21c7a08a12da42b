"""UnConstrained College Students, 180 people: a split as CSV, the files of the challenge, or any folder per identity.

Wang et al. ("Studying Very Low Resolution Recognition Using Deep Networks", CVPR 2016) use a split of 180 people with 3,918
training and 907 test images, but it was never published. Without a CSV file the split is therefore made by
:func:`lrface.data.sets.subject_split.split_subjects`, and reports say that it is lrface's own.

The challenge's files (https://github.com/AIML-IfI/uccs-facerec-challenge)::

    ROOT/gallery.csv        FILE SUBJECT_ID REYE_X REYE_Y LEYE_X ... NOSE RMOUTH LMOUTH; RIGHT is the image's left
    ROOT/gallery_images/0001/0001_0.png
    ROOT/validation.csv     FILE FACE_ID SUBJECT_ID FACE_X FACE_Y FACE_WIDTH FACE_HEIGHT; -1: an unknown person
    ROOT/validation_images/*.jpg
    ROOT/exclude_gallery_validation.txt or .pickle: FACE_IDs of the faces that are in the gallery too
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.face_list import FaceList, read_marker, require_images
from lrface.data.sets.subject_split import TEST, TRAIN, UNUSED, split_subjects
from lrface.data.sets.uccs_challenge import NamedFaces, is_challenge, read_challenge
from lrface.data.sources import POINT_COLUMNS, FolderSource
from lrface.errors import LrfaceError
from lrface.files import atomic_write, require_path

#: Numbers of the protocol. The seed is the paper's.
SUBJECTS, TRAIN_IMAGES, TEST_IMAGES, SEED = 180, 3918, 907, 5

SPLIT_FILE = "split.csv"


@dataclass(frozen=True)
class Uccs:
    """The images of a closed set of people, in two parts.

    Attributes:
        train, test: labelled 0 to ``subjects - 1``, with the same labels in both.
        subjects: number of people.
        split: origin of the split: ``given (FILE)``, or ``lrface's own, seed 5``.
        names: names of the people, by label.
        rehearsal: see :func:`lrface.data.face_list.read_marker`; None for real data.
        notes: remarks for reports.
    """

    train: FaceList
    test: FaceList
    subjects: int
    split: str
    names: tuple[str, ...]
    rehearsal: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def read_uccs(
    source: str | Path,
    images: str | Path | None = None,
    subjects: int = SUBJECTS,
    train: int = TRAIN_IMAGES,
    test: int = TEST_IMAGES,
    seed: int = SEED,
) -> Uccs:
    """Read a split, or make one.

    Args:
        source: a CSV file ``path,subject_id,split``; or a folder that holds ``split.csv`` or the challenge's
            ``gallery.csv`` and ``validation.csv``; or any folder with one subfolder per identity.
        images: the folder to which the paths of a CSV file are relative; by default the file's own.
        subjects, train, test, seed: for a split that is made; a given split is used as it is.

    Raises:
        LrfaceError: there is no such source, an image is missing, a list is damaged or contradicts itself, a person has
            test images but no training image, or fewer than two people have two images.
    """
    source = Path(require_path(source))
    if source.is_file() or source.suffix == ".csv":
        return read_split(source, images)
    if not source.is_dir():
        raise LrfaceError(f"no UCCS at {source}: `lrface data where uccs` tells the layouts")
    if (source / SPLIT_FILE).is_file():
        return read_split(source / SPLIT_FILE, images)
    return build_split(source, subjects, train, test, seed)


def build_split(
    source: str | Path,
    subjects: int = SUBJECTS,
    train: int = TRAIN_IMAGES,
    test: int = TEST_IMAGES,
    seed: int = SEED,
) -> Uccs:
    """Make lrface's own split of the challenge's files or of a folder per identity; raises as :func:`read_uccs` does."""
    root = Path(require_path(source))
    faces = read_challenge(root) if is_challenge(root) else _read_folder(root)
    roles = split_subjects(faces.keys, faces.subjects, subjects, train, test, seed)
    uccs = _divide(faces, roles, f"lrface's own, seed {seed}", root)
    found = f"{uccs.subjects} people, {len(uccs.train):,} training and {len(uccs.test):,} test images"
    wanted = f"{subjects} people, {train:,} training and {test:,} test images"
    notes = [] if found == wanted else [f"{found}: what there is of {wanted}"]
    return replace(uccs, notes=(*uccs.notes, *notes))


def read_split(file: str | Path, images: str | Path | None = None) -> Uccs:
    """Read a given split: the columns ``path``, ``subject_id``, ``split`` (``train`` or ``test``).

    Columns with five landmarks may follow, as :func:`lrface.data.sources.read_landmarks` reads them. If a photo has
    several faces, the landmarks tell them apart.

    Raises:
        LrfaceError: see :func:`read_uccs`.
    """
    import pandas as pd

    file = Path(require_path(file))
    root = Path(images) if images else file.parent
    try:
        table = pd.read_csv(file, dtype={"path": str, "subject_id": str, "split": str}, keep_default_na=False)
    except FileNotFoundError as error:
        raise LrfaceError(f"no such split: {file}; `lrface data where uccs` tells the layouts") from error
    except (ValueError, OSError) as error:
        raise LrfaceError(f"{file} is not a CSV file that can be read: {error}") from error
    for column in ("path", "subject_id", "split"):
        if column not in table.columns:
            raise LrfaceError(f"{file} lacks the column {column!r}: it needs path,subject_id,split")
    if not len(table):
        raise LrfaceError(f"{file} lists no image: give path,subject_id,split")
    paths, subjects = table["path"].tolist(), table["subject_id"].tolist()
    landmarks = _landmarks(table, file)
    keys = (
        paths if landmarks is None else [f"{path} {spot.tolist()}" for path, spot in zip(paths, landmarks, strict=True)]
    )
    _check_rows(file, keys, subjects, table["split"].tolist())
    roles = np.where(table["split"] == "train", TRAIN, TEST)
    faces = NamedFaces(keys, [root / path for path in paths], subjects, landmarks, [])
    require_images(faces.paths, file)
    return _divide(faces, roles, f"given ({file.name})", root)


def write_split(uccs: Uccs, file: str | Path, root: str | Path) -> None:
    """Write a split as a CSV file that :func:`read_split` can read, atomically.

    Args:
        uccs: the split.
        file: the CSV file.
        root: the folder to which its paths are relative.

    Raises:
        LrfaceError: an image is not under ``root``, or the file cannot be written.
    """
    faces = FaceList.merge(uccs.train, uccs.test)
    with atomic_write(file, "w") as out:
        writer = csv.writer(out, lineterminator="\n")
        points = faces.landmarks
        writer.writerow(["path", "subject_id", "split", *(POINT_COLUMNS if points is not None else ())])
        for at, (path, label) in enumerate(zip(faces.paths, faces.ids.tolist(), strict=True)):
            if not path.is_relative_to(root):
                raise LrfaceError(f"{path} does not lie under {root}, which the paths of {file} are relative to")
            role = "train" if at < len(uccs.train) else "test"
            spots = [] if points is None else [_plain(value) for value in points[at].ravel()]
            writer.writerow([path.relative_to(root).as_posix(), uccs.names[label], role, *spots])


def _plain(value: np.floating[Any]) -> str:
    return "" if np.isnan(value) else np.format_float_positional(value, trim="-")


def _read_folder(root: Path) -> NamedFaces:
    source = FolderSource(root)
    items = list(source.items(0, len(source.counts())))
    names = [item.identity for item in items]
    return NamedFaces([item.path for item in items], [root / item.path for item in items], names, None, [])


def _landmarks(table: Any, file: Path) -> np.ndarray | None:
    given = [column for column in POINT_COLUMNS if column in table.columns]
    if not given:
        return None
    if len(given) < len(POINT_COLUMNS):
        missing = next(column for column in POINT_COLUMNS if column not in given)
        raise LrfaceError(f"{file} has landmarks but lacks the column {missing!r}: give five points or none")
    try:
        return table[list(POINT_COLUMNS)].replace("", "nan").to_numpy(np.float32).reshape(-1, 5, 2)
    except ValueError as error:
        raise LrfaceError(f"{file} holds a landmark that is not a number: {error}") from error


def _check_rows(file: Path, keys: Sequence[str], subjects: Sequence[str], splits: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for at, (key, subject, split) in enumerate(zip(keys, subjects, splits, strict=True)):
        line = at + 2
        if split not in ("train", "test"):
            raise LrfaceError(f"{file} line {line}: split is {split!r:.40}: write train or test")
        if not subject.strip():
            raise LrfaceError(f"{file} line {line}: there is no subject_id")
        if key in seen:
            first = seen[key]
            said = [f"{subjects[row]} in {splits[row]}" for row in (first, at)]
            raise LrfaceError(
                f"{file} line {line}: {key.split(' [')[0]} is listed already in line {first + 2} "
                f"({said[0]}, here {said[1]}): remove one of the lines"
            )
        seen[key] = at
    trained = {subject for subject, split in zip(subjects, splits, strict=True) if split == "train"}
    untrained = sorted(set(subjects) - trained)
    if untrained:
        raise LrfaceError(
            f"{file}: {len(untrained)} subjects have test images and no training image, first {untrained[0]}: "
            "a classifier cannot know them; give each one"
        )


def _divide(faces: NamedFaces, roles: np.ndarray, split: str, root: Path) -> Uccs:
    known = sorted({name for name, role in zip(faces.subjects, roles.tolist(), strict=True) if role != UNUSED})
    labels = {name: label for label, name in enumerate(known)}
    parts = []
    for role in (TRAIN, TEST):
        at = np.flatnonzero(roles == role)
        ids = np.array([labels[faces.subjects[i]] for i in at], np.int64)
        points = None if faces.landmarks is None else faces.landmarks[at]
        parts.append(FaceList(tuple(faces.paths[i] for i in at), ids, points))
    tested = Counter(parts[1].ids.tolist())
    notes = list(faces.notes)
    if len(tested) < len(known):
        notes.append(f"{len(known) - len(tested)} of {len(known)} people have no test image")
    if len(known) < 2 or not tested:
        raise LrfaceError(f"{split}: {len(known)} people and {len(parts[1])} test images make no identification")
    return Uccs(parts[0], parts[1], len(known), split, tuple(known), read_marker(root), tuple(notes))
