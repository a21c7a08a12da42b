"""What the documentation tells people to type works: Getting started and Training are run, all other commands are checked."""

import os
import re
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner
from documents import PAGES, ROOT, check_line, shell_blocks, shell_lines
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser
from test_house import ROOMS

from lrface.cli.main import cli
from lrface.errors import LrfaceError
from lrface.train.recipe import parse_recipe

#: Commands whose exit status 1 is an answer: different, unknown. Of all others it is a failure.
ANSWERING = (["verify"], ["identify"], ["gallery", "search"], ["gallery", "check"])


def run_block(example: Example) -> None:
    """Run a shell block line by line, in this process: a new one for each line would take seconds."""
    for words in shell_lines(str(example.parsed)):
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            os.environ[name] = value
            continue
        assert words[0] == "lrface", f"{words[0]} is not run here: give the block a title that says what it needs"
        result = CliRunner().invoke(cli, words[1:])
        answered = result.exit_code == 1 and any(words[1 : 1 + len(command)] == command for command in ANSWERING)
        told = f"{' '.join(words)}: exit status {result.exit_code}, {result.exception!r}\n{result.output}"
        assert result.exit_code == 0 or (answered and isinstance(result.exception, SystemExit)), told


@pytest.mark.slow
@pytest.mark.parametrize("page", ["getting-started", "training"])
def test_the_examples_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LRFACE_DATA", str(tmp_path))  # put back afterwards, whatever a block exports
    monkeypatch.setenv("LRFACE_GALLERY", "gallery")
    parsers = [PythonCodeBlockParser(), CodeBlockParser("bash", run_block)]
    document = Document.parse(str(ROOT / "docs" / f"{page}.md"), *parsers)
    examples = list(document.examples())
    assert len(examples) > 4
    for example in examples:
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_exists(page: Path) -> None:
    for block in shell_blocks(page):
        for words in shell_lines(block):
            try:
                check_line(words)
            except (click.ClickException, LrfaceError) as error:
                pytest.fail(f"{' '.join(words)}: {getattr(error, 'message', error)}")


def test_the_recipe_that_training_shows_is_one() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    shown = parse_recipe(yaml.safe_load(text.split("```yaml\n")[1].split("```")[0]), "training.md")
    real = parse_recipe(yaml.safe_load((ROOT / "recipes" / "casia_r18_16px.yaml").read_text()), "the recipe")
    assert (shown.loss, shown.optim, shown.model, shown.teacher) == (real.loss, real.optim, real.model, real.teacher)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("lrface verify a.jpg b.jpg --fars 0.1", "--fars"),
        ("lrface verify a.jpg", "lacks b"),
        ("lrface verfy a.jpg b.jpg", "no command verfy"),
        ("lrface gallery", "lacks a command"),
        ("lrface eval lfw --kernel cubic", "cubic"),
        ("lrface train recipes/casia_r18_17px.yaml", "does not exist"),
        ("torchrun --nproc-per-node 4 -m lrface train recipes/casia_r18_16px.yaml --set optim.lrr=1", "optim.lr"),
        ("make quickstat", "quickstat"),
        ("sl", "nobody knows"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, complaint: str) -> None:
    with pytest.raises((AssertionError, click.ClickException, LrfaceError)) as raised:
        check_line(line.split())
    assert complaint in getattr(raised.value, "message", str(raised.value))


def test_the_readme_names_the_rooms_in_their_order() -> None:
    layout = (ROOT / "README.md").read_text(encoding="utf-8").split("## Layout")[1].split("## ")[0]
    named = re.findall(r"^\| `(\w+)/` \|", layout, re.MULTILINE)
    there = {path.parent.name for path in (ROOT / "lrface").glob("*/__init__.py")}
    assert named == [room for room in ROOMS if room in there]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_paths_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(r"`((?:benchmarks|tools|recipes|tests|docs)/[\w./-]*)`", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []
