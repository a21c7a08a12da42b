"""Galleries of named people: :class:`Gallery`."""

from lrface.gallery.answers import Answer, Match, Report
from lrface.gallery.folder import import_folder
from lrface.gallery.gallery import Gallery
from lrface.gallery.store import Person

__all__ = ["Answer", "Gallery", "Match", "Person", "Report", "import_folder"]
