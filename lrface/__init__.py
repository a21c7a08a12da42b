"""lrface: low-resolution face recognition.

>>> from lrface import FaceEncoder
>>> encoder = FaceEncoder.load()
>>> encoder.verify("a.jpg", "b.jpg").same
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lrface.errors import LrfaceError
from lrface.version import __version__

if TYPE_CHECKING:
    from lrface.recognition.classifier import FaceClassifier
    from lrface.recognition.encoder import FaceEncoder
    from lrface.video.watch import watch

#: Modules of the names that need heavy libraries. They are imported on first use, so that ``import lrface`` stays light.
_LAZY = {
    "FaceClassifier": "lrface.recognition.classifier",
    "FaceEncoder": "lrface.recognition.encoder",
    "watch": "lrface.video.watch",
}

__all__ = ["FaceClassifier", "FaceEncoder", "LrfaceError", "__version__", "watch"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'lrface' has no attribute {name!r}")
