"""The files of the UCCS challenge (https://github.com/AIML-IfI/uccs-facerec-challenge): who is where in which photo."""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.face_list import require_images
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE, TEMPLATE_SIZE

#: In the order of ``TEMPLATE``. The person's right eye is the image-left one.
POINTS = ("REYE", "LEYE", "NOSE", "RMOUTH", "LMOUTH")
BOX = ("FACE_X", "FACE_Y", "FACE_WIDTH", "FACE_HEIGHT")


@dataclass(frozen=True)
class NamedFaces:
    """Faces of people who are known by name.

    Attributes:
        keys: a name for each face, all different.
        paths: the photo of each face.
        subjects: the name of the person.
        landmarks: float32 ``[n, 5, 2]`` pixels, or None.
        notes: remarks for reports.
    """

    keys: list[str]
    paths: list[Path]
    subjects: list[str]
    landmarks: np.ndarray | None
    notes: list[str]


def is_challenge(root: Path) -> bool:
    """Whether a folder has one of the challenge's lists."""
    return (root / "gallery.csv").exists() or (root / "validation.csv").exists()


def read_challenge(root: Path) -> NamedFaces:
    """Read all faces of known people from ``gallery.csv`` and ``validation.csv``; faces in both count once.

    A face with only a box gets five artificial landmarks. With these, the aligned crop is the square around the centre of the
    box with the box's longer side.

    Raises:
        LrfaceError: a list or a column is missing, a value is not a number, a FACE_ID is listed twice, a photo is missing,
            or there is no face of a known person.
    """
    for name in ("gallery.csv", "validation.csv"):
        if not (root / name).is_file():
            raise LrfaceError(f"{root / name} is missing: `lrface data where uccs` tells the layout")
    gallery, validation = (_read_table(root / name) for name in ("gallery.csv", "validation.csv"))
    known = validation[validation["SUBJECT_ID"] != -1]
    strangers = len(validation) - len(known)
    notes = [f"{strangers:,} faces of unknown people in validation.csv are not used"] if strangers else []
    excluded = _read_excluded(root)
    if excluded is None:
        notes.append("no exclude_gallery_validation list: faces of the gallery may be in validation.csv once more")
    else:
        twice = known["FACE_ID"].isin(excluded)
        known = known[~twice]
        if twice.any():
            notes.append(f"{int(twice.sum()):,} faces of validation.csv are in the gallery too and counted once")
    paths = [_gallery_image(root, str(file)) for file in gallery["FILE"]]
    require_images(paths, root / "gallery.csv")
    photos = [_photo(root, str(file)) for file in known["FILE"]]
    require_images(photos, root / "validation.csv")
    columns = [f"{point}_{axis}" for point in POINTS for axis in "XY"]
    points = _numbers(gallery, columns, root / "gallery.csv").reshape(-1, 5, 2)
    boxes = _numbers(known, list(BOX), root / "validation.csv")
    keys = [f"gallery/{file}" for file in gallery["FILE"]] + [f"validation/{face}" for face in known["FACE_ID"]]
    subjects = [str(subject) for subject in [*gallery["SUBJECT_ID"], *known["SUBJECT_ID"]]]
    if not keys:
        raise LrfaceError(f"{root}: gallery.csv and validation.csv list no face of a known person")
    return NamedFaces(keys, paths + photos, subjects, np.concatenate([points, _points_of(boxes)]), notes)


def _read_table(file: Path) -> Any:
    import pandas as pd

    try:
        table = pd.read_csv(file, dtype={"FILE": str}, skipinitialspace=True)
    except (ValueError, OSError) as error:
        raise LrfaceError(f"{file} is not a CSV file that can be read: {error}") from error
    needed = ["FILE", "SUBJECT_ID"] + (["FACE_ID"] if file.name == "validation.csv" else [])
    _require_columns(table, needed, file)
    for column in needed[1:]:
        numbers = _numbers(table, [column], file)[:, 0]
        if not np.array_equal(numbers, np.round(numbers)):
            raise LrfaceError(f"{file}: {column} holds something that is no whole number")
        table[column] = numbers.astype(np.int64)
    unique = needed[-1] if file.name == "validation.csv" else "FILE"
    repeated = table[unique][table[unique].duplicated()]
    if len(repeated):
        raise LrfaceError(f"{file} lists the {unique} {repeated.iloc[0]} twice: remove one of the lines")
    return table


def _require_columns(table: Any, columns: list[str], file: Path) -> None:
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise LrfaceError(f"{file} lacks the column {missing[0]!r}; it needs {', '.join(columns)}")


def _numbers(table: Any, columns: list[str], file: Path) -> np.ndarray:
    _require_columns(table, columns, file)
    try:
        return np.asarray(table[columns].to_numpy(np.float64))
    except ValueError as error:
        raise LrfaceError(
            f"{file} holds something that is no number in {columns[0]} to {columns[-1]}: {error}"
        ) from error


def _gallery_image(root: Path, name: str) -> Path:
    """The file of a gallery image: ``0001_0.png`` is in ``gallery_images/0001``."""
    places = [root / "gallery_images" / name.split("_")[0] / name, root / "gallery_images" / name, root / name]
    return next((place for place in places if place.is_file()), places[0])


def _photo(root: Path, name: str) -> Path:
    place = root / "validation_images" / name
    return root / name if not place.is_file() and (root / name).is_file() else place


def _points_of(boxes: np.ndarray) -> np.ndarray:
    """Boxes float ``[n, 4]`` (x, y, width, height) -> landmarks ``[n, 5, 2]`` for which the aligned crop is the square around
    the box."""
    side = boxes[:, 2:].max(1, initial=0)
    corner = boxes[:, :2] + (boxes[:, 2:] - side[:, None]) / 2
    # Pixel centres: pixel 0 of the crop covers 0 to 1, as the box does.
    return corner[:, None] + (TEMPLATE + 0.5) / TEMPLATE_SIZE * side[:, None, None] - 0.5


def _read_excluded(root: Path) -> set[int] | None:
    """Read the excluded FACE_IDs: one per line, or a pickled list as in the challenge's first release; None if there is no file."""
    text, pickled = (root / f"exclude_gallery_validation.{kind}" for kind in ("txt", "pickle"))
    file = text if text.exists() else pickled
    if not file.exists():
        return None
    try:
        values = text.read_text().split() if file == text else _Numbers(io.BytesIO(pickled.read_bytes())).load()
        return {int(value) for value in values}
    except Exception as error:  # a damaged pickle raises almost anything
        raise LrfaceError(
            f"{file} is not a list of FACE_IDs ({error}): write them to {text.name}, one a line"
        ) from error


class _Numbers(pickle._Unpickler):
    """Loads lists and sets of numbers; a pickle that needs any class or function is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")
