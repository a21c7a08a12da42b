"""Finding faces: one protocol, several back ends."""

from lrface.faces.detect.base import FACE_RULES, Detector, Face, select_face
from lrface.faces.detect.registry import DETECTORS, automatic_detector, create_detector, is_detector

__all__ = [
    "DETECTORS",
    "FACE_RULES",
    "Detector",
    "Face",
    "automatic_detector",
    "create_detector",
    "is_detector",
    "select_face",
]
