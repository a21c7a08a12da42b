"""Galleries of named people: :class:`Gallery`."""

from lrface.recognition.gallery.answers import Answer, Match, Report
from lrface.recognition.gallery.folder import import_folder
from lrface.recognition.gallery.gallery import Gallery
from lrface.recognition.gallery.protocol import NameTakenError, Person
from lrface.recognition.gallery.suspects import Suspect

__all__ = ["Answer", "Gallery", "Match", "NameTakenError", "Person", "Report", "Suspect", "import_folder"]
