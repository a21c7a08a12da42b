"""TinyFace (Cheng, Zhu, Gong, "Low-Resolution Face Recognition", ACCV 2018): 1:N retrieval of native small faces.

::

    ROOT/Training_Set/<id>/*.jpg
    ROOT/Testing_Set/Probe/*.jpg                probe_img_ID_pairs.mat: probe_set, probe_ids
    ROOT/Testing_Set/Gallery_Match/*.jpg        gallery_match_img_ID_pairs.mat: gallery_set, gallery_ids
    ROOT/Testing_Set/Gallery_Distractor/*.jpg   mates of no probe
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.face_list import (
    DISTRACTOR,
    NO_FACES,
    FaceList,
    images_in,
    mate_note,
    read_identities,
    read_listed,
    read_marker,
    size_notes,
)
from lrface.errors import LrfaceError
from lrface.files import require_path

#: Number of images in the published set.
SIZES = {"probe": 3728, "match": 4443, "distractor": 153428}


@dataclass(frozen=True)
class TinyFace:
    """The whole set.

    Attributes:
        train: labelled from 0; empty if there is no training set.
        probe: in the order of its list.
        match: the gallery images with mates among the probes, in the order of their list.
        distractors: the rest of the gallery, all labelled ``DISTRACTOR``.
        rehearsal: see :func:`lrface.data.face_list.read_marker`; None for the real set.
        notes: remarks for reports: probes without a mate, missing parts.
    """

    train: FaceList
    probe: FaceList
    match: FaceList
    distractors: FaceList
    rehearsal: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    @property
    def gallery(self) -> FaceList:
        """The gallery: first the mates, then the distractors."""
        return FaceList.merge(self.match, self.distractors)


def read_tinyface(root: str | Path) -> TinyFace:
    """Read the lists and check that their images exist. No image is decoded.

    Args:
        root: the folder that holds ``Testing_Set``.

    Raises:
        LrfaceError: a folder, a list or an image of a list is missing, a list is damaged, or the gallery is empty.
    """
    root = Path(require_path(root))
    test = root / "Testing_Set"
    if not test.is_dir():
        raise LrfaceError(f"no TinyFace at {root}: {test} is missing; `lrface data where tinyface` tells the layout")
    probe, notes = read_listed(test / "probe_img_ID_pairs.mat", "probe", test / "Probe", "tinyface")
    match, more = read_listed(test / "gallery_match_img_ID_pairs.mat", "gallery", test / "Gallery_Match", "tinyface")
    notes += more
    if not len(match):
        raise LrfaceError(f"the gallery of {test} is empty: gallery_match_img_ID_pairs.mat lists no image")
    others = images_in(test / "Gallery_Distractor", "tinyface")
    distractors = FaceList(tuple(others), np.full(len(others), DISTRACTOR))
    if (root / "Training_Set").is_dir():
        train = read_identities(root / "Training_Set")
    else:
        train = NO_FACES
        notes.append("no Training_Set: nothing to finetune on")
    rehearsal = read_marker(root)
    notes += mate_note(probe, match)
    if rehearsal is None:
        notes += size_notes({"probe": len(probe), "match": len(match), "distractor": len(distractors)}, SIZES)
    return TinyFace(train, probe, match, distractors, rehearsal, tuple(notes))
