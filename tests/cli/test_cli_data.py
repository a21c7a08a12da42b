"""``lrface data``: the catalogue, and the fetching of LFW with the fetcher replaced."""

from pathlib import Path
from urllib.error import URLError

import pytest
import sklearn.datasets

from lrface.data.sets.catalog import CATALOG, dataset, find
from lrface.data.sets.fetch import PAIR_FILES, fetch_lfw
from lrface.errors import LrfaceError

PAIRS = "2\nAda\t1\t2\nBob\t1\t2\nAda\t1\tBob\t1\nAda\t2\tBob\t2\n"


def put(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


@pytest.fixture
def fetcher(monkeypatch):
    """Stands in for scikit-learn's fetcher: leaves behind what that does. ``fetcher.fail`` makes it fail halfway."""

    class Fetcher:
        calls = 0
        fail = None

        def __call__(self, *, subset, data_home, resize, n_retries):
            self.calls += 1
            home = Path(data_home) / "lfw_home"
            for name in PAIR_FILES:
                put(home / name)
                (home / name).write_text(PAIRS)
            put(home / "lfw_funneled" / "Ada" / "Ada_0001.jpg", home / "joblib" / "junk")
            if self.fail:
                raise self.fail
            put(*(home / "lfw_funneled" / name / f"{name}_000{n}.jpg" for name in ("Ada", "Bob") for n in (1, 2)))

    fetcher = Fetcher()
    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_pairs", fetcher)
    return fetcher


def test_lfw_is_laid_out_as_the_catalogue_says(lrface, fetcher, tmp_path):
    outcome = lrface("data", "get", "lfw", "--data", tmp_path)
    assert outcome.status == 0
    assert outcome.out == f"4 images and the pairs files of Views 1 and 2: {tmp_path / 'lfw'}\n"
    assert sorted(path.name for path in (tmp_path / "lfw").iterdir()) == sorted(["images", *PAIR_FILES])
    assert {found.dataset.name: found.state for found in find(tmp_path)}["lfw"] == "found"
    assert fetch_lfw(tmp_path / "lfw") == 4
    assert fetcher.calls == 1


def test_lfw_into_another_folder(lrface, fetcher, tmp_path):
    assert lrface("data", "get", "LFW", "--out", tmp_path / "faces").status == 0
    assert (tmp_path / "faces" / "pairs.txt").read_text() == PAIRS


@pytest.mark.parametrize("fault", [URLError("no route to host"), OSError("The SHA256 checksum differs"), EOFError()])
def test_a_refused_download_is_one_line_and_can_be_repeated(lrface, fetcher, tmp_path, fault):
    fetcher.fail = fault
    outcome = lrface("data", "get", "lfw", "--data", tmp_path)
    assert outcome.status == 2
    line = outcome.err.splitlines()[-1]
    assert line.startswith("error: cannot download LFW (")
    assert "lrface data where lfw" in line
    assert not (tmp_path / "lfw" / "images").exists()
    fetcher.fail = None
    assert fetch_lfw(tmp_path / "lfw") == 4


def test_a_download_that_was_refused_at_once_leaves_nothing(monkeypatch, tmp_path):
    def refuse(*, data_home, **options):
        (Path(data_home) / "lfw_home").mkdir()
        raise URLError("no route to host")

    monkeypatch.setattr(sklearn.datasets, "fetch_lfw_pairs", refuse)
    with pytest.raises(LrfaceError, match="no route to host"):
        fetch_lfw(tmp_path / "data" / "lfw")
    assert not (tmp_path / "data" / "lfw").exists()


def test_half_of_lfw_is_not_taken_for_lfw(fetcher, tmp_path):
    fetch_lfw(tmp_path)
    (tmp_path / "images" / "Bob" / "Bob_0002.jpg").unlink()
    with pytest.raises(LrfaceError, match=r"not a whole LFW.*Bob/Bob_0002\.jpg.*remove"):
        fetch_lfw(tmp_path)


def test_only_lfw_can_be_fetched(lrface, fetcher):
    assert lrface("data", "get", "tinyface").refused("tinyface", "lrface data where tinyface")
    assert lrface("data", "get", "tinyfaces").refused("tinyfaces", "did you mean 'tinyface'")
    assert fetcher.calls == 0


def test_where_tells_what_one_needs_to_know(lrface, tmp_path):
    for entry in CATALOG:
        outcome = lrface("data", "where", entry.name, "--data", tmp_path)
        assert outcome.status == 0
        assert "here:    missing under" in outcome.out
        for text in (entry.title, entry.terms, entry.source, entry.use, *entry.layout.split("\n")):
            assert text in outcome.out
    assert lrface("data", "where", "CASIA_WebFace").status == 0
    assert lrface("data", "where", "casia").refused("unknown data set 'casia'", "casia-webface")


def test_the_list_tells_what_is_there(lrface, tmp_path):
    put(tmp_path / "faces_webface_112x112" / "train.rec", tmp_path / "xqlfw" / "xqlfw_pairs.txt")
    put(tmp_path / "faces_emore" / "calfw.bin", tmp_path / "ms1mv3" / "shard-00000-of-00001" / "shard.json")
    outcome = lrface("data", "list", "--data", tmp_path)
    states = {line.split()[1]: line.split()[0] for line in outcome.out.splitlines()[: len(CATALOG)]}
    assert set(states) == {entry.name for entry in CATALOG}
    there = {name: state for name, state in states.items() if state != "missing"}
    assert there == {"casia-webface": "incomplete", "xqlfw": "incomplete", "calfw": "found", "ms1mv3": "found"}
    assert "lacking faces_webface_112x112/train.idx" in lrface("data", "where", "casia-webface", "--data", tmp_path).out


def test_the_catalogue_is_whole():
    assert len({entry.name for entry in CATALOG}) == len(CATALOG)
    for entry in CATALOG:
        assert dataset(entry.name.upper().replace("-", "_")) is entry
        assert "http" in entry.source
        assert all(patterns for patterns in entry.places)


def test_rehearsing_needs_a_place_and_tells_what_it_made(lrface, face_folder, tmp_path):
    outcome = lrface(
        "data", "rehearse", face_folder, "--out", tmp_path, "--set", "tinyface", "--set", "uccs", "--detector", "none",
        "--workers", 1,
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    assert "training people, " in outcome.out
    assert "  1 distractor images, the published set has 153,428\n" in outcome.out
    states = {found.dataset.name: found.state for found in find(tmp_path)}
    assert (states["tinyface"], states["uccs"], states["scface"]) == ("found", "found", "missing")
    again = lrface(
        "data", "rehearse", face_folder, "--out", tmp_path, "--set", "uccs", "--detector", "none", "--workers", 1,
        "--disjoint-from", tmp_path / "none",
    )  # fmt: skip
    assert again.refused("no store at", "none")
    assert "Missing option '--out'" in lrface("data", "rehearse", face_folder).err


def test_a_rehearsal_that_is_there_already(lrface, tiny_store, tmp_path):
    command = ("data", "rehearse", tiny_store, "--out", tmp_path, "--set", "uccs")
    assert "(there already)" not in lrface(*command).out
    assert "(there already)" in lrface(*command).out
    assert lrface(*command, "--seed", 1).refused("uccs", "(seed)", "--overwrite")
    assert lrface(*command, "--detector", "none").refused("is a store")
    assert lrface(*command, "--disjoint-from", tiny_store, "--overwrite").refused("no people left")


def test_a_split_is_written_and_read(lrface, face_folder, tmp_path):
    out = tmp_path / "split.csv"
    outcome = lrface(
        "data", "split", face_folder, "--out", out, "--subjects", 2, "--train", 4, "--test", 2, "--seed", 1
    )
    assert outcome.out == f"2 people, 4 training and 2 test images: {out}\n"
    lines = out.read_text().splitlines()
    assert lines[0] == "path,subject_id,split"
    assert len(lines) == 7
    assert all((face_folder / line.split(",")[0]).is_file() for line in lines[1:])
    assert lrface("data", "split", tmp_path / "none", "--out", out).refused("none")


def test_every_set_that_is_read_says_by_what():
    for entry in CATALOG:
        assert entry.use.startswith("lrface "), entry.name
