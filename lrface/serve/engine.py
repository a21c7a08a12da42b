"""The functions of the service, without HTTP: encoded images in, dictionaries for JSON out.

Each call runs in a thread of the pool.
"""

import base64
import re
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
from lrface.recognition.gallery.enrol import image_digest
from lrface.recognition.gallery.names import checked_name, name_key
from lrface.serve.batching import BatchingEncoder
from lrface.serve.crops import Crops

#: Sides in pixels of the crops that the page shows.
SIDES = (16, 32, 64)


class UnknownPersonError(LrfaceError):
    """The gallery has no person with this name."""


class Engine:
    """A model and a gallery for many threads.

    The images that its methods take are the bytes of image files. Every method raises
    :class:`lrface.recognition.encoder.ImageError` if an image cannot be used.

    Args:
        encoder: the model and its detector.
        gallery: opened with that encoder.
        crops: store of the crops; None: no crops are kept.
    """

    def __init__(self, encoder: BatchingEncoder, gallery: Gallery, crops: Crops | None = None) -> None:
        self.encoder, self.gallery, self.crops = encoder, gallery, crops
        self.clean()

    def close(self) -> None:
        """Close the gallery and end the encoder's thread."""
        self.gallery.close()
        for each in {self.encoder, self.searcher}:
            each.close()

    @property
    def searcher(self) -> BatchingEncoder:
        """The model of the gallery: ``encoder``, or one member of its family."""
        encoder = self.gallery.encoder
        return encoder if isinstance(encoder, BatchingEncoder) else self.encoder

    def verify(self, a: bytes, b: bytes, far: float, threshold: float | None, crops: bool) -> dict[str, Any]:
        """Compare two images.

        Args:
            a: image A.
            b: image B.
            far: false accept rate of the decision.
            threshold: cosine similarity to use in place of ``far``.
            crops: whether the answer contains the crops.

        Returns:
            The fields of ``lrface verify --json``, both faces, and the distributions of their similarities.
        """
        self.encoder.check_threshold(far, threshold)
        all_cropped = self._main(a, "picture A"), self._main(b, "picture B")
        result = self.encoder.compare(all_cropped[0], all_cropped[1], far, threshold)
        return {
            **result.as_dict(),
            "faces": [_facts(cropped, crops) for cropped in all_cropped],
            "distributions": _distributions(self.encoder.calibration, *(result.resolutions or (0.0, 0.0))),
        }

    def faces(self, image: bytes, crops: bool) -> dict[str, Any]:
        """All faces of an image, ordered from left to right."""
        all_cropped = _named("the picture", lambda: self.encoder.cropped_faces(image))
        return {"faces": [_facts(cropped, crops) for cropped in all_cropped]}

    def embed(self, image: bytes) -> dict[str, Any]:
        """The embedding of the main face, the model's name and digest, and the face."""
        cropped = self._main(image, "the picture")
        row = self.encoder.embed_crops([cropped.crop], resolutions=[cropped.quality.resolution])[0]
        card, fingerprint = self.encoder.embedder.card, self.encoder.embedder.fingerprint
        model = {"model": str(card.get("name", "unnamed")), "fingerprint": fingerprint}
        return {"embedding": row.tolist(), **model, "face": _facts(cropped, False)}

    def search(self, image: bytes, top: int, far: float, threshold: float | None, every: bool) -> dict[str, Any]:
        """Find the identities of the faces in an image.

        Args:
            image: the image.
            top: number of candidates per face.
            far: false accept rate of the decision.
            threshold: cosine similarity to use in place of ``far``.
            every: search all faces; False: only the main face.

        Returns:
            One entry per face, with the fields of ``lrface gallery search --json`` under ``answer``.
        """
        self.encoder.check_threshold(far, threshold)
        all_cropped = _named("the picture", lambda: self.encoder.cropped_faces(image)) if every else []
        found = []
        for cropped in all_cropped or [self._main(image, "the picture")]:
            answer = self.gallery.search_face(cropped, top, far, threshold).as_dict()
            for match in answer["matches"]:
                # The answer must not tell where this machine keeps its photos.
                match["photo"] = Path(match["photo"]).name
            found.append({**_facts(cropped, False), "answer": answer})
        return {"faces": found}

    def people(self) -> dict[str, Any]:
        """All people, and the risk that the gallery gives a stranger a name."""
        people, facts = self.gallery.people(), self.gallery.info()
        listed = [
            {"name": each.name, "faces": each.faces, "crop": bool(self.crops and self.crops.find(name_key(each.name)))}
            for each in people
        ]
        return {"people": listed, "risk": facts["risk"], "risk_far": facts["risk_far"]}

    def enrol(self, name: str, image: bytes, force: bool) -> dict[str, Any]:
        """Enrol the main face of an image. The enrolment is on the disk when this returns.

        Args:
            name: of the person, 1 to 200 characters.
            image: the image.
            force: also enrol a face that would be refused, such as a blurred one.

        Returns:
            Numbers of added and of already known faces, the reasons for refusals, and notes.
        """
        try:
            name = checked_name(name)
        except LrfaceError as error:
            raise ImageError("name: 1 to 200 characters without line breaks are needed") from error
        report = self.gallery.add(name, [image], force)
        if self.crops and (report.added or report.known):  # known: a kill may have come before its crop was kept
            self.crops.keep(name_key(name), image_digest(image), self._main(image, "the picture").crop)
        refused = [_plain(reason, "the picture").removeprefix("the picture: ") for _, reason in report.refused]
        notes = [_plain(note, "the picture") for note in report.notes]
        return {"name": name, "added": report.added, "known": report.known, "left_out": refused, "notes": notes}

    def crop(self, name: str) -> bytes:
        """A crop of a person as PNG bytes.

        Raises:
            UnknownPersonError: no crop of this person is kept.
        """
        data = self.crops.find(name_key(name)) if self.crops else None
        if data is None:
            raise UnknownPersonError("no picture of this person is kept")
        return data

    def remove(self, name: str) -> dict[str, Any]:
        """Erase a person completely: the name, the embeddings, the index entry and the crops.

        Raises:
            UnknownPersonError: the gallery has no person with this name.
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
        """Erase the crops of people who were removed or renamed outside this service."""
        if self.crops:
            self.crops.erase_others({name_key(person.name) for person in self.gallery.people()})

    def _main(self, image: bytes, name: str) -> Any:
        cropped = _named(name, lambda: self.encoder.cropped_face(image))
        return replace(cropped, name=name, notes=tuple(_plain(note, name) for note in cropped.notes))


def _named(name: str, find: Callable[[], Any]) -> Any:
    """Call ``find``. An ImageError is raised again with the image's name in the request."""
    try:
        return find()
    except ImageError as error:
        raise ImageError(_plain(str(error), name)) from error


def _plain(text: str, name: str) -> str:
    """Adapt a message to the service: remove the command-line advice and use the image's name in the request."""
    for ending in ("; if this is an aligned crop", "; --force", ": --force", " (--force", " (--face", ": say which"):
        text = text.split(ending)[0]
    text = re.sub(r"\w+ found no face", "no face was found", text)  # nobody chose the detector in a request
    return text.replace("an image in memory", name).replace("the image", name)


def _facts(cropped: Any, crops: bool) -> dict[str, Any]:
    """The answer's fields about one face: box, landmarks, score and quality."""
    facts = {**cropped.as_dict(), "quality": cropped.quality.as_dict(), "notes": list(cropped.notes)}
    return facts | ({"crops": _shown(cropped.crop)} if crops else {})


def _shown(crop: np.ndarray) -> dict[str, str]:
    """The crop at each side of ``SIDES``, as data URLs."""
    return {
        str(side): "data:image/png;base64," + base64.b64encode(encode_image(resize(crop, side), "png")).decode()
        for side in SIDES
    }


def _distributions(calibration: Calibration | None, a: float, b: float) -> dict[str, Any] | None:
    """Quantiles of the similarities of pairs with these resolutions in pixels; None if the model is not calibrated."""
    if calibration is None:
        return None
    drawn = {}
    for kind in ("same", "different"):
        shares, values = calibration.quantiles(kind, a, b)
        drawn[kind] = {"shares": np.round(shares, 6).tolist(), "similarities": np.round(values, 4).tolist()}
    return drawn
