"""A detected face in a frame, in the form that is kept after the frame."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrface.faces.images import encode_image
from lrface.recognition.answers import FoundFace


@dataclass
class Look:
    """A detected and embedded face. It is rounded as in the journal, so that a resumed watch computes with the same numbers.

    Attributes:
        box: float64 ``[4]``: left, top, right, bottom in the frame's pixels.
        score: the detector's confidence, 0 to 1.
        detail: pixels of detail.
        recognisability: 0 to 1; None if the model is not calibrated for it.
        embedding: float16 ``[dim]``.
        crop: the aligned face as JPEG; None once it is no longer needed.
    """

    box: np.ndarray
    score: float
    detail: float
    recognisability: float | None
    embedding: np.ndarray
    crop: bytes | None = None

    @classmethod
    def of(cls, face: FoundFace, keep_crop: bool) -> "Look":
        """Convert a face from the encoder."""
        known = face.quality.recognisability
        return cls(
            face.box.astype(np.float64).round(2),
            1.0 if face.score is None else round(float(face.score), 4),
            round(face.detail, 3),
            None if known is None else round(known, 4),
            face.embedding.astype(np.float16),
            encode_image(face.crop) if keep_crop else None,
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON content for the journal."""
        return {
            "box": self.box.tolist(),
            "score": self.score,
            "detail": self.detail,
            "recognisability": self.recognisability,
            "embedding": base64.b64encode(self.embedding.tobytes()).decode(),
            "crop": None if self.crop is None else base64.b64encode(self.crop).decode(),
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Look":
        """Read what ``as_dict`` wrote."""
        crop = fields["crop"]
        return cls(
            np.array(fields["box"]),
            fields["score"],
            fields["detail"],
            fields["recognisability"],
            np.frombuffer(base64.b64decode(fields["embedding"]), np.float16),
            None if crop is None else base64.b64decode(crop),
        )

    @property
    def width(self) -> float:
        """Width of the box in pixels."""
        return float(self.box[2] - self.box[0])

    @property
    def centre(self) -> np.ndarray:
        """Centre of the box, float64 ``[2]``: x, y."""
        centre: np.ndarray = (self.box[:2] + self.box[2:]) / 2
        return centre
