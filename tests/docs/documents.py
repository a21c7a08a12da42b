"""Reads the documentation as tests want it: its shell blocks, and whether a command line in one of them could be run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
from sybil import Document
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from lrface.cli.main import cli
from lrface.objects.recipe import is_object_recipe, parse_object_recipe
from lrface.sweep.spec import load_sweep
from lrface.train.recipe import parse_recipe
from lrface.train.schema import read_yaml

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: What a shell block may call beside lrface and the files of this repository.
OTHERS = {"curl", "git", "cd", "source", "python", "export", "make", "ray"}

_SHELL = RawFencedCodeBlockLexer(re.compile(r'bash( title="(?P<title>[^"]*)")?$\n', re.MULTILINE))


def shell_lines(text: str) -> list[list[str]]:
    """The commands of a shell block, each as its words; comments are left out and continued lines joined."""
    joined = text.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def shell_blocks(page: Path) -> Iterator[str]:
    """The shell blocks of a page, with a title or without."""
    text = page.read_text(encoding="utf-8")
    for region in _SHELL(Document(text, str(page))):
        yield str(region.lexemes["source"])


def check_line(words: list[str]) -> None:
    """Fail if a command line cannot be run: an option, a recipe, one of its keys or a file is not there.

    Raises:
        AssertionError, click.ClickException, lrface.errors.LrfaceError: it cannot, and why.
    """
    for word in words:
        if re.fullmatch(r"(recipes|tools|benchmarks)/[\w./]+\.(yaml|py|sh)", word):
            assert (ROOT / word).is_file(), f"{word} does not exist"
    if words[0] == "torchrun" or words[:3] == ["python", "-m", "lrface"]:
        words = words[words.index("lrface") :]
    if words[0] == "benchmarks/run_all.sh":
        words = ["lrface", "benchmark", *words[1:]]
    if words[0] == "make":
        for target in words[1:]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"make {target}"
    elif words[0] == "lrface":
        _check_lrface(words[1:])
    else:
        assert words[0] in OTHERS or (ROOT / words[0]).is_file(), f"nobody knows the program {words[0]}"


def _check_lrface(args: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli, info_name="lrface")
    path = []
    while isinstance(command, click.Group):
        assert args, f"lrface {' '.join(path)} lacks a command"
        found = command.get_command(context, args[0])
        assert found is not None, f"lrface {' '.join(path)} has no command {args[0]}"
        path.append(args[0])
        command, args = found, args[1:]
        context = click.Context(command, info_name=path[-1], parent=context)
    given, _, _ = command.make_parser(context).parse_args(list(args))
    for parameter in command.params:
        value = given.get(parameter.name)
        if value is None or parameter.value_is_missing(value):
            assert not parameter.required, f"lrface {' '.join(path)} lacks {parameter.name}"
        elif not isinstance(parameter.type, click.Path):
            parameter.type_cast_value(context, value)
    if path == ["train"]:
        content = read_yaml(ROOT / given["recipe"], "recipe", tuple(given.get("overrides") or ()))
        (parse_object_recipe if is_object_recipe(content) else parse_recipe)(content, given["recipe"])
    if path == ["sweep"]:
        for file in given["files"]:
            load_sweep(ROOT / file)
