"""Every set of pairs, at every resolution and across resolutions, goes through one function."""

import json

import numpy as np
import pytest

from lrface.data.crop import Settings
from lrface.data.sets.bins import write_bin
from lrface.data.sets.pair_set import PairSet, from_bin, from_folder
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.eval.lfw import table, verify_pairs
from lrface.eval.verification import evaluate
from lrface.faces.degrade import Degradation
from lrface.faces.images import encode_image
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing

SIDES = (8, 12, 16, 20, 24, 32, 48, 64, 112)


class Network:
    """Colours of a grid of places; remembers how many faces it saw."""

    def __init__(self, dim):
        self.seen = 0
        self.weights = np.random.default_rng(dim).normal(size=(3 * 16 * 16, dim)).astype(np.float32)

    def __call__(self, batch):
        self.seen += len(batch)
        return batch.reshape(len(batch), -1) @ self.weights


def embedder(dim=12):
    return Embedder(Network(dim), Preprocessing(16), "digest", {})


@pytest.fixture(scope="module")
def pairs():
    """20 pairs; every second one shows one person. Image 0 is in many of them and the last two in none."""
    people = np.arange(42) // 2
    images = [face(int(person), number % 2, seed=3) for number, person in enumerate(people)]
    a = np.array([2 * n if n % 2 else 0 for n in range(20)])
    b = np.array([2 * n + 1 for n in range(20)])
    return PairSet(images, a, b, people[a] == people[b], "drawn", "as drawn")


def by_hand(pairs, a, b, first, second, flip=True):
    """Each pair embedded for itself."""

    def embed(model, image):
        one = model.embed([image])[0]
        return one + model.embed([image], flip=True)[0] if flip else one

    left = [embed(first, a(pairs.images[i])) for i in pairs.a]
    right = [embed(second, b(pairs.images[i])) for i in pairs.b]
    return evaluate(left, right, pairs.same).as_dict()


def same_scores(row, expected):
    found = row.result.as_dict()
    for key in ("accuracy", "std", "auc", "eer", "tar_at_far", "thresholds"):
        assert found[key] == pytest.approx(expected[key], abs=1e-6)


def untouched(image):
    return image


@pytest.mark.parametrize("flip", [True, False])
def test_resolution_sweep(pairs, flip):
    model = embedder()
    rows = [verify_pairs(model, pairs, Degradation(side), flip=flip) for side in SIDES]
    for side, row in zip(SIDES, rows, strict=True):
        if side in (8, 112):
            same_scores(row, by_hand(pairs, Degradation(side), Degradation(side), model, model, flip))
        assert row.operator == f"{side}px-bilinear-antialias"
        assert row.as_dict()["flip"] is flip
    assert len({row.result.auc for row in rows}) > 1
    assert rows[-1].result.as_dict() == verify_pairs(model, pairs, mode="hr-hr", flip=flip).result.as_dict()
    assert len(table(rows).splitlines()) == 1 + len(SIDES)
    assert json.loads(json.dumps(rows[0].as_dict(), allow_nan=False))["mode"] == "lr-lr"


def test_across_resolutions_the_second_image_is_small(pairs):
    model, teacher = embedder(), embedder()
    row = verify_pairs(model, pairs, Degradation(8), "hr-lr", teacher)
    same_scores(row, by_hand(pairs, untouched, Degradation(8), teacher, model))
    assert row.mode == "hr-lr"
    same_scores(
        verify_pairs(model, pairs, Degradation(8), "hr-lr"), by_hand(pairs, untouched, Degradation(8), model, model)
    )


def test_an_image_is_embedded_once_and_only_where_it_is_used(pairs):
    model, teacher = embedder(), embedder()
    verify_pairs(model, pairs, Degradation(8))
    used = len(np.unique([pairs.a, pairs.b]))
    assert model.network.seen == 2 * used
    verify_pairs(model, pairs, Degradation(8), "hr-lr", teacher, flip=False)
    length = 1  # one more tells the length of a model's embeddings
    assert model.network.seen == 2 * used + len(np.unique(pairs.b)) + length
    assert teacher.network.seen == len(np.unique(pairs.a)) + length


def test_models_that_cannot_be_compared(pairs):
    with pytest.raises(LrfaceError, match="9 and 12 dimensions"):
        verify_pairs(embedder(), pairs, Degradation(8), "hr-lr", embedder(9))
    with pytest.raises(LrfaceError, match="needs a low-resolution side"):
        verify_pairs(embedder(), pairs, mode="hr-lr")


def test_a_pack(pairs, tmp_path):
    path = tmp_path / "cfp_fp.bin"
    images = [pairs.images[i] for pair in zip(pairs.a, pairs.b, strict=True) for i in pair]
    write_bin(path, [encode_image(image, "png") for image in images], pairs.same.tolist())
    row, expected = (
        verify_pairs(embedder(), from_bin(path), Degradation(16)),
        verify_pairs(embedder(), pairs, Degradation(16)),
    )
    assert row.result.as_dict() == expected.result.as_dict()
    assert (row.pair_set, row.alignment) == ("cfp_fp", "as packed")


def test_xqlfw_as_it_comes(tmp_path):
    """Its own list in LFW's format over 112 px crops that are aligned already."""
    for person in range(20):
        (tmp_path / "images" / f"p{person}").mkdir(parents=True)
        for number in (1, 2):
            crop = encode_image(face(person, number, seed=4))
            (tmp_path / "images" / f"p{person}" / f"p{person}_{number:04d}.jpg").write_bytes(crop)
    lines = ["10\t1"]
    for fold in range(10):
        lines += [f"p{fold}\t1\t2", f"p{fold}\t1\tp{fold + 10}\t2"]
    (tmp_path / "xqlfw_pairs.txt").write_text("\n".join(lines))
    found = from_folder(tmp_path / "images", [tmp_path / "xqlfw_pairs.txt"], Settings(detector="none"))
    row = verify_pairs(embedder(), found, Degradation(16))
    assert (row.pair_set, row.alignment, row.result.pairs) == ("xqlfw_pairs", "none", 20)
    assert found.same.tolist() == [True, False] * 10
