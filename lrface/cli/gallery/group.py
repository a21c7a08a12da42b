"""The commands of ``lrface gallery``."""

import click

from lrface.cli.gallery.enrol import add, import_
from lrface.cli.gallery.inspect import check, info, list_
from lrface.cli.gallery.people import remove, rename
from lrface.cli.gallery.search import search


@click.group("gallery")
def command() -> None:
    """Keep a gallery of named people: enrol their faces, and search for a face among them.

    Several processes on one machine may use a gallery at once.
    """


for each in (add, import_, search, list_, check, rename, remove, info):
    command.add_command(each)
