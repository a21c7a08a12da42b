"""Drawn faces: a deterministic replacement for photographs, already aligned to the ArcFace template.

An ``Identity`` describes a person, a ``Nuisance`` the conditions of one picture, and ``render`` draws both together.
``generate`` writes a folder per identity, ``faces`` fills an array. Much of an identity lies in small details (moles,
freckles, colour of the eyes, shape of brows and lips) that are not visible at 16 pixels.
"""

from lrface.data.synthetic.identity import RANGES, Identity, sample_identity
from lrface.data.synthetic.nuisance import OCCLUSIONS, Nuisance, sample_nuisance
from lrface.data.synthetic.picture import render
from lrface.data.synthetic.sets import face, faces, generate

__all__ = [
    "OCCLUSIONS",
    "RANGES",
    "Identity",
    "Nuisance",
    "face",
    "faces",
    "generate",
    "render",
    "sample_identity",
    "sample_nuisance",
]
