"""Training losses: margin classification, distillation of logits, of relations, and of embeddings.

Every loss computes in float32 at least, whatever autocast says, and keeps float64 when its input (and its own
parameters) are float64. Bad shapes and arguments raise ``lrface.errors.LrfaceError``.

The methods that CRRCD is compared with lie here too, one a file, under the interface of :mod:`lrface.losses.method`;
:mod:`lrface.losses.registry` finds them by name.
"""

from lrface.losses.cosine import CosineRegression
from lrface.losses.crrcd import CRRCD, CRRCDTerms
from lrface.losses.kd import KD
from lrface.losses.margin import ArcFace, CosFace

__all__ = ["CRRCD", "KD", "ArcFace", "CRRCDTerms", "CosFace", "CosineRegression"]
