"""Galleries of named people: :class:`Gallery`."""

from lrface.recognition.gallery.answers import Answer, Match, Report
from lrface.recognition.gallery.folder import import_folder
from lrface.recognition.gallery.gallery import Gallery
from lrface.recognition.gallery.protocol import Person

__all__ = ["Answer", "Gallery", "Match", "Person", "Report", "import_folder"]
