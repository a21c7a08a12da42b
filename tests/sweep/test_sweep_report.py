"""The table and the curve of runs whose figures are given."""

import csv
import json
import statistics

import pytest

from lrface.files import write_json
from lrface.sweep.plan import Run
from lrface.sweep.process import OUTCOME
from lrface.sweep.report import draw_curve, write_report
from lrface.sweep.spec import SweepSpec

VALUES = {(0.1, True, 5): 0.70, (0.1, True, 6): 0.74, (0.2, True, 5): 0.81, (0.2, True, 6): 0.83, (0.1, False, 5): 0.5}


@pytest.fixture
def swept(tmp_path):
    """A spec of four points and two seeds, and its runs: one failed, two not run."""
    spec = SweepSpec(
        name="made", recipe="base.yaml", axes={"loss.tau": [0.1, 0.2], "loss.queue": [True, False]}, seeds=[5, 6]
    )
    runs = []
    for seed in spec.seeds:
        for number, point in enumerate(spec.expand()):
            folder = tmp_path / "runs" / f"{number}-{seed}"
            run = Run(point, seed, None, folder, f"key {number} {seed}", 100)
            value = VALUES.get((*point.values(), seed))
            if value:
                ended = {"status": "finished", "history": [{"epoch": 1, "auc": value}], "seconds": 7.0}
                write_json(folder / OUTCOME, {"key": run.key, "code": {"commit": "abc"}, **ended})
            runs.append(run)
    write_json(runs[-1].folder / OUTCOME, {"key": runs[-1].key, "status": "failed", "reason": "no more memory"})
    write_json(runs[3].folder / OUTCOME, {"key": "of another recipe", "status": "finished", "history": [{"auc": 0.99}]})
    return spec, runs


def test_results(swept, tmp_path):
    spec, runs = swept
    results = write_report(spec, tmp_path / "base.yaml", tmp_path, runs)
    assert results == json.loads((tmp_path / "results.json").read_text())
    first, without, second, none = results["rows"]
    assert first["point"] == {"loss.tau": 0.1, "loss.queue": True}
    assert first["mean"] == pytest.approx(0.72)
    assert first["std"] == pytest.approx(statistics.stdev([0.70, 0.74]))
    assert first["values"] == {"5": 0.70, "6": 0.74}
    assert (without["mean"], without["std"], without["seeds"], without["status"]) == (0.5, None, 1, "not run")
    assert second["mean"] == pytest.approx(0.82)
    assert (none["mean"], none["status"]) == (None, "failed, not run"), "the outcome of another key does not count"
    assert [run["status"] for run in results["runs"]].count("finished") == 5
    assert results["runs"][-1]["reason"] == "no more memory"


def test_the_tables(swept, tmp_path):
    spec, runs = swept
    write_report(spec, tmp_path / "base.yaml", tmp_path, runs)
    text = (tmp_path / "table.md").read_text()
    assert "| tau | queue | AUC, mean ± spread | seed 5 | seed 6 | s/run | not finished |" in text
    assert "| 0.2 | true | **0.8200 ± 0.0141** | 0.8100 | 0.8300 | 7 | - |" in text
    assert "| 0.1 | true | <u>0.7200 ± 0.0283</u> |" in text
    assert "| 0.2 | false | - | - | - | - | failed, not run |" in text
    assert "Failed: tau 0.2, queue false, seed 6: no more memory" in text
    assert "Code: abc." in text
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    found = next(row for row in rows if row["row"] == "3" and row["column"] == "figure")
    assert (float(found["value"]), float(found["spread"])) == pytest.approx((0.82, 0.01414), abs=1e-5)
    for name in ("curve.svg", "curve.png"):
        assert (tmp_path / name).stat().st_size > 1000


def curve(axes, means):
    """What is drawn of given points and means, without a spread: axis, label and points of each line."""
    from lrface.reporting.style import drawing

    spec = SweepSpec(name="made", recipe="base.yaml", axes=axes)
    rows = [{"point": point, "mean": mean, "std": 0.01} for point, mean in zip(spec.expand(), means, strict=True)]
    with drawing() as canvas:
        axis = draw_curve(canvas, spec, rows).axes[0]
    lines = {each.get_label(): [tuple(p) for p in each.lines[0].get_xydata()] for each in axis.containers}
    return axis, lines


def test_numbers_in_order_on_a_logarithmic_axis():
    axis, lines = curve({"loss.negatives": [512, 64, 128]}, [0.9, 0.7, 0.8])
    assert list(lines.values()) == [[(64, 0.7), (128, 0.8), (512, 0.9)]]
    assert axis.get_xscale() == "log"
    assert [text.get_text() for text in axis.get_xticklabels()] == ["64", "128", "512"]
    assert axis.get_legend() is None
    assert curve({"loss.tau": [0.1, 0.2]}, [0.5, 0.6])[0].get_xscale() == "linear"


def test_a_line_for_each_value_of_the_other_key():
    _, lines = curve({"loss.beta": [1, 2], "loss.alpha": [0, 0.5]}, [0.1, 0.2, 0.3, 0.4])
    assert lines == {"alpha 0": [(1, 0.1), (2, 0.3)], "alpha 0.5": [(1, 0.2), (2, 0.4)]}


def test_words_beside_each_other():
    axis, lines = curve({"loss.policy": ["a", "b"], "loss.queue": [True, False]}, [0.1, 0.2, 0.3, 0.4])
    assert [text.get_text() for text in axis.get_xticklabels()] == ["a", "b"]
    assert [[round(x) for x, _ in points] for points in lines.values()] == [[0, 1], [0, 1]]
    assert set(lines) == {"queue true", "queue false"}
    assert lines["queue true"][0][0] < lines["queue false"][0][0]
