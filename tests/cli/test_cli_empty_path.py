"""An empty path, as an unset shell variable leaves it, is refused wherever a path is taken."""

from importlib import import_module

import click
import pytest

from lrface.cli.main import COMMANDS
from lrface.cli.options import FilePath, check_model
from lrface.errors import LrfaceError
from lrface.files import require_path


def _commands(command, words):
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _commands(child, [*words, name])
    else:
        yield words, command


ALL = [pair for name in COMMANDS for pair in _commands(import_module(f"lrface.cli.{name}").command, [name])]
PATHS = [
    (words, command, option)
    for words, command in ALL
    for option in command.params
    if isinstance(option.type, click.Path) or option.callback is check_model
]


def _arguments(command, empty):
    """Arguments of a command that are right, but for the empty one."""
    given = []
    for option in command.params:
        if option is empty:
            given += [option.opts[0], ""] if isinstance(option, click.Option) else [""]
        elif option.required:
            given += [option.opts[0], "x.bin"] if isinstance(option, click.Option) else ["x"]
    return given


def test_every_path_is_of_the_kind_that_refuses():
    assert len(PATHS) > 40
    plain = [(words, option.name) for words, _, option in PATHS if type(option.type) is click.Path]
    assert plain == []


@pytest.mark.parametrize(
    ("words", "command", "empty"), PATHS, ids=[f"{' '.join(words)} {option.name}" for words, _, option in PATHS]
)
def test_an_empty_path_is_refused(lrface, words, command, empty, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lrface(*words, *_arguments(command, empty)).refused("is empty", "unset shell variable")
    assert list(tmp_path.iterdir()) == []


def test_the_unset_variable_enrols_nobody(lrface, tmp_path, face_folder, monkeypatch):
    monkeypatch.chdir(face_folder)
    outcome = lrface("gallery", "add", "x", "", "--detector", "none", "--gallery", tmp_path / "gallery")
    assert outcome.refused("PHOTOS", "is empty")
    assert not (tmp_path / "gallery").exists()


def _python_calls():
    from lrface.data.crop import Settings
    from lrface.data.prepare import prepare
    from lrface.data.sources import open_source
    from lrface.data.store import Store
    from lrface.faces.images import read_image
    from lrface.files import atomic_write, file_digest, read_json
    from lrface.finetune.labelled_images import from_folder
    from lrface.models.embedder import open_embedder
    from lrface.recognition.classifier_files import load_classifier
    from lrface.recognition.embed_files import list_images
    from lrface.recognition.gallery import Gallery
    from lrface.train.recipe import load_recipe

    def write(path):
        with atomic_write(path):
            pass

    return {
        "list_images": lambda path: list_images([path]), "open_source": open_source, "Store": Store,
        "open_embedder": open_embedder, "read_image": read_image, "atomic_write": write, "file_digest": file_digest,
        "read_json": read_json, "Gallery.open": Gallery.open, "load_recipe": load_recipe,
        "load_classifier": load_classifier, "from_folder": lambda path: from_folder(path, None, {}),
        "prepare": lambda path: prepare(path, "out", Settings(detector="none")),
    }  # fmt: skip


@pytest.mark.parametrize("name", _python_calls())
def test_python_refuses_too(name):
    with pytest.raises(LrfaceError, match="is empty"):
        _python_calls()[name]("")


def test_a_path_that_is_there_is_handed_through(tmp_path):
    assert require_path("x") == "x"
    assert require_path(tmp_path) is tmp_path
    assert FilePath()("x") == "x"
