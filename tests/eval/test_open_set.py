"""The oracle tries every threshold, search after search."""

import json
import math

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.eval import blocks
from lrface.eval.open_set import evaluate

FPIRS = (0.01, 0.05, 0.1, 0.3, 0.99)


def watch_list(mated, unmated, people, each, seed, dims=6, tied=True):
    """Mated and unmated searches and a gallery; tied features have few values. Some mated searches are mistaken ones."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people + 2, dims))
    gallery_ids = np.repeat(np.arange(people), each)
    mated_ids = rng.integers(0, people + 2, mated)
    mated_ids[0] = 0
    parts = [
        centres[mated_ids] + rng.normal(size=(mated, dims)),
        rng.normal(size=(unmated, dims)),
        centres[gallery_ids] + rng.normal(size=(people * each, dims)),
    ]
    if tied:
        for part in parts:
            np.clip(np.round(part), -2, 2, out=part)
            part[:, 0] = 1
            part *= rng.uniform(0.1, 9, (len(part), 1))
    return parts[0].astype(np.float32), mated_ids, parts[1].astype(np.float32), parts[2].astype(np.float32), gallery_ids


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return round(float(np.sum(a * b) / math.sqrt(np.sum(a**2)) / math.sqrt(np.sum(b**2))), 6)


def slow(mated, mated_ids, unmated, gallery, gallery_ids, rank, fpirs):
    alarms = [max(cosine(row, other) for other in gallery) for row in unmated]
    searches = []  # score of the best mate, and whether it stands among the first `rank`
    for row, person in zip(mated, mated_ids, strict=True):
        scores = [(cosine(row, other), known == person) for other, known in zip(gallery, gallery_ids, strict=True)]
        own = [score for score, mate in scores if mate]
        if own:
            before = sum(score >= max(own) for score, mate in scores if not mate)
            searches.append((max(own), before < rank))

    def tpir(threshold):
        return sum(inside and score > threshold for score, inside in searches) / len(searches)

    tpirs = {}
    for fpir in fpirs:
        allowed = [t for t in alarms if sum(alarm > t for alarm in alarms) / len(alarms) <= fpir + 1e-12]
        tpirs[fpir] = tpir(min(allowed)) if fpir * len(alarms) >= 1 - 1e-9 else math.nan
    wins = [inside and score > alarm for score, inside in searches for alarm in alarms]
    return tpirs, sum(wins) / len(wins), len(mated) - len(searches)


@pytest.mark.parametrize("rank", [1, 3, 20])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tied", [True, False])
def test_equals_the_definition(seed, rank, tied, monkeypatch):
    monkeypatch.setattr(blocks, "SIDE", 16)
    monkeypatch.setattr(blocks, "STRIPE", 24)
    data = watch_list(35, 60, 8, 4, seed, tied=tied)
    result = evaluate(*data, rank=rank, fpirs=FPIRS)
    tpirs, auc, without = slow(*data, rank, FPIRS)
    assert result.tpir == pytest.approx(tpirs, abs=1e-12, nan_ok=True)
    assert math.isnan(result.tpir[0.01])
    assert result.auc == pytest.approx(auc, abs=1e-12)
    assert (result.rank, result.mated, result.without_mate, result.unmated, result.gallery) == (
        rank,
        35,
        without,
        60,
        32,
    )
    assert result.curve(FPIRS[1:]).tolist() == pytest.approx([tpirs[fpir] for fpir in FPIRS[1:]])
    assert result.curve([0.0, 1.0])[1] == len(result.hits) / (35 - without)
    for fpir, threshold in result.thresholds.items():
        assert math.isnan(threshold) or np.mean(result.alarms > threshold) <= fpir


def test_a_stranger_who_looks_like_the_mate_costs_the_hit():
    """The unmated search has the very features of the mated one: no threshold keeps one and refuses the other."""
    rng = np.random.default_rng(0)
    mated, gallery = rng.normal(size=(1, 33)), rng.normal(size=(1500, 33))
    gallery[1499] = mated[0] + 0.1
    ids = np.append(np.full(1499, -1), 4)
    strangers = np.concatenate([rng.normal(size=(9, 33)), mated * 5])
    assert evaluate(mated, [4], strangers, gallery, ids, fpirs=(0.1, 0.2)).tpir == {0.1: 1.0, 0.2: 1.0}
    assert evaluate(mated, [4], strangers[-1:].repeat(10, 0), gallery, ids, fpirs=(0.1,)).tpir == {0.1: 0.0}


def test_as_dict_is_json():
    result = evaluate(*watch_list(20, 30, 5, 2, seed=1))
    content = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert content["tpir"] == {"0.01": None, "0.1": result.tpir[0.1], "0.2": result.tpir[0.2], "0.3": result.tpir[0.3]}
    assert content["thresholds"]["0.1"] == result.thresholds[0.1]
    assert (content["rank"], content["mated"], content["unmated"], content["gallery"]) == (20, 20, 30, 10)


M, MI, U, G, GI = watch_list(10, 12, 3, 2, seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((M, MI, U[:0], G, GI), "no unmated probe embeddings"),
        ((M, MI, U[:, :3], G, GI), "unmated probe embeddings have 3 dimensions and gallery embeddings 6"),
        ((M, MI, U * np.float32(np.nan), G, GI), "12 of 12 unmated probe embeddings are not finite"),
        ((M, MI[:4], U, G, GI), r"10 mated probe embeddings with ids \[4\]"),
        ((M, np.full(10, 77), U, G, GI), "none of the 10 mated probes has a mate"),
        ((M, MI, U, G, GI, 0), "a rank counts from 1"),
        ((M, MI, U, G, GI, 20, (1.0,)), "between 0 and 1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(LrfaceError, match=message):
        evaluate(*arguments)
