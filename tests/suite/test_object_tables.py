"""Sweeps of objects in the report: published figures beside ours, and the budget of each."""

from pathlib import Path

import pytest

from lrface.errors import LrfaceError
from lrface.reporting.tables import to_markdown
from lrface.suite.ablations import ablations
from lrface.suite.object_tables import published_column

PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "published"
POINTS = [{"loss": {"classification": 1}}, {"loss": {"methods": {"pkt": {}}}}]


def sweep(**changes):
    spec = {"name": "mine", "recipe": "r.yaml", "points": POINTS, "figure": "test", "seeds": [1, 2]}
    rows = [
        {"point": POINTS[0], "values": {"1": 0.5, "2": 0.52}, "mean": 0.51, "std": 0.01, "seeds": 2, "seconds": 3.0, "status": ""},
        {"point": POINTS[1], "values": {"1": 0.6, "2": None}, "mean": 0.6, "std": None, "seeds": 1, "seconds": 3.0,
         "status": "not run"},
    ]  # fmt: skip
    code = {"version": "0", "commit": "abc"}
    runs = [
        {"point": point, "seed": seed, "value": 0.5, "status": "finished", "code": code, "hardware": "a chip, 2 cores",
         "budget": "resnet8 under resnet56, 20 classes of cifar100, 16 px, 4 epochs of 9,984 pictures, batch 64"}
        for point in POINTS for seed in (1, 2)
    ]  # fmt: skip
    return {"sweep": spec | changes, "base": "r.yaml", "rows": rows, "runs": runs}


def test_published_rows_stand_beside_ours_with_the_budget_of_each():
    (found,) = ablations([sweep(published="cifar100_peer resnet56>resnet20")], PUBLISHED)
    text = to_markdown([found.table])
    assert "| CRRCD | as published | <u>72.10</u> |" in text
    assert (
        "| methods pkt | resnet8 under resnet56, 20 classes of cifar100, 16 px, 4 epochs of 9,984 pictures, batch 64 |"
        in text
    )
    assert "51.00 ± 1.00" in text
    assert "not run" in text
    assert "Code: abc." in text
    assert "Hardware: a chip, 2 cores." in text
    groups = [line.group for line in found.table.lines]
    assert groups == ["published"] * 16 + ["this run"] * 2


def test_each_pair_of_networks_has_its_published_column():
    points = [
        {"teacher.network": teacher, "model.name": student, "loss": {"kd": {}}}
        for teacher, student in (("resnet56", "resnet20"), ("resnet32x4", "resnet8x4"))
    ]
    row = {"values": {"1": 0.5}, "mean": 0.5, "std": None, "seeds": 1, "seconds": 3.0, "status": ""}
    given = sweep(published="cifar100_peer", points=points) | {"rows": [row | {"point": point} for point in points]}
    (found,) = ablations([given | {"runs": [run | {"point": points[0]} for run in given["runs"]]}], PUBLISHED)
    lines = [(line.group, line.values["method"], line.values["figure"]) for line in found.table.lines]
    assert ("resnet56>resnet20: published", "CRRCD", 0.721) in lines
    assert ("resnet32x4>resnet8x4: published", "KD", 0.7333) in lines, "printed as resnet32x4>resnet32"
    assert lines[-1] == ("resnet32x4>resnet8x4: this run", "kd", (0.5, None))
    assert len({line.rivals for line in found.table.lines}) == 4


def test_without_published_tables_ours_stand_alone():
    for given in (ablations([sweep()], PUBLISHED), ablations([sweep(published="cifar100_peer a>b")], None)):
        assert [line.group for line in given[0].table.lines] == ["this run"] * 2


@pytest.mark.parametrize(
    ("place", "method", "accuracy", "count"),
    [
        ("cifar100_peer resnet110>resnet20", "CRRCD", 0.7192, 15),  # DKD has no figure there
        ("cifar100_cross wrn_50_2>vgg8", "EKD", 0.7405, 16),
        ("svhn_8px accuracy", "DeriveNet", 0.8785, 6),
        ("cifar100_transfer STL10", "SSKD", 0.7474, 8),
    ],
)
def test_a_column_of_each_table(place, method, accuracy, count):
    found = {row.model: row.values["accuracy"] for row in published_column(PUBLISHED, place)}
    assert found[method] == pytest.approx(accuracy)
    assert len(found) == count


def test_a_column_that_is_not_there(tmp_path):
    with pytest.raises(
        LrfaceError, match=r"cifar100_peer\.csv has no column a>b, which the sweep names under published"
    ):
        ablations([sweep(published="cifar100_peer a>b")], PUBLISHED)
    (tmp_path / "t.csv").write_text("method,a\nKD,much\n")
    with pytest.raises(LrfaceError, match="column a is not as published tables are"):
        published_column(tmp_path, "t a")
