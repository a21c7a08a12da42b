"""``lrface gallery``."""

from lrface.cli.gallery.group import command

__all__ = ["command"]
