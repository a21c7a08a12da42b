"""One walker for all commands that read folders: what it passes over is counted."""

import os

import pytest

from lrface.data.folders import LINKED, Passed, is_system, list_folder, walk
from lrface.errors import LrfaceError


def plant(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


@pytest.fixture
def messy(tmp_path):
    """Three images that count, and what phones, disks and systems leave beside them."""
    root = tmp_path / "photos"
    plant(
        root, "b.JPG", "a.heic", "deep/down/c.png", "notes.txt", ".DS_Store", "Thumbs.db", "deep/._c.png", ".hidden/x.jpg",
        "@eaDir/b.JPG/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/a.heic",
    )  # fmt: skip
    plant(tmp_path / "elsewhere", "d.jpg")
    os.symlink(tmp_path / "elsewhere", root / "linked")
    os.symlink(tmp_path / "elsewhere" / "d.jpg", root / "deep" / "d.jpg")
    return root


@pytest.mark.parametrize(
    "name", [".git", ".DS_Store", "._a.jpg", "@eaDir", "@EADIR", "__MACOSX", "Thumbs.db", "desktop.ini"]
)
def test_what_systems_make(name):
    assert is_system(name)


@pytest.mark.parametrize("name", ["anna", "a.jpg", "-1", "@anna", "_", "Thumbs"])
def test_what_people_make(name):
    assert not is_system(name)


def test_everything_that_lies_there_is_used_or_counted(messy):
    passed = Passed()
    found = sorted(walk(messy, passed))
    assert found == sorted(str(messy / name) for name in ("a.heic", "b.JPG", "deep/d.jpg", "deep/down/c.png"))
    assert passed.rows == [(str(messy / "linked"), LINKED)]
    assert (passed.system, passed.others) == (6, 1)
    assert passed.lines() == (
        f"1 left out: {LINKED}", "6 hidden or system files and folders passed over", "1 files that are no images passed over",
    )  # fmt: skip
    assert passed.notes() == passed.lines()[1:]


def test_names_may_be_relative(messy):
    assert "deep/down/c.png" in list(walk(messy, Passed(), ""))


def test_a_hidden_folder_that_is_named_itself_is_read(messy):
    assert list(walk(messy / ".hidden", Passed())) == [str(messy / ".hidden" / "x.jpg")]


def test_a_link_to_a_folder_above_is_no_circle(messy):
    os.symlink(messy, messy / "deep" / "up")
    passed = Passed()
    assert len(list(walk(messy, passed))) == 4
    assert len(passed.rows) == 2


def test_one_folder(messy):
    listing = list_folder(messy, Passed())
    assert listing.images == ["a.heic", "b.JPG"]
    assert listing.folders == ["deep"]
    with pytest.raises(LrfaceError, match=r"cannot list .*none: No such file"):
        list_folder(messy / "none", Passed())
