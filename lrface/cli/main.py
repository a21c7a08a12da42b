"""``lrface``: runs a command. An error that the user can fix becomes one line on stderr and exit status 2."""

import os
import sys
import traceback
from importlib import import_module
from typing import Any

import click

from lrface.errors import LrfaceError

#: Command -> its line in the help. A command is imported only when it runs, so that `--help` stays fast.
COMMANDS = {
    "benchmark": "Run every protocol on every model, and write one report.",
    "data": "Download, locate, rehearse or split data sets.",
    "doctor": "Show installed packages, devices, and the data and models that are found.",
    "embed": "Write the embeddings of images to a file.",
    "eval": "Measure a model: LFW verification.",
    "export": "Write a model as ONNX, float32 or int8.",
    "finetune": "Make a classifier of your own people, or adapt a model to one kind of faces.",
    "gallery": "Keep a gallery of named people, and search it.",
    "identify": "Tell who is in a photo, among the people of a classifier.",
    "prepare": "Turn photos or records into a store for training.",
    "probe": "Measure an object network's features on another set, by a linear classifier.",
    "serve": "Serve a web page and an HTTP interface over a model and a gallery.",
    "sweep": "Train a recipe many times, and compare: ablations.",
    "train": "Train the model that a recipe describes.",
    "verify": "Tell whether two images show the same person.",
    "watch": "Follow the faces of a video or a camera, and tell who they are.",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"lrface.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `lrface ... | head`: click would exit with 1, which means "different" for `verify`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)


def _show_version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from lrface.cli.doctor_checks import summary

        click.echo(summary())
        context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show what a bug report needs, and exit.",
)  # fmt: skip
def cli() -> None:
    """Low-resolution face recognition: prepare faces, distil a 16-pixel student, measure it, use it."""


def main() -> None:
    """Run the command line and exit.

    Exit status: 0 for success, 1 for a negative answer only, 2 for an error, 130 for Ctrl-C, 141 if the reader of the
    output has ended.
    """
    try:
        sys.exit(cli.main(prog_name="lrface", standalone_mode=False) or 0)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except Exception:  # Python would exit with 1, which means "different" for `verify`
        traceback.print_exc()
        sys.exit(2)
