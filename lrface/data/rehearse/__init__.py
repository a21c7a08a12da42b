"""Rehearsal sets: the layouts of TinyFace, UCCS, QMUL-SurvFace and SCface, filled with faces that are at hand.

The real sets stand behind forms. A rehearsal makes a whole evaluation run, end to end, on faces made small by a program; its
figures say nothing of the real sets, and every set carries a file that says so (``REHEARSAL.json``).

``degrade`` makes a face small, ``pool`` is where faces come from, ``plan`` says what is wanted of a set; one module a set
(``tinyface``, ``uccs``, ``survface``, ``scface``) chooses who goes where and writes its lists; ``build`` does the work.
"""

from lrface.data.rehearse.build import SETS, Rehearsed, rehearse

__all__ = ["SETS", "Rehearsed", "rehearse"]
