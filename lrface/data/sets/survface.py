"""QMUL-SurvFace (Cheng, Zhu, Gong, "Surveillance Face Recognition Challenge", 2018): open-set search, verification.

::

    ROOT/training_set/<id>/*.jpg
    ROOT/Face_Identification_Test_Set/gallery/*.jpg         gallery_img_ID_pairs.mat: gallery_set, gallery_ids
    ROOT/Face_Identification_Test_Set/mated_probe/*.jpg     mated_probe_img_ID_pairs.mat: mated_probe_set, ..._ids
    ROOT/Face_Identification_Test_Set/unmated_probe/*.jpg   people who are not in the gallery
    ROOT/Face_Verification_Test_Set/verification_images/*.jpg
    ROOT/Face_Verification_Test_Set/{positive,negative}_pairs_names.mat: cells [n, 2] of the same name
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.face_list import (
    NO_FACES,
    UNKNOWN,
    FaceList,
    images_in,
    mate_note,
    read_identities,
    read_listed,
    read_marker,
    require_images,
    size_notes,
)
from lrface.data.sets.matlists import read_pair_list
from lrface.errors import LrfaceError
from lrface.files import require_path

#: Number of images in the published set (website, version 1).
SIZES = {"gallery": 60294, "mated probe": 60423, "unmated probe": 141736}

IDENTIFICATION = "Face_Identification_Test_Set"
VERIFICATION = "Face_Verification_Test_Set"


@dataclass(frozen=True)
class FacePairs:
    """Pairs of faces of a list.

    Attributes:
        faces: each image once; the people's names are not known here (``UNKNOWN``).
        a, b: int64 ``[n]``, positions in ``faces``.
        same: bool ``[n]``; both kinds are evenly mixed, so that contiguous folds have the same share of each.
    """

    faces: FaceList
    a: np.ndarray
    b: np.ndarray
    same: np.ndarray


@dataclass(frozen=True)
class SurvFace:
    """The whole set.

    Attributes:
        gallery, mated: gallery and mated probes, with the same labels for the same people.
        unmated: probes of people who are not in the gallery; all ``UNKNOWN``.
        train: labelled from 0; empty if there is no training set.
        pairs: the pairs of the verification set; None if there is none.
        rehearsal: see :func:`lrface.data.face_list.read_marker`; None for the real set.
        notes: remarks for reports.
    """

    gallery: FaceList
    mated: FaceList
    unmated: FaceList
    train: FaceList
    pairs: FacePairs | None = None
    rehearsal: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()


def read_survface(root: str | Path) -> SurvFace:
    """Read the lists and check that their images exist. No image is decoded.

    Args:
        root: the folder that holds ``Face_Identification_Test_Set``.

    Raises:
        LrfaceError: a folder, a list or an image of a list is missing, a list is damaged or contradicts itself, or the
            gallery is empty.
    """
    root = Path(require_path(root))
    test = root / IDENTIFICATION
    if not test.is_dir():
        raise LrfaceError(
            f"no QMUL-SurvFace at {root}: {test} is missing; `lrface data where qmul-survface` tells the layout"
        )
    gallery, notes = _read_part(test, "gallery")
    mated, more = _read_part(test, "mated_probe")
    notes += more
    if not len(gallery):
        raise LrfaceError(f"the gallery of {test} is empty: gallery_img_ID_pairs.mat lists no image")
    others = images_in(test / "unmated_probe", "qmul-survface")
    unmated = FaceList(tuple(others), np.full(len(others), UNKNOWN))
    train = read_identities(root / "training_set") if (root / "training_set").is_dir() else NO_FACES
    pairs = _read_pairs(root / VERIFICATION, notes) if (root / VERIFICATION).is_dir() else None
    if pairs is None:
        notes.append(f"no {VERIFICATION}: nothing to verify")
    rehearsal = read_marker(root)
    notes += mate_note(mated, gallery, "mated probe")
    if rehearsal is None:
        found = {"gallery": len(gallery), "mated probe": len(mated), "unmated probe": len(unmated)}
        notes += size_notes(found, SIZES)
    return SurvFace(gallery, mated, unmated, train, pairs, rehearsal, tuple(notes))


def _read_part(test: Path, part: str) -> tuple[FaceList, list[str]]:
    return read_listed(test / f"{part}_img_ID_pairs.mat", part, test / part, "qmul-survface")


def _read_pairs(folder: Path, notes: list[str]) -> FacePairs:
    files = [folder / f"{kind}_pairs_names.mat" for kind in ("positive", "negative")]
    positive, negative = (read_pair_list(file, file.stem) for file in files)
    if not positive or not negative:
        raise LrfaceError(f"{files[bool(positive)]} lists no pair: get it again")
    listed = [(pair, True) for pair in positive] + [(pair, False) for pair in negative]
    itself = next((pair[0] for pair, _ in listed if pair[0] == pair[1]), None)
    if itself:
        raise LrfaceError(f"the lists in {folder} pair {itself} with itself: get them again")
    both = {frozenset(pair) for pair in positive} & {frozenset(pair) for pair in negative}
    if both:
        first = " and ".join(min(sorted(pair) for pair in both))
        raise LrfaceError(f"the lists in {folder} contradict each other: {first} are in both; get them again")
    repeated = len(listed) - len({frozenset(pair) for pair, _ in listed})
    if repeated:
        notes.append(f"{repeated:,} of the {len(listed):,} verification pairs are repetitions and count as listed")
    names = sorted({name for pair, _ in listed for name in pair})
    paths = tuple(folder / "verification_images" / name for name in names)
    require_images(paths, f"the lists in {folder}")
    at = {name: number for number, name in enumerate(names)}
    places = [(np.arange(len(pairs)) + 0.5) / len(pairs) for pairs in (positive, negative)]
    order = np.argsort(np.concatenate(places), kind="stable")
    a, b = (np.array([at[pair[side]] for pair, _ in listed])[order] for side in (0, 1))
    faces = FaceList(paths, np.full(len(paths), UNKNOWN))
    return FacePairs(faces, a, b, np.array([same for _, same in listed])[order])
