"""Finding faces: one protocol, several back ends."""

from lrface.faces.detect.base import (
    DETECTORS,
    FACE_RULES,
    Detector,
    Face,
    automatic_detector,
    create_detector,
    select_face,
)

__all__ = ["DETECTORS", "FACE_RULES", "Detector", "Face", "automatic_detector", "create_detector", "select_face"]
