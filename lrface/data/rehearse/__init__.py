"""Rehearsal sets: the file layouts of TinyFace, UCCS, QMUL-SurvFace and SCface, filled with other faces.

The real sets are available only on application. A rehearsal set lets a whole evaluation run on faces that a program made small.
Its figures say nothing about the real sets. Every rehearsal set carries a file that says so (``REHEARSAL.json``).

``degrade`` makes faces small, ``pool`` supplies the faces, and ``plan`` describes the wanted set. One module per set
(``tinyface``, ``uccs``, ``survface``, ``scface``) assigns people to its parts and writes its lists. ``build`` runs the work.
"""

from lrface.data.rehearse.build import SETS, Rehearsed, rehearse

__all__ = ["SETS", "Rehearsed", "rehearse"]
