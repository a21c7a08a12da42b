"""Curves, hardest pairs, published tables."""

from pathlib import Path

import numpy as np
import pytest

from lrface.data.sets.pair_set import PairSet
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation
from lrface.reporting.style import PALETTE, drawing, save_figure, series, variables
from lrface.suite.error_pairs import hardest, write_error_pairs
from lrface.suite.plots import histograms, roc, roc_points
from lrface.suite.published import read_published

Scores = tuple[np.ndarray, np.ndarray]


def test_roc_points_are_those_of_sklearn(scores: Scores) -> None:
    from sklearn.metrics import roc_curve

    rounded = np.round(scores[0], 2)  # ties

    rates, accepted = roc_points(rounded, scores[1])

    known_rates, known_accepted, _ = roc_curve(scores[1], rounded, drop_intermediate=False)
    np.testing.assert_allclose(rates, known_rates)
    np.testing.assert_allclose(accepted, known_accepted)


def test_hardest_pairs_are_the_most_wrong_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (8, 112, 112, 3), dtype=np.uint8))
    same = np.array([True, False] * 4)
    names = tuple(f"P{i}/P_{i}_0001.jpg" for i in range(8))
    pairs = PairSet(images, np.arange(8), np.arange(8)[::-1], same, "set", "none", names)
    scores = np.array([0.1, 0.2, 0.9, 0.8, -0.3, 0.7, 0.5, -0.9])

    accepts, rejects = hardest(pairs, scores, Degradation(16), count=2)

    assert [pair.similarity for pair in accepts] == [0.8, 0.7]
    assert [pair.similarity for pair in rejects] == [-0.3, 0.1]
    assert accepts[0].names == ("P 3 0001", "P 4 0001")
    assert accepts[0].low[0].shape == (16, 16, 3)
    np.testing.assert_array_equal(rejects[1].full[1], images[7])
    write_error_pairs(accepts, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_figure_is_drawn_in_light_for_files_and_in_variables_for_the_page(tmp_path: Path, scores: Scores) -> None:
    with drawing() as canvas:
        inline = save_figure(roc(canvas, [("LR-LR", [("a < b", *scores)])], {"a < b": 0}), tmp_path, "roc")
        save_figure(histograms(canvas, [("a", *scores, 0.3, 0.2)] * 4), tmp_path, "histograms")

    for light, _ in PALETTE.values():
        assert light not in inline
    assert "var(--c0)" in inline
    assert PALETTE["c0"][0] in (tmp_path / "roc.svg").read_text()
    assert (tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")
    assert 'aria-labelledby="roc-caption"' in inline
    assert "a &lt; b" in inline  # text stays text
    assert (tmp_path / "histograms.svg").exists()


def test_figures_are_the_same_each_time(tmp_path: Path, scores: Scores) -> None:
    for name in ("one", "two"):
        with drawing() as canvas:
            save_figure(roc(canvas, [("LR-LR", [("a", *scores)])], {"a": 0}), tmp_path / name, "roc")

    assert (tmp_path / "one" / "roc.svg").read_bytes() == (tmp_path / "two" / "roc.svg").read_bytes()


def test_colours_can_be_told_apart_and_read(tmp_path: Path) -> None:
    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    def contrast(a: str, b: str) -> float:
        high, low = sorted((luminance(a), luminance(b)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    for mode in (0, 1):
        shades = {name: pair[mode] for name, pair in PALETTE.items()}
        assert len(set(shades.values())) == len(shades)
        assert contrast(shades["ink"], shades["page"]) >= 7
        assert contrast(shades["quiet"], shades["page"]) >= 4.5
        assert contrast(shades["quiet"], shades["panel"]) >= 4.5
        assert contrast(shades["accent"], shades["page"]) >= 4.5
        assert min(contrast(shade, shades["page"]) for name, shade in shades.items() if name.startswith("c")) >= 3
    styles = [tuple(sorted((key, str(value)) for key, value in series(number).items())) for number in range(48)]
    assert len(set(styles)) == 48
    assert "prefers-color-scheme: dark" in variables()


def test_published_tables_are_read_as_fractions() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "published"

    lfw = read_published(folder, "lfw_verification", percent=True)
    tinyface = read_published(folder, "tinyface_retrieval", percent=False)

    ours = next(row for row in lfw if row.model == "CRRCD")
    assert (ours.resolution, ours.values) == ("16x16", {"accuracy": pytest.approx(0.9525)})
    assert next(row for row in tinyface if row.model == "CRRCD").values == {
        "rank1": 0.35,
        "rank10": 0.47,
        "rank20": 0.50,
    }
    assert "rank10" not in next(row for row in tinyface if row.model == "CenterFace").values
    assert read_published(folder, "no_such_table", percent=True) == []
    assert read_published(None, "lfw_verification", percent=True) == []


def test_a_damaged_published_table_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "lfw.csv").write_text("model,resolution,accuracy,publication\nA,16x16,90.1,X\nB,16x16,ninety,Y\n")

    with pytest.raises(LrfaceError, match=r"lfw\.csv line 3"):
        read_published(tmp_path, "lfw", percent=True)
