"""Drawn faces: a deterministic stand-in for a data set of photographs, already aligned to the ArcFace template.

A person is an ``Identity``, the circumstances of a picture are a ``Nuisance``, and ``render`` puts the two together.
``generate`` writes a folder per identity, ``faces`` fills an array. Much of a person is in small things (moles,
freckles, the colour of the eyes, the shape of brows and lips) that 16 pixels do not show.
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
