"""Finding faces: one protocol, several back ends."""

from lrface.faces.detect.base import FACE_RULES, Detector, Face, FrameDetector, is_upright, of_like_size, select_face
from lrface.faces.detect.registry import DETECTORS, automatic_detector, create_detector, is_detector

__all__ = [
    "DETECTORS",
    "FACE_RULES",
    "Detector",
    "Face",
    "FrameDetector",
    "automatic_detector",
    "create_detector",
    "is_detector",
    "is_upright",
    "of_like_size",
    "select_face",
]
