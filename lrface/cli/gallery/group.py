"""The commands of ``lrface gallery``."""

import click

from lrface.cli.gallery.enrol import add, import_
from lrface.cli.gallery.inspect import check, info, list_
from lrface.cli.gallery.move import copy, reembed
from lrface.cli.gallery.people import remove, rename
from lrface.cli.gallery.search import search


@click.group("gallery")
def command() -> None:
    """Keep a gallery of named people: enrol their faces, and search for a face among them.

    It is a folder, which processes on one machine may use at once, or tables in PostgreSQL, which many machines may use.
    """


for each in (add, import_, search, list_, check, rename, remove, copy, reembed, info):
    command.add_command(each)
