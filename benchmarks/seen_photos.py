"""What models see of reduced photos of LFW: crops, landmarks and pixels of detail. :mod:`end_to_end` measures on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lrface.errors import LrfaceError
from lrface.eval.native import NEAR, Enlarging, reduce_photo
from lrface.faces.align import alignment, norm_crop
from lrface.faces.degrade import resize
from lrface.faces.detect import Detector, select_face
from lrface.faces.images import read_image
from lrface.faces.quality import assess
from lrface.files import atomic_write
from lrface.recognition.encoder import FaceEncoder, ImageError

#: What was done is saved every so many photos, so that a run that is killed goes on from there.
EACH = 100

#: A reduced photo -> its crop, the landmarks by which it was cut (None where the image itself was taken), and its pixels of
#: detail (None where only the crop tells).
Way = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None, float | None]]


@dataclass
class Group:
    """Models that are given the same crops.

    Attributes:
        detector: what finds the faces.
        way: that of the models' user.
        encoders: by the label of the model.
    """

    detector: str
    way: Way
    encoders: dict[str, FaceEncoder]


@dataclass
class Seen:
    """What became of all photos at one side: crops, their pixels of detail, landmark errors of those found."""

    crops: list[np.ndarray] = field(default_factory=list)
    details: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def take(self, crop: np.ndarray, detail: float | None = None) -> None:
        """Add a crop. ``detail`` is its pixels of detail, estimated from the crop alone if None."""
        self.crops.append(crop)
        self.details.append(assess(crop).resolution if detail is None else detail)

    def find(self, way: Way, image: np.ndarray, places: np.ndarray, side: int) -> None:
        """One more photo, with the true landmarks in it."""
        crop, found, detail = way(image)
        self.take(crop, detail)
        if found is not None and np.linalg.norm(found.mean(0) - places.mean(0)) <= NEAR * side:
            scale = float(np.hypot(*alignment(places)[0, :2]))
            self.errors.append(scale * float(np.linalg.norm(found[: len(places)] - places, axis=1).mean()))

    def extend(self, others: "Seen") -> None:
        """Add what became of further photos."""
        self.crops += others.crops
        self.details += others.details
        self.errors += others.errors

    def keep(self, path: Path) -> None:
        """Save it for models that are measured later."""
        with atomic_write(path) as file:
            np.savez(
                file, details=self.details, errors=self.errors, shapes=[crop.shape for crop in self.crops],
                pixels=np.concatenate([crop.ravel() for crop in self.crops]),
            )  # fmt: skip

    @classmethod
    def kept(cls, path: Path) -> "Seen":
        """Load what :meth:`keep` saved."""
        with np.load(path) as file:
            shapes = file["shapes"]
            parts = np.split(file["pixels"], np.cumsum(shapes.prod(1))[:-1])
            crops = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
            return cls(crops, file["details"].tolist(), file["errors"].tolist())


def as_users_do(encoder: FaceEncoder) -> Way:
    """The crop that :meth:`FaceEncoder.embed` embeds."""

    def way(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, float | None]:
        try:
            cropped = encoder.cropped_face(image)
        except ImageError:  # what a user would be told
            return image, None, None
        landmarks = None if cropped.face is None else cropped.face.landmarks
        # The crop is enlarged: its size in the photo counts.
        return cropped.crop, landmarks, cropped.quality.resolution

    return way


def enlarging(detector: Detector) -> Way:
    """What a peer's detector finds, the photo enlarged where it finds nothing."""
    finder = Enlarging(detector)

    def way(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, float | None]:
        faces = finder.detect(image)
        if not faces:
            return image, None, None
        landmarks = select_face(faces, image.shape).landmarks
        return norm_crop(image, landmarks), landmarks, None

    return way


def see(groups: Sequence[Group], photos: Path, landmarks: dict[str, np.ndarray], side: int, cache: Path) -> list[Seen]:
    """What the protocol and then each group sees of the photos, saved every ``EACH`` photos; what was saved before is kept."""
    wholes = [Seen() for _ in range(1 + len(groups))]
    names = list(landmarks)
    for start in tqdm(range(0, len(names), EACH), f"{side} px", unit_scale=EACH, disable=None):
        files = [
            cache / f"{name}-{side}-{start:05}.npz" for name in ("protocol", *(group.detector for group in groups))
        ]
        if not all(path.exists() for path in files):
            part = {name: landmarks[name] for name in names[start : start + EACH]}
            for path, one in zip(files, look(groups, photos, part, side), strict=True):
                one.keep(path)
        for path, whole in zip(files, wholes, strict=True):
            whole.extend(Seen.kept(path))
    return wholes


def look(groups: Sequence[Group], photos: Path, landmarks: dict[str, np.ndarray], side: int) -> list[Seen]:
    """What the protocol and then each group sees of some photos."""
    protocol, seen = Seen(), [Seen() for _ in groups]
    for name, true in landmarks.items():
        photo = read_image(photos / name)
        image, places = reduce_photo(photo, true, side)
        for group, own in zip(groups, seen, strict=True):
            own.find(group.way, image, places, side)
        protocol.take(resize(norm_crop(photo, true), side))
    return [protocol, *seen]


def known_landmarks(store: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those by which a store's crops were cut: ``[5, 2]`` by path, or the two eyes where its detector found nothing."""
    import pandas as pd

    rows = pd.concat(pd.read_parquet(path) for path in sorted(store.glob("shard-*/manifest.parquet")))
    known = dict(zip(rows["path"], rows["landmarks"], strict=True))
    lacking = [name for name in names if known.get(name) is None]
    if lacking:
        raise LrfaceError(f"{store} has no landmarks of {lacking[0]}")
    return {name: np.array(known[name], np.float64).reshape(-1, 2) for name in names}
