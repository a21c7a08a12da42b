"""Files appear whole or not at all."""

import errno
import hashlib
import multiprocessing
import os
import time

import pytest

from lrface.errors import LrfaceError
from lrface.files import atomic_write, file_digest, locked, read_json, try_lock, write_json


def test_a_file_appears_when_the_block_has_ended_and_in_new_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    with atomic_write(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted():
        with atomic_write(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_one_clear_error_and_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LrfaceError, match=r"cannot write .*file: No space left"), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LrfaceError, match="cannot write"), atomic_write(tmp_path / "file" / "below"):
        pass


def test_a_new_file_is_as_readable_as_any_other(tmp_path):
    with atomic_write(tmp_path / "ours") as file:
        file.write(b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_comes_back(tmp_path):
    content = {"a": [1, 2.5, None, "é"], "b": {"c": True}}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot read"), (b'{"a": ', "not valid JSON"), (b"\xff", "not valid JSON")]
)
def test_json_that_cannot_be_read_is_named(tmp_path, content, message):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LrfaceError, match=message) as caught:
        read_json(path)
    assert str(path) in str(caught.value)


def test_digest_of_a_file_of_several_blocks(tmp_path):
    content = os.urandom(3 * (1 << 20) + 17)
    (tmp_path / "x").write_bytes(content)
    assert file_digest(tmp_path / "x") == hashlib.sha256(content).hexdigest()
    with pytest.raises(LrfaceError, match="cannot read"):
        file_digest(tmp_path / "y")


def test_a_lock_is_held_until_its_file_is_closed(tmp_path):
    with open(tmp_path / "x", "wb") as first, open(tmp_path / "x", "wb") as second:
        assert try_lock(first)
        assert not try_lock(second)
        first.close()
        assert try_lock(second)


def _hold(path, entered):
    with locked(path):
        entered.set()
        time.sleep(60)


def test_a_killed_process_lets_the_next_one_in(tmp_path):
    context = multiprocessing.get_context("spawn")
    entered = context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "new" / "lock", entered))
    other.start()
    assert entered.wait(60)
    with open(tmp_path / "new" / "lock", "ab") as file:
        assert not try_lock(file)
    other.kill()
    with locked(tmp_path / "new" / "lock"):
        other.join()
    assert other.exitcode == -9


def test_a_lock_where_nothing_can_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LrfaceError, match="cannot write"), locked(tmp_path / "file" / "lock"):
        pass
