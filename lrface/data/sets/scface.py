"""SCface (Grgic, Delac, Grgic, "SCface - surveillance cameras face database", 2011): one mugshot, five cameras, three
distances.

::

    ROOT/mugshot_frontal_cropped_all/001_frontal.jpg
    ROOT/surveillance_cameras_distance_1/cam_1/001_cam1_1.jpg   <subject>_cam<camera>_<distance>

Distance 1 is the farthest, 4.20 m; 2 is 2.60 m and 3 is 1.00 m. Some distributions also have the infrared cameras 6 and 7 in the
same folders. They are not part of the protocol.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.face_list import FaceList, images_in, mate_note, read_marker, size_notes
from lrface.errors import LrfaceError
from lrface.files import require_path

MUGSHOTS = "mugshot_frontal_cropped_all"
CAMERAS = range(1, 6)
DISTANCES = (1, 2, 3)

#: Number of images in the published set, which has 130 people.
SIZES = {"mugshot": 130} | {f"distance {distance}": 650 for distance in DISTANCES}


@dataclass(frozen=True)
class ScFace:
    """The whole set.

    Attributes:
        mugshots: the gallery, one image per person, labelled with the subject's number.
        cameras: distance (1 to 3) -> the images of all five cameras.
        rehearsal: see :func:`lrface.data.face_list.read_marker`; None for the real set.
        notes: remarks for reports.
    """

    mugshots: FaceList
    cameras: dict[int, FaceList]
    rehearsal: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def read_scface(root: str | Path) -> ScFace:
    """List the images of the set. No image is decoded.

    Args:
        root: the folder that holds ``mugshot_frontal_cropped_all``.

    Raises:
        LrfaceError: a folder is missing, a distance has no image, a file name does not fit its folder, a person has two
            mugshots, or the gallery is empty.
    """
    root = Path(require_path(root))
    if not (root / MUGSHOTS).is_dir():
        raise LrfaceError(
            f"no SCface at {root}: {root / MUGSHOTS} is missing; `lrface data where scface` tells the layout"
        )
    files = images_in(root / MUGSHOTS, "scface")
    mugshots = FaceList(tuple(files), np.array([_subject(file, r"(\d+)_frontal", "001_frontal") for file in files]))
    if not len(mugshots):
        raise LrfaceError(f"the gallery of {root} is empty: {MUGSHOTS} holds no image")
    subjects, counts = np.unique(mugshots.ids, return_counts=True)
    if counts.max() > 1:
        raise LrfaceError(f"{root / MUGSHOTS} has subject {subjects[counts.argmax()]} twice: remove one of the images")
    cameras = {distance: _read_distance(root, distance) for distance in DISTANCES}
    rehearsal = read_marker(root)
    notes = []
    for distance, faces in cameras.items():
        notes += mate_note(faces, mugshots, f"distance {distance} probe")
    if rehearsal is None:
        found = {"mugshot": len(mugshots)} | {f"distance {distance}": len(faces) for distance, faces in cameras.items()}
        notes += size_notes(found, SIZES)
    return ScFace(mugshots, cameras, rehearsal, tuple(notes))


def _read_distance(root: Path, distance: int) -> FaceList:
    folder = root / f"surveillance_cameras_distance_{distance}"
    paths: list[Path] = []
    ids: list[int] = []
    for camera in CAMERAS:
        files = images_in(folder / f"cam_{camera}", "scface")
        paths += files
        pattern, example = rf"(\d+)_cam{camera}_{distance}", f"001_cam{camera}_{distance}"
        ids += [_subject(file, pattern, example) for file in files]
    if not paths:
        raise LrfaceError(f"{folder} holds no images of the cameras 1 to 5: unpack the archive again")
    return FaceList(tuple(paths), np.array(ids))


def _subject(file: Path, pattern: str, example: str) -> int:
    match = re.fullmatch(pattern, file.stem, re.IGNORECASE | re.ASCII)
    if not match:
        raise LrfaceError(
            f"{file} is not named like {example}.jpg, as all images in its folder are: rename or remove it"
        )
    return int(match[1])
