"""Training losses: margin classification, and distillation of logits, of relations and of embeddings.

Every loss computes at least in float32, also under autocast. It stays in float64 if its input (and its own parameters) are
float64. Wrong shapes and arguments raise ``lrface.errors.LrfaceError``.

The methods with which CRRCD is compared are here too, one per file, with the interface of :mod:`lrface.losses.method`.
:mod:`lrface.losses.registry` finds them by name.
"""

from lrface.losses.cosine import CosineRegression
from lrface.losses.crrcd import CRRCD, CRRCDTerms
from lrface.losses.kd import KD
from lrface.losses.margin import ArcFace, CosFace

__all__ = ["CRRCD", "KD", "ArcFace", "CRRCDTerms", "CosFace", "CosineRegression"]
