"""Verification with several photos or faces per person."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.embed_files import list_images
from lrface.recognition.encoder import DEFAULT_FAR, CroppedFace, FaceEncoder, Image, ImageError, Verification
from lrface.recognition.template import SetScore, compare_sets, weigh


def list_side(text: str) -> list[str]:
    """The photos of one side of a comparison: a file, a folder, or several of both, separated by commas.

    A file or folder whose own name has commas is taken as such.

    Raises:
        LrfaceError: a folder has no images, or there is no such file.
    """
    if Path(text).exists() or "," not in text:
        return [str(path) for path in list_images([text])] if Path(text).is_dir() else [text]
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise LrfaceError(f"{text}: there is nothing between two commas; give files as a.jpg,b.jpg")
    return [str(path) for path in list_images(parts)]


def look_at_side(encoder: FaceEncoder, photos: Sequence[Image], every: bool) -> tuple[list[CroppedFace], list[str]]:
    """The faces of one side, and a note for each photo that cannot be used.

    Args:
        encoder: the model and its detector.
        photos: of one person.
        every: take all faces of each photo, instead of the main one.

    Raises:
        ImageError: no photo can be used; the message gives the first one's reason.
        LrfaceError: the detector is not available.
    """
    all_cropped, notes = list[CroppedFace](), list[str]()
    failed: ImageError | None = None
    for photo in photos:
        try:
            found = encoder.cropped_faces(photo) if every else [encoder.cropped_face(photo)]
            if not found:
                raise ImageError(f"{photo}: no face found" if isinstance(photo, str | Path) else "no face found")
            all_cropped += found
        except ImageError as error:
            failed = failed or error
            notes.append(f"left out {error}")
    if failed is not None and not all_cropped:
        raise failed
    return all_cropped, notes


def verify_several(
    encoder: FaceEncoder,
    a: Sequence[CroppedFace],
    b: Sequence[CroppedFace],
    far: float = DEFAULT_FAR,
    threshold: float | None = None,
    any_pair: bool = False,
) -> Verification:
    """Decide whether two sides show one person; :mod:`lrface.recognition.template` describes how several faces are combined.

    Args:
        encoder: the model.
        a, b: the faces of each side, at least one.
        far: the wanted false accept rate of one comparison.
        threshold: a cosine to use instead.
        any_pair: whether the faces of a side may be of different people. Then only the best pair of faces decides.

    Returns:
        The answer. Resolutions and models are those of the best pair. With several faces there is no probability, because
        that of a pair does not hold for the sides.

    Raises:
        LrfaceError: a side is empty, the model has no threshold for this rate, or ``threshold`` is not a cosine.
    """
    if not a or not b:
        raise LrfaceError("give one face at least for each side")
    if len(a) == len(b) == 1:
        return encoder.compare(a[0], b[0], far, threshold)
    encoder.check_threshold(far, threshold)
    limits = np.array(
        [[encoder.threshold(far, x.quality, y.quality) if threshold is None else threshold for y in b] for x in a]
    )
    all_cropped = [*a, *b]
    rows = encoder.embed_crops(
        [cropped.crop for cropped in all_cropped],
        resolutions=[cropped.quality.resolution for cropped in all_cropped],
    )
    left, right = rows[: len(a)], rows[len(a) :]
    weights = (
        weigh([cropped.quality.recognisability for cropped in a]),
        weigh([cropped.quality.recognisability for cropped in b]),
    )
    score = compare_sets(left, right, limits, weights)
    if any_pair:
        cosine = float(np.clip(left[score.best[0]] @ right[score.best[1]], -1, 1))
        score = SetScore(cosine, float(limits[score.best]), score.best)
    pair = a[score.best[0]], b[score.best[1]]
    promised = far if threshold is None else None
    notes = tuple(note for cropped in all_cropped for note in cropped.notes) + _explain(score, a, b, promised, any_pair)
    notes += encoder.rate_notes(far) if promised else ()
    return Verification.of(
        score.similarity, score.threshold, pair, encoder.embedder, promised, tuple(dict.fromkeys(notes))
    )


def _explain(
    score: SetScore, a: Sequence[CroppedFace], b: Sequence[CroppedFace], far: float | None, any_pair: bool
) -> tuple[str, ...]:
    """Notes about how the decision was made, and its effect on the false accept rate."""
    first, second = a[score.best[0]], b[score.best[1]]
    best = f"{_place(first, any_pair)} and {_place(second, any_pair)}"
    count = len(a) * len(b)
    how = f"the best of {len(a)} x {len(b)} pairs of faces: {best}"
    if not any_pair:
        how = f"{len(a)} x {len(b)} faces: the best pair ({best}) and the means of both sides decide together"
    notes = [how]
    if far is not None:
        risk = 100 * (1 - (1 - far) ** count)
        notes.append(
            f"{count} pairs are compared: at a false accept rate of {far:g} each, strangers are accepted with a chance of up "
            f"to about {risk:.2g} %"
        )
    return tuple(notes)


def _place(cropped: CroppedFace, boxed: bool) -> str:
    if not boxed or cropped.face is None:
        return cropped.name
    left, top, right, bottom = (round(float(edge)) for edge in cropped.box)
    return f"{cropped.name} at {left},{top} to {right},{bottom}"
