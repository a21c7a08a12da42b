"""A family: models for faces of different detail that share one embedding space, opened as one.

The family's file, JSON, names its members in order of detail, with the least pixels of detail that each is for, and says what
similarities mean by the detail of both faces::

    {"format": 1, "name": "lrface", "dim": 512,
     "members": [{"model": NAME, "fingerprint": HEX, "detail": 0}, ...],
     "card": {"thresholds": {...}, "quality": {...}, ...},
     "sharp": {"map": FILE, "detail": 48, "teachers": [FINGERPRINT, ...], "card": {...}}}

``sharp`` is the top rung, for whoever has the teachers' files: the teachers that taught the space embed the sharpest faces
themselves. A member is opened when the first face comes that it is for.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import file_digest, read_json
from lrface.models import dlib_resnet
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.models.teacher_map import TeacherMap

FORMAT = 1

#: Side of the crops that teachers are given.
SHARP_SIDE = 112

#: How the top rung is called where members are named.
SHARP = "teachers"


@dataclass
class Member:
    """One model of a family.

    Attributes:
        name: of the model.
        fingerprint: see :class:`lrface.models.embedder.Embedder`.
        detail: the least pixels of detail that it is for.
        opener: opens it.
    """

    name: str
    fingerprint: str
    detail: float
    opener: Callable[[], Embedder] = field(repr=False)

    @cached_property
    def embedder(self) -> Embedder:
        """The model, opened once.

        Raises:
            LrfaceError: it cannot be opened, or is not the one that the family was made of.
        """
        embedder = self.opener()
        if embedder.fingerprint != self.fingerprint:
            raise LrfaceError(
                f"the family was made with another {self.name} (its fingerprint begins with {self.fingerprint[:12]}, "
                f"this one's with {embedder.fingerprint[:12]}): install lrface again, or name a single model"
            )
        return embedder


class Family:
    """Models that share one space; of what one :class:`lrface.models.embedder.Embedder` has, what comparing faces needs.

    Args:
        name: of the family.
        members: in any order; one is for all faces, from 0 pixels of detail on.
        dim: length of the embeddings.
        card: ``thresholds`` and ``quality`` as a model's card has them, of the family.

    Attributes:
        fingerprint: names the members and what each is for.

    Raises:
        LrfaceError: no member is for the smallest faces.
    """

    def __init__(self, name: str, members: Sequence[Member], dim: int, card: Mapping[str, Any]) -> None:
        self.members = tuple(sorted(members, key=lambda member: member.detail))
        if not self.members or self.members[0].detail > 0:
            raise LrfaceError(f"the family {name} has no member for the smallest faces: one must begin at 0 pixels")
        self.name, self.dim, self.card = name, dim, {**card, "name": name}
        described = " ".join(f"{member.fingerprint} {member.detail:g}" for member in self.members)
        self.fingerprint = hashlib.sha256(described.encode()).hexdigest()

    def member(self, resolution: float) -> Embedder:
        """The model for a face of ``resolution`` pixels of detail.

        Raises:
            LrfaceError: it cannot be opened.
        """
        return self._fitting(resolution).embedder

    def member_name(self, resolution: float) -> str:
        """Its name."""
        return self._fitting(resolution).name

    def _fitting(self, resolution: float) -> Member:
        return next(member for member in reversed(self.members) if member.detail <= max(resolution, 0.0))

    def single(self, fingerprint: str) -> Embedder | None:
        """The member of this fingerprint, None if there is none: for a gallery that was made with it alone.

        Raises:
            LrfaceError: it cannot be opened.
        """
        found = next((member for member in self.members if member.fingerprint == fingerprint), None)
        return found.embedder if found else None


def open_family(
    path: str | Path,
    sharp: Sequence[str | Path] = (),
    device: str = "cpu",
    threads: int | None = None,
    runtime: str = "auto",
) -> Family:
    """Open a family.

    Args:
        path: its file, ``*.json``.
        sharp: the teachers in the family's order, to embed the sharpest faces: files, or ``dlib`` for the network that the extra
            ``sharp`` installs. None: the students embed all.
        device, threads, runtime: see :func:`lrface.models.embedder.open_embedder`.

    Raises:
        LrfaceError: the file is damaged, or the teachers are not those that taught the family.
    """
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise LrfaceError(f"{path} is not a family of models that this version of lrface knows")
    try:
        members = []
        for each in record["members"]:
            opener = partial(open_embedder, str(each["model"]), device, threads, runtime=runtime)
            members.append(Member(str(each["model"]), str(each["fingerprint"]), float(each["detail"]), opener))
        name, dim, card = str(record["name"]), int(record["dim"]), dict(record["card"])
        if sharp:
            top = record.get("sharp")
            if top is None:
                raise LrfaceError(f"the family {name} has no top rung for teachers: leave --sharp out")
            members.append(_teachers(Path(path), top, sharp, device, threads))
            card = dict(top["card"])
        return Family(name, members, dim, card)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LrfaceError(f"{path} is a damaged family of models: {error}") from error


def _teachers(path: Path, top: dict[str, Any], files: Sequence[str | Path], device: str, threads: int | None) -> Member:
    """The top rung: it is checked at once that these are the teachers, so that no other network fuses unnoticed."""
    mapping = TeacherMap.load(path.with_name(str(top["map"])))
    teachers = [open_embedder(_teacher_file(file), device, threads) for file in files]
    if tuple(teacher.fingerprint for teacher in teachers) != mapping.fingerprints:
        raise LrfaceError(
            f"--sharp {' '.join(map(str, files))}: only the networks that taught the space of {path.stem} can embed for it, "
            f"in this order: {', '.join(map(str, top['teachers']))}"
        )
    digest = file_digest(path.with_name(str(top["map"])))
    embedder = Embedder(TeacherNetwork(teachers, mapping), Preprocessing(SHARP_SIDE), digest, {"name": SHARP})
    return Member(SHARP, embedder.fingerprint, float(top["detail"]), lambda: embedder)


def _teacher_file(name: str | Path) -> Path:
    """A teacher's file: ``dlib`` is the network of the package face-recognition-models."""
    return dlib_resnet.cached_file() if str(name) == "dlib" and not Path(name).exists() else Path(name)


class TeacherNetwork:
    """Teachers and their map as one network on aligned crops.

    Args:
        teachers: in the map's order.
        mapping: onto the family's space.
    """

    def __init__(self, teachers: Sequence[Embedder], mapping: TeacherMap) -> None:
        self._teachers, self._mapping = teachers, mapping

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """float32 ``[n, 3, 112, 112]``, -1 to 1, to float32 ``[n, dim]``."""
        pixels = np.clip(np.rint(batch * 127.5 + 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
        crops = list(np.ascontiguousarray(pixels))
        return self._mapping([teacher.embed(crops, max(len(crops), 1)) for teacher in self._teachers])
