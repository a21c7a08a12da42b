"""Faces of nobody, blended from pairs."""

import blend_faces
import numpy as np
import pytest
from click.testing import CliRunner

from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.store import Store
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.faces.images import encode_image, read_image


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    for person in range(3):
        for number in range(2):
            file = root / "faces" / f"{person:05d}" / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(encode_image(face(person, number, seed=1), "png"))
    prepare(root / "faces", root / "store", Settings(detector="none"), progress=False)
    return root


def run(root, out, *options):
    arguments = ["--store", str(root / "store"), "--out", str(out), "--holdout-identities", "0", *options]
    return CliRunner().invoke(blend_faces.main, arguments)


def test_pairs_are_of_two_people_and_the_same_for_a_seed():
    images, labels = np.arange(40), np.arange(40) % 4
    a, b, shares = blend_faces.draw_blends(images, labels, 200, 5)
    assert (labels[a] != labels[b]).all()
    assert ((shares >= 0.35) & (shares <= 0.65)).all()
    again = blend_faces.draw_blends(images, labels, 200, 5)
    assert all((x == y).all() for x, y in zip((a, b, shares), again, strict=True))


def test_one_person_gives_no_blend():
    with pytest.raises(LrfaceError, match="two people"):
        blend_faces.draw_blends(np.arange(3), np.zeros(3, int), 1, 5)


def test_a_blend_is_the_weighted_mean():
    first, second = np.full((2, 2, 3), 10, np.uint8), np.full((2, 2, 3), 210, np.uint8)
    assert (blend_faces.blend(first, second, 0.25) == 160).all()


def test_blends_are_faces_of_nobody_and_a_second_call_goes_on(root):
    out = root / "joined" / "-1"
    assert run(root, out, "--count", "3").exit_code == 0
    first = (out / "blend000000.jpg").read_bytes()
    assert run(root, out, "--count", "5").exit_code == 0
    assert len(list(out.iterdir())) == 5
    assert (out / "blend000000.jpg").read_bytes() == first
    assert read_image(out / "blend000004.jpg").shape == (112, 112, 3)
    for person in range(2):
        (root / "joined" / f"{person:05d}").mkdir()
        (root / "joined" / f"{person:05d}" / "0.png").write_bytes(encode_image(face(person, 0, seed=1), "png"))
    prepare(root / "joined", root / "joined_store", Settings(detector="none"), progress=False)
    assert (Store(root / "joined_store").labels == -1).sum() == 5


def test_a_store_that_is_not_there_is_one_line(tmp_path):
    result = run(tmp_path, tmp_path / "out", "--count", "1")
    assert result.exit_code == 2
    assert "error:" in result.output
    assert "Traceback" not in result.output
