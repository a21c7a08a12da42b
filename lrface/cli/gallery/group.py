"""The commands of ``lrface gallery``."""

import click

from lrface.cli.gallery.enrol import add, import_
from lrface.cli.gallery.inspect import check, info, list_
from lrface.cli.gallery.people import remove, rename
from lrface.cli.gallery.search import search


@click.group("gallery")
def command() -> None:
    """A gallery of named people: enrol their faces, ask who somebody is.

    Several processes may use a gallery at once, on one machine.
    """


for each in (add, import_, search, list_, check, rename, remove, info):
    command.add_command(each)
