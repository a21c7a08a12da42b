"""Copying a gallery to another store, and comparing both. After a kill at any moment, the same call continues."""

import hashlib
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.recognition.gallery.names import name_key
from lrface.recognition.gallery.opening import open_whole
from lrface.recognition.gallery.protocol import GalleryStore, NewFace, Totals
from lrface.recognition.gallery.stores import open_store

#: Number of faces in one transaction.
PART = 1024

#: All float16 numbers are multiples of this, so that sums in this unit are exact in any order.
_UNIT = 2.0**-24


@dataclass(frozen=True)
class Copied:
    """A copy that was found equal to its source.

    Attributes:
        source, target: places of the galleries.
        people, faces: numbers of people and faces.
        model, model_name: fingerprint and name of the model.
        total: sum of all components of all embeddings.
        digest: sum of the SHA-256 of each face: name, image, source, date, detail and embedding.
    """

    source: str
    target: str
    people: int
    faces: int
    model: str
    model_name: str
    total: float
    digest: str

    def as_dict(self) -> dict[str, Any]:
        """The fields, as JSON writes them."""
        return asdict(self)


@dataclass
class _Tally:
    """Checksums over faces, independent of their order."""

    faces: int = 0
    units: int = 0
    sums: int = 0
    people: set[str] = field(default_factory=set)

    def see(self, faces: list[tuple[str, NewFace]]) -> None:
        for name, face in faces:
            stored = face.embedding.astype("<f2")
            # In a damaged gallery, components that are not finite count in the digest only.
            whole = np.nan_to_num(stored.astype(np.float64) / _UNIT, nan=0, posinf=0, neginf=0)
            self.units += int(np.rint(whole).astype(np.int64).sum())
            facts = (
                name,
                face.digest.hex(),
                face.source,
                face.resolution,
                face.recognisability,
                face.member,
                face.added,
            )
            own = hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass") + stored.tobytes()).digest()
            self.sums = (self.sums + int.from_bytes(own, "big")) % (1 << 256)
            self.people.add(name)
        self.faces += len(faces)


def copy_gallery(
    source: str | Path, target: str | Path, progress: bool = True, notify: Callable[[str], None] = lambda line: None
) -> Copied:
    """Copy a gallery to a new place, between any stores.

    The copy is one state of the source. It cannot be opened until it is complete and compared.

    Args:
        source, target: a folder, or an :class:`~lrface.recognition.gallery.address.Address`.
        progress: show a bar with rate and time left.
        notify: called with a line about slow steps.

    Raises:
        LrfaceError: there is no source, the target has other people or another model, two people of the source have the same
            name, the copy differs, or a gallery cannot be read or written.
    """
    with ExitStack() as stack:
        old = stack.enter_context(closing(open_whole(source)))
        meta = old.meta
        new = stack.enter_context(closing(open_store(target, lambda: (meta["model"], meta["model_name"], meta["dim"]))))
        _check_target(old, new)
        _check_names(old)
        new.write_meta("copying", old.place)
        if "exact_limit" in meta:
            new.write_meta("exact_limit", meta["exact_limit"])
        with old.reading():
            totals = old.totals()
            wanted = _copy(old, new, totals, progress)
        found = _Tally()
        with new.reading():
            counted = new.totals()
            for part in new.records(counted.last):
                found.see(part)
        _compare(old, new, (totals, wanted), (counted, found))
        new.write_meta("copying", None)
        builder = new.index_builder(notify)
        with new.reading():
            due = builder.due()
        if due:
            builder.maintain()
        return Copied(
            old.place, new.place, totals.people, totals.faces, meta["model"], meta["model_name"], found.units * _UNIT,
            f"{found.sums:064x}",
        )  # fmt: skip


def _check_target(old: GalleryStore, new: GalleryStore) -> None:
    if old.place == new.place:
        raise LrfaceError(f"{new.place} cannot be copied to itself: give another place")
    if new.meta["model"] != old.meta["model"]:
        raise LrfaceError(
            f"{new.place} is a gallery of another model, {new.meta['model_name']}: copy to a place where there is none, or "
            "embed the people anew with `lrface gallery reembed`"
        )
    if new.meta["faces"] and new.meta.get("copying") != old.place:
        raise LrfaceError(f"{new.place} has people of its own: copy to a place where there is no gallery")


def _check_names(old: GalleryStore) -> None:
    """Refuse people whose names differ only in case or blanks, as galleries of older versions may have."""
    names: dict[str, str] = {}
    for person in old.people():
        other = names.setdefault(name_key(person.name), person.name)
        if other != person.name:
            raise LrfaceError(
                f"{old.place} has two people whose names are the same but for case or blanks, {other} and {person.name}: "
                "give one of them another name, or merge them, with `lrface gallery rename`"
            )


def _copy(old: GalleryStore, new: GalleryStore, totals: Totals, progress: bool) -> _Tally:
    from tqdm import tqdm

    tally = _Tally()
    with tqdm(total=totals.faces, unit="face", desc="copy", disable=None if progress else True) as bar:
        for records in old.records(totals.last):
            for start in range(0, len(records), PART):
                part = records[start : start + PART]
                new.insert(part)
                tally.see(part)
                bar.update(len(part))
    return tally


def _compare(old: GalleryStore, new: GalleryStore, there: tuple[Totals, _Tally], here: tuple[Totals, _Tally]) -> None:
    (wanted, given), (counted, found) = there, here
    if (wanted.people, wanted.faces) != (counted.people, counted.faces) or given != found:
        raise LrfaceError(
            f"the copy {new.place} is not what {old.place} holds ({counted.people:,} people and {counted.faces:,} faces, and "
            f"{wanted.people:,} and {wanted.faces:,}): the gallery changed since the copy was begun, or it is damaged "
            "(`lrface gallery info --check`); remove the copy, and copy again"
        )
