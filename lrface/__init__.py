"""lrface: low-resolution face recognition.

>>> from lrface import FaceEncoder
>>> encoder = FaceEncoder.load()
>>> encoder.verify("a.jpg", "b.jpg").same
"""

from typing import TYPE_CHECKING, Any

from lrface.errors import LrfaceError
from lrface.version import __version__

if TYPE_CHECKING:
    from lrface.encoder import FaceEncoder

__all__ = ["FaceEncoder", "LrfaceError", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the encoder only when it is asked for: `import lrface` stays light."""
    if name == "FaceEncoder":
        from lrface.encoder import FaceEncoder

        return FaceEncoder
    raise AttributeError(f"module 'lrface' has no attribute {name!r}")
