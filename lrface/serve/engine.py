"""What the service can do, each as one call in a thread of the pool: images in, what JSON can hold out."""

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.calibration import Calibration
from lrface.faces.degrade import resize
from lrface.faces.images import encode_image
from lrface.recognition.encoder import ImageError
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.names import checked_name, name_key
from lrface.serve.batching import BatchingEncoder
from lrface.serve.crops import Crops

#: Sides at which a face is shown, in pixels.
SIDES = (16, 32, 64)


class UnknownPersonError(LrfaceError):
    """Nobody in the gallery is called so."""


class Engine:
    """A model and a gallery, for threads.

    Args:
        encoder: the model and its detector.
        gallery: of people, opened with that encoder.
        crops: where crops are kept; None: they are not.
    """

    def __init__(self, encoder: BatchingEncoder, gallery: Gallery, crops: Crops | None = None) -> None:
        self.encoder, self.gallery, self.crops = encoder, gallery, crops
        self.clean()

    def close(self) -> None:
        """Close the gallery, and end the encoder's thread."""
        self.gallery.close()
        self.encoder.close()

    def verify(self, a: bytes, b: bytes, far: float, threshold: float | None, crops: bool) -> dict[str, Any]:
        """Whether two images show one person; as ``lrface verify --json``, with both faces and their distributions."""
        self.encoder.check_threshold(far, threshold)
        all_cropped = self._main(a, "picture A"), self._main(b, "picture B")
        result = self.encoder.compare(all_cropped[0], all_cropped[1], far, threshold)
        return {
            **result.as_dict(),
            "faces": [_facts(cropped, crops) for cropped in all_cropped],
            "distributions": _distributions(self.encoder.calibration, *(result.resolutions or (0.0, 0.0))),
        }

    def faces(self, image: bytes, crops: bool) -> dict[str, Any]:
        """All faces of an image, from left to right."""
        all_cropped = _named("the picture", lambda: self.encoder.cropped_faces(image))
        return {"faces": [_facts(cropped, crops) for cropped in all_cropped]}

    def embed(self, image: bytes) -> dict[str, Any]:
        """The embedding of the main face."""
        cropped = self._main(image, "the picture")
        row = self.encoder.embed_crops([cropped.crop], resolutions=[cropped.quality.resolution])[0]
        card, fingerprint = self.encoder.embedder.card, self.encoder.embedder.fingerprint
        model = {"model": str(card.get("name", "unnamed")), "fingerprint": fingerprint}
        return {"embedding": row.tolist(), **model, "face": _facts(cropped, False)}

    def search(self, image: bytes, top: int, far: float, threshold: float | None, every: bool) -> dict[str, Any]:
        """Who the faces of an image are; each as ``lrface gallery search --json``."""
        self.encoder.check_threshold(far, threshold)
        all_cropped = _named("the picture", lambda: self.encoder.cropped_faces(image)) if every else []
        found = []
        for cropped in all_cropped or [self._main(image, "the picture")]:
            answer = self.gallery.search_face(cropped, top, far, threshold).as_dict()
            for match in answer["matches"]:
                match["photo"] = Path(match["photo"]).name  # where this machine keeps its photos is nobody's business
            found.append({**_facts(cropped, False), "answer": answer})
        return {"faces": found}

    def people(self) -> dict[str, Any]:
        """Everybody, and the risk that a stranger is given some name."""
        people, facts = self.gallery.people(), self.gallery.info()
        listed = [
            {"name": each.name, "faces": each.faces, "crop": bool(self.crops and self.crops.find(name_key(each.name)))}
            for each in people
        ]
        return {"people": listed, "risk": facts["risk"], "risk_far": facts["risk_far"]}

    def enrol(self, name: str, image: bytes, force: bool) -> dict[str, Any]:
        """Enrol the main face; when this returns it is on the disk."""
        try:
            name = checked_name(name)
        except LrfaceError as error:
            raise ImageError("name: 1 to 200 characters without line breaks are needed") from error
        report = self.gallery.add(name, [image], force)
        if self.crops and report.added:
            self.crops.keep(name_key(name), self._main(image, "the picture").crop)
        refused = [_plain(reason, "the picture") for _, reason in report.refused]
        notes = [_plain(note, "the picture") for note in report.notes]
        return {"name": name, "added": report.added, "known": report.known, "left_out": refused, "notes": notes}

    def crop(self, name: str) -> bytes:
        """A crop of somebody, PNG, if crops are kept.

        Raises:
            UnknownPersonError: there is none.
        """
        data = self.crops.find(name_key(name)) if self.crops else None
        if data is None:
            raise UnknownPersonError("no picture of this person is kept")
        return data

    def remove(self, name: str) -> dict[str, Any]:
        """Erase a person wholly: row, embeddings, index, and crops.

        Raises:
            UnknownPersonError: nobody is called so.
        """
        wanted = name_key(name)
        called = [person.name for person in self.gallery.people() if name_key(person.name) == wanted]
        if not called:
            raise UnknownPersonError("nobody in the gallery is called so")
        gone = self.gallery.remove(called[0])
        if self.crops:
            self.crops.erase(wanted)
        return {"name": called[0], "removed": gone}

    def clean(self) -> None:
        """Erase the crops of people who were removed or renamed by other means."""
        if self.crops:
            self.crops.erase_others({name_key(person.name) for person in self.gallery.people()})

    def _main(self, image: bytes, name: str) -> Any:
        cropped = _named(name, lambda: self.encoder.cropped_face(image))
        return replace(cropped, name=name, notes=tuple(_plain(note, name) for note in cropped.notes))


def _named(name: str, find: Callable[[], Any]) -> Any:
    """What ``find`` returns; an image that cannot be used is called by its name in the request."""
    try:
        return find()
    except ImageError as error:
        raise ImageError(_plain(str(error), name)) from error


def _plain(text: str, name: str) -> str:
    """A message without what only the command line has, and with the image's name in the request."""
    for said in ("; if this is an aligned crop", "; --force", ": --force", " (--force", " (--face"):
        text = text.split(said)[0]
    return text.replace("an image in memory", name).replace("the image", name)


def _facts(cropped: Any, crops: bool) -> dict[str, Any]:
    """Where a face is and what is known of it."""
    facts = {**cropped.as_dict(), "quality": cropped.quality.as_dict(), "notes": list(cropped.notes)}
    return facts | ({"crops": _shown(cropped.crop)} if crops else {})


def _shown(crop: np.ndarray) -> dict[str, str]:
    """The face at each of ``SIDES``, as data URLs."""
    return {
        str(side): "data:image/png;base64," + base64.b64encode(encode_image(resize(crop, side), "png")).decode()
        for side in SIDES
    }


def _distributions(calibration: Calibration | None, a: float, b: float) -> dict[str, Any] | None:
    """Similarities of pairs of these resolutions, as quantiles; None where the model is not calibrated for it."""
    if calibration is None:
        return None
    drawn = {}
    for kind in ("same", "different"):
        shares, values = calibration.quantiles(kind, a, b)
        drawn[kind] = {"shares": np.round(shares, 6).tolist(), "similarities": np.round(values, 4).tolist()}
    return drawn
