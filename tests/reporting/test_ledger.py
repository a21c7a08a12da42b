"""Rows that are finished, and the fingerprints that they are kept by."""

import os
from pathlib import Path

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.reporting.fingerprint import FileDigests, code_digest
from lrface.reporting.ledger import Ledger

KEY = "0123456789abcdef" * 4


def test_a_row_comes_back_with_its_arrays(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    scores = np.linspace(-1, 1, 7, dtype=np.float32)

    ledger.write(KEY, {"status": "done", "metrics": {"accuracy": 0.5, "tar": None}}, {"similarities": scores})

    again = Ledger(tmp_path)
    assert again.row(KEY) == {"status": "done", "metrics": {"accuracy": 0.5, "tar": None}}
    np.testing.assert_array_equal(again.arrays(KEY)["similarities"], scores)
    assert again.row("f" * 64) is None
    assert again.arrays("f" * 64) == {}


def test_arrays_without_their_row_are_no_row(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(KEY, {"status": "done"}, {"x": np.zeros(3)})
    (tmp_path / f"{KEY[:32]}.json").unlink()  # killed between the two

    assert KEY not in ledger
    assert ledger.row(KEY) is None


def test_a_row_that_cannot_be_read_is_computed_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(KEY, {"status": "done"}, {})
    (tmp_path / f"{KEY[:32]}.json").write_text('{"status": "do')

    assert ledger.row(KEY) is None


def test_damaged_arrays_are_named(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write(KEY, {"status": "done"}, {"x": np.zeros(3)})
    (tmp_path / f"{KEY[:32]}.npz").write_bytes(b"PK")

    with pytest.raises(LrfaceError, match="is damaged"):
        ledger.arrays(KEY)


def folder_of(root: Path, **files: str) -> Path:
    root.mkdir(parents=True)
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def test_folders_are_named_by_contents_and_names_not_by_place(tmp_path: Path) -> None:
    digests = FileDigests(tmp_path / "memory.json")
    usual = digests.of(folder_of(tmp_path / "a", x="1", y="2"))

    assert digests.of(folder_of(tmp_path / "b", x="1", y="2")) == usual
    assert digests.of(folder_of(tmp_path / "c", x="1", z="2")) != usual
    assert digests.of(folder_of(tmp_path / "d", x="1", y="3")) != usual
    assert digests.of(tmp_path / "a", ["x"]) == digests.of(tmp_path / "d", ["x"]) != usual


def test_files_are_read_again_only_if_they_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrface.reporting import fingerprint

    root = folder_of(tmp_path / "a", x="1", y="2")
    usual = FileDigests(tmp_path / "memory.json").of(root)
    read: list[Path] = []
    right = fingerprint.file_digest
    monkeypatch.setattr(fingerprint, "file_digest", lambda path: read.append(path) or right(path))

    assert FileDigests(tmp_path / "memory.json").of(root) == usual
    assert not read
    (root / "y").write_text("3")
    os.utime(root / "y", ns=(1, 1))
    assert FileDigests(tmp_path / "memory.json").of(root) != usual
    assert read


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LrfaceError, match=r"gone\.txt"):
        FileDigests(tmp_path / "memory.json").of(tmp_path, ["gone.txt"])


def test_code_is_named_by_what_it_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "some_protocol.py"
    digests = []
    for text in (
        'def f(x):\n    """Says."""\n    return x + 1\n',
        'def f(\n    x\n):  # a comment\n    """Says more."""\n    return x + 1\n',
        "def f(x):\n    return x + 2\n",
    ):
        module.write_text(text)
        digests.append(code_digest(["some_protocol"]))

    assert digests[0] == digests[1] != digests[2]
    with pytest.raises(LrfaceError, match="no_such_module"):
        code_digest(["no_such_module"])
