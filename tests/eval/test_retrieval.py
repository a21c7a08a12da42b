"""The oracle sorts the full matrix of scores, one probe after the other, as the official TinyFace code does."""

import json
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from lrface.errors import LrfaceError
from lrface.eval import blocks
from lrface.eval.retrieval import evaluate

RANKS = (1, 2, 5, 10, 20, 50)


def official_average_precision(good, index):
    """``compute_AP`` as formats.md tells it: ``good`` images among the ranked ``index``, and at which rank the first is."""
    old_recall, old_precision, ap, hits, first = 0.0, 1.0, 0.0, 0, None
    for n, image in enumerate(index):
        if image in good:
            hits += 1
            first = n if first is None else first
        recall, precision = hits / len(good), hits / (n + 1)
        ap += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
        if hits == len(good):
            return ap, first
    raise AssertionError


def full_matrix(probe, probe_ids, gallery, gallery_ids, digits=9):
    """CMC at ``RANKS``, mean AP and the probes without a mate; scores alike to ``digits`` are ties, mates coming last."""
    unit = [[row / np.sqrt(np.sum(row**2)) for row in np.asarray(side, np.float64)] for side in (probe, gallery)]
    firsts, aps, without = [], [], 0
    for row, person in zip(unit[0], probe_ids, strict=True):
        good = {n for n, other in enumerate(gallery_ids) if other == person and person >= 0}
        if not good:
            without += 1
            continue
        scores = [round(float(np.sum(row * other)), digits) for other in unit[1]]
        index = sorted(range(len(scores)), key=lambda n: (-scores[n], n in good))
        ap, first = official_average_precision(good, index)
        aps.append(ap)
        firsts.append(first)
    cmc = {rank: sum(first < rank for first in firsts) / len(firsts) for rank in RANKS}
    return cmc, sum(aps) / len(aps), without


def faces(probes, images, people, seed, dims=6, tied=True):
    """Features that lean towards their person. Tied ones have few values, so that many cosines are the same, and some
    gallery images occur again under another name and at another length."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people + 3, dims))
    probe_ids = rng.integers(-1, people + 3, probes)
    gallery_ids = np.where(rng.random(images) < 0.5, -100, rng.integers(0, people, images))
    probe_ids[0] = gallery_ids[0] = 0  # at least one probe has a mate
    probe = centres[probe_ids] + rng.normal(size=(probes, dims))
    named = gallery_ids[:, None] >= 0
    gallery = np.where(named, centres[np.maximum(gallery_ids, 0)], 0) + rng.normal(size=(images, dims))
    if tied:
        probe, gallery = (np.clip(np.round(side), -2, 2) for side in (probe, gallery))
        probe[:, 0], gallery[:, 0] = 1, np.where(gallery[:, 0] < 0, -1, 1)  # none is zero
        again = rng.integers(0, images, images // 5)
        gallery[: len(again)] = gallery[again] * rng.choice([1.0, 3.0, 0.37], (len(again), 1))
        probe *= rng.uniform(0.1, 9, (probes, 1))
    return probe.astype(np.float32), probe_ids, gallery.astype(np.float32), gallery_ids


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("probes", "images", "people"), [(40, 150, 12), (25, 90, 3), (3, 7, 2), (60, 60, 40)])
def test_equals_the_full_matrix_with_ties_and_duplicates(probes, images, people, seed, monkeypatch):
    monkeypatch.setattr(blocks, "SIDE", 16)
    monkeypatch.setattr(blocks, "STRIPE", 24)
    data = faces(probes, images, people, seed)
    result = evaluate(*data, ranks=RANKS)
    cmc, mean_ap, without = full_matrix(*data)
    assert result.cmc == cmc
    assert result.mean_ap == pytest.approx(mean_ap, abs=1e-12)
    assert (result.probes, result.without_mate, result.gallery) == (probes, without, images)
    assert result.distractors == np.sum(data[3] < 0)


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_official_code_where_nothing_ties(seed):
    probe, probe_ids, gallery, gallery_ids = faces(50, 400, 30, seed, dims=40, tied=False)
    unit_probe, unit_gallery = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (probe, gallery))
    distance = np.linalg.norm(unit_gallery[:, None].astype(np.float64) - unit_probe[None], axis=2)
    found = []
    for n, person in enumerate(probe_ids):
        good = np.flatnonzero((gallery_ids == person) & (person >= 0))
        if len(good):
            found.append(official_average_precision(set(good.tolist()), np.argsort(distance[:, n]).tolist()))
    result = evaluate(probe, probe_ids, gallery, gallery_ids, ranks=RANKS)
    assert result.mean_ap == pytest.approx(np.mean([ap for ap, _ in found]), abs=1e-12)
    assert result.cmc == {rank: np.mean([first < rank for _, first in found]) for rank in RANKS}
    assert result.first_ranks.tolist() == [first + 1 for _, first in found]


def test_average_precision_by_hand():
    """Mates at the ranks 1 and 3: (1 + 1) / 2 and (1/2 + 2/3) / 2, recall rising by a half at each."""
    angles = np.radians([10, 20, 30, 40])
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    result = evaluate([[1.0, 0.0]], [7], gallery, [7, -100, 7, 8])
    assert result.mean_ap == pytest.approx(0.5 * 1 + 0.5 * (1 / 2 + 2 / 3) / 2)
    assert result.cmc == {1: 1.0, 5: 1.0, 10: 1.0, 20: 1.0, 50: 1.0}


@pytest.mark.parametrize("length", [1.0, 3.7, 1e-6])
@pytest.mark.parametrize("place", [0, 1, 500, 1022, 1023, 1024, 1500, 2046])
def test_a_stranger_with_the_mates_features_stands_before_it(place, length):
    """At any place of a block, where products of the same vectors differ in the last digits."""
    rng = np.random.default_rng(place)
    gallery = rng.normal(size=(2048, 129)).astype(np.float32)
    ids = np.full(2048, -100)
    ids[2047] = 5
    gallery[place] = gallery[2047] * np.float32(length)
    result = evaluate(gallery[2047:], [5], gallery, ids, ranks=(1, 2))
    assert result.cmc == {1: 0.0, 2: 1.0}


def test_all_features_alike_find_nobody():
    result = evaluate(np.ones((4, 8)), [0, 1, 2, 3], np.full((100, 8), 2.0), np.arange(100) % 4, ranks=(1, 75, 76))
    assert result.cmc == {1: 0.0, 75: 0.0, 76: 1.0}


def test_threads_do_not_change_the_result(monkeypatch):
    monkeypatch.setattr(blocks, "SIDE", 16)
    data = faces(80, 300, 20, seed=9)
    results = []
    for threads in (1, 4):
        with threadpool_limits(threads, "blas"):
            results.append(evaluate(*data))
    assert results[0] == results[1]
    assert results[0].first_ranks.tolist() == results[1].first_ranks.tolist()


def test_agrees_with_faiss():
    faiss = pytest.importorskip("faiss")
    probe, probe_ids, gallery, gallery_ids = faces(120, 3000, 60, seed=2, dims=32, tied=False)
    unit_probe, unit_gallery = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (probe, gallery))
    _, nearest = faiss.knn(unit_probe, unit_gallery, 50, metric=faiss.METRIC_INNER_PRODUCT)
    counted = np.isin(probe_ids, gallery_ids) & (probe_ids >= 0)
    hits = (gallery_ids[nearest] == probe_ids[:, None])[counted]
    expected = {rank: hits[:, :rank].any(axis=1).mean() for rank in (1, 5, 10, 20, 50)}
    assert evaluate(probe, probe_ids, gallery, gallery_ids).cmc == pytest.approx(expected, abs=1e-12)


def test_memory_is_a_small_part_of_the_full_matrix(monkeypatch):
    monkeypatch.setattr(blocks, "SIDE", 128)
    rng = np.random.default_rng(0)
    probe, gallery = rng.random((500, 16), np.float32), rng.random((20_000, 16), np.float32)
    ids = rng.integers(0, 400, 500), np.where(np.arange(20_000) < 600, np.arange(20_000) % 400, -100)
    evaluate(probe[:2], ids[0][:2], gallery, ids[1], device="cpu")  # what is imported at first use does not count
    tracemalloc.start()
    try:
        with threadpool_limits(1, "blas"):
            evaluate(probe, ids[0], gallery, ids[1], device="cpu")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 500 * 20_000 * 4 / 30


def test_type_length_and_place_of_features_do_not_matter(tmp_path):
    probe, probe_ids, gallery, gallery_ids = faces(30, 200, 10, seed=1, tied=False)
    expected = evaluate(probe, probe_ids, gallery, gallery_ids)
    np.save(tmp_path / "gallery.npy", gallery)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    for p, g in (
        (probe * np.float32(1e-30), gallery * np.float32(1e30)),
        (probe.astype(np.float64), gallery.tolist()),
        (np.asfortranarray(probe), mapped),
        (np.repeat(probe, 2, axis=0)[::2], np.flip(np.flip(gallery, 0).copy(), 0)),
    ):
        assert evaluate(p, probe_ids, g, gallery_ids) == expected
    known = probe_ids >= 0
    unsigned = evaluate(probe[known], probe_ids[known].astype(np.uint16), gallery, gallery_ids.astype(np.float64))
    assert (unsigned.cmc, unsigned.mean_ap) == (expected.cmc, expected.mean_ap)


def test_with_and_without_distractors():
    probe, probe_ids, gallery, gallery_ids = faces(60, 300, 20, seed=3, tied=False)
    named = gallery_ids >= 0
    with_them = evaluate(probe, probe_ids, gallery, gallery_ids)
    without = evaluate(probe, probe_ids, gallery[named], gallery_ids[named])
    assert without.distractors == 0
    assert without.gallery == with_them.gallery - with_them.distractors
    assert without.mean_ap > with_them.mean_ap


def test_curve_and_json():
    data = faces(60, 300, 20, seed=4)
    result = evaluate(*data, ranks=range(1, 301))
    assert result.curve(300).tolist() == pytest.approx(list(result.cmc.values()))
    content = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert list(content) == ["cmc", "mean_ap", "probes", "without_mate", "gallery", "distractors"]
    assert content["cmc"]["5"] == result.cmc[5]


def fake_faiss(monkeypatch, gpus, calls):
    def pairwise(resources, rows, columns, metric, device):
        assert resources == "resources"
        assert metric == "inner product"
        calls.append(device)
        return rows @ columns.T

    module = SimpleNamespace(
        get_num_gpus=lambda: gpus, StandardGpuResources=lambda: "resources", METRIC_INNER_PRODUCT="inner product",
        pairwise_distance_gpu=pairwise,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "faiss", module)


@pytest.mark.parametrize(
    ("device", "gpus", "used"),
    [("auto", 1, {0}), ("cuda", 2, {0}), ("cuda:1", 2, {1}), ("auto", 0, set()), ("cpu", 2, set())],
)
def test_faiss_multiplies_on_its_gpu(device, gpus, used, monkeypatch):
    data, calls = faces(40, 150, 12, seed=0), []
    expected = evaluate(*data, device="cpu")
    fake_faiss(monkeypatch, gpus, calls)
    assert evaluate(*data, device=device) == expected
    assert set(calls) == used


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:2", "finds 2 GPUs"),
        ("gpu", "unknown device"),
        ("cpu:1", "unknown device"),
        ("cuda:x", "unknown device"),
    ],
)
def test_a_device_that_is_not_there(device, message, monkeypatch):
    fake_faiss(monkeypatch, 2, [])
    with pytest.raises(LrfaceError, match=message):
        evaluate(*faces(5, 20, 2, seed=0), device=device)


def test_without_faiss_the_cpu_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    data = faces(40, 150, 12, seed=0)
    assert evaluate(*data) == evaluate(*data, device="cpu")
    with pytest.raises(LrfaceError, match="finds 0 GPUs"):
        evaluate(*data, device="cuda")


def changed(array, row, value):
    array = array.copy()
    array[row] = value
    return array


P, PI, G, GI = faces(10, 40, 4, seed=7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((P, PI, G[:0], GI[:0]), "no gallery embeddings"),
        ((P[:0], PI[:0], G, GI), "no probe embeddings"),
        ((P, PI, G[:, :5], GI), "6 dimensions and gallery embeddings 5: they come from different models"),
        ((P[0], PI, G, GI), r"must be numbers \[n, dimensions\]"),
        ((P, PI, G.astype(str), GI), "must be numbers"),
        ((changed(P, 3, np.nan), PI, G, GI), "1 of 10 probe embeddings are not finite, first number 3"),
        ((P, PI, changed(G, 39, np.inf), GI), "1 of 40 gallery embeddings are not finite, first number 39"),
        ((P, PI, changed(G, slice(5, 8), 0), GI), "3 of 40 gallery embeddings are zero, first number 5"),
        ((P, PI[:-1], G, GI), r"10 probe embeddings with ids \[9\]"),
        ((P, PI, G, GI[:, None]), r"40 gallery embeddings with ids \[40, 1\]"),
        ((P, PI, G, GI + 0.5), "gallery ids must be whole numbers"),
        ((P, PI, G, np.full(40, np.nan)), "gallery ids must be whole numbers"),
        ((P, PI.astype(str), G, GI), "probe ids must be whole numbers"),
        ((P, PI, G, np.full(40, -100)), "none of the 10 probes has a mate in the gallery of 40 images"),
        ((P, np.full(10, -1), G, np.full(40, -1)), "none of the 10 probes has a mate"),
        ((P, PI, G, GI, (0, 5)), "ranks count from 1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(LrfaceError, match=message):
        evaluate(*arguments)
