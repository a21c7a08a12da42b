"""A family: models for faces of different detail that share one embedding space, opened as one.

The family's file, JSON, names its members in order of detail, with the least pixels of detail that each is for, and says what
similarities mean by the detail of both faces::

    {"format": 2, "name": "lrface", "dim": 512,
     "members": [{"model": NAME, "fingerprint": HEX, "detail": 0}, ...],
     "card": {"thresholds": {...}, "quality": {...}, ...},
     "sharp": {"map": FILE, "detail": 18, "teachers": [NAME, ...], "card": {...}}}

``sharp`` is the top rung, for whoever has the teachers' files: a student and the teachers embed the sharpest faces together, see
:mod:`lrface.models.fusion`. A member is opened when the first face comes that it is for.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrface.errors import LrfaceError
from lrface.files import file_digest, read_json
from lrface.models import dlib_resnet
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.fusion import Fusion, TeacherNetwork
from lrface.models.preprocessing import Preprocessing
from lrface.models.teacher_map import TeacherMap

FORMAT = 2

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
        dim: length of the embeddings that the members give.
        card: ``thresholds`` and ``quality`` as a model's card has them, of the family.
        fusion: of the last member, the teachers, with the one before it; None if there are no teachers.

    Attributes:
        dim: length of the family's embeddings.
        fingerprint: names the members and what each is for.

    Raises:
        LrfaceError: no member is for the smallest faces.
    """

    def __init__(
        self, name: str, members: Sequence[Member], dim: int, card: Mapping[str, Any], fusion: Fusion | None = None
    ) -> None:
        self.members = tuple(sorted(members, key=lambda member: member.detail))
        if not self.members or self.members[0].detail > 0:
            raise LrfaceError(f"the family {name} has no member for the smallest faces: one must begin at 0 pixels")
        self.name, self.card, self.fusion = name, {**card, "name": name}, fusion
        self.dim = fusion.dim if fusion else dim
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

    def embed(
        self, crops: Sequence[np.ndarray], resolutions: Sequence[float], embed: Callable[..., np.ndarray]
    ) -> NDArray[np.float32]:
        """Embed faces, each by the member for its detail.

        Args:
            crops: uint8 RGB of any size.
            resolutions: pixels of detail of each.
            embed: makes L2-normalised rows of a member and crops.

        Returns:
            float32 ``[n, dim]``, L2-normalised.

        Raises:
            LrfaceError: a member cannot be opened.
        """
        chosen = [self._fitting(resolution) for resolution in resolutions]
        result = np.empty((len(crops), self.dim), np.float32)
        for member in {id(each): each for each in chosen}.values():
            rows = [row for row, each in enumerate(chosen) if each is member]
            few = [crops[row] for row in rows]
            found = embed(member.embedder, few)
            if self.fusion is None:
                result[rows] = found
            elif member is self.members[-1]:
                result[rows] = self.fusion.sharp(embed(self.members[-2].embedder, few), found)
            else:
                result[rows] = self.fusion.students(found)
        return result

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
        name, dim, card, fusion = str(record["name"]), int(record["dim"]), dict(record["card"]), None
        if sharp:
            top = record.get("sharp")
            if top is None:
                raise LrfaceError(f"the family {name} has no top rung for teachers: leave --sharp out")
            fusion = Fusion(TeacherMap.load(Path(path).with_name(str(top["map"]))))
            members.append(_teachers(Path(path), top, fusion.mapping, sharp, device, threads))
            card = dict(top["card"])
        return Family(name, members, dim, card, fusion)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LrfaceError(f"{path} is a damaged family of models: {error}") from error


def _teachers(
    path: Path, top: dict[str, Any], mapping: TeacherMap, files: Sequence[str | Path], device: str, threads: int | None
) -> Member:
    """The top rung. It is checked at once that these are the teachers, so that no other network fuses unnoticed."""
    teachers = [open_embedder(_teacher_file(file), device, threads) for file in files]
    if tuple(teacher.fingerprint for teacher in teachers) != mapping.fingerprints:
        raise LrfaceError(
            f"--sharp {' '.join(map(str, files))}: only the networks that taught the space of {path.stem} can embed for it, "
            f"in this order: {', '.join(map(str, top['teachers']))}"
        )
    digest = file_digest(path.with_name(str(top["map"])))
    embedder = Embedder(TeacherNetwork(teachers), Preprocessing(SHARP_SIDE), f"{digest} {FORMAT}", {"name": SHARP})
    return Member(SHARP, embedder.fingerprint, float(top["detail"]), lambda: embedder)


def _teacher_file(name: str | Path) -> Path:
    """A teacher's file: ``dlib`` is the network of the package face-recognition-models."""
    return dlib_resnet.cached_file() if str(name) == "dlib" and not Path(name).exists() else Path(name)
