"""A sweep over methods and networks of objects."""

import pytest
import yaml

from lrface.errors import LrfaceError
from lrface.sweep.run import run_sweep
from lrface.sweep.spec import SweepSpec

RECIPE = {
    "task": "objects",
    "name": "tiny",
    "data": {"set": "shapes", "per_class": 4, "low": 8, "side": 16},
    "model": {"name": "resnet8"},
    "teacher": {"network": "resnet8", "epochs": 1},
    "optim": {"epochs": 1, "batch_size": 20},
}
POINTS = [{"loss": {"methods": {"pkt": {}}}}, {"loss": {"kd": {}, "methods": {"rkd": {"angle": 1}}}}]


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


def spec(**changes):
    return SweepSpec(**({"name": "s", "recipe": "tiny.yaml", "points": POINTS, "figure": "test"} | changes))


def test_methods_side_by_side(base, tmp_path):
    results = run_sweep(spec(), base, tmp_path / "out", ".", 1, ("cpu",), progress=False)
    assert [run["status"] for run in results["runs"]] == ["finished"] * 2
    assert all(0 <= row["mean"] <= 1 for row in results["rows"])
    table = (tmp_path / "out" / "table.md").read_text()
    assert "test accuracy %" in table
    assert "| methods pkt |" in table
    assert "| kd + methods rkd angle 1 |" in table
    again = run_sweep(spec(), base, tmp_path / "out", ".", 1, ("cpu",), progress=False)
    assert again["runs"] == results["runs"]


def test_students_of_all_methods_and_seeds_share_a_teacher(base, tmp_path):
    given = spec(
        points=[{"teacher.network": "resnet8"}, {"teacher.network": "resnet14"}],
        axes={"loss": [{"kd": {}}]},
        seeds=[1, 2],
    )
    results = run_sweep(given, base, tmp_path / "out", ".", 2, ("cpu",), progress=False)
    assert [run["status"] for run in results["runs"]] == ["finished"] * 4
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "out" / "teachers").iterdir()) == [
        "resnet14",
        "resnet8",
    ]
    assert not list((tmp_path / "out" / "runs").glob("*/teacher"))


def test_a_part_of_a_table(base, tmp_path):
    given = spec(points=[{"model.name": "resnet8"}, {"model.name": "resnet14"}], axes={"loss": [{"kd": {}}]})
    results = run_sweep(given, base, tmp_path / "out", ".", 1, ("cpu",), only=("model.name=resnet8",), progress=False)
    assert [run["status"] for run in results["runs"]] == ["finished", "not run"]
    for only, words in (("model.name=vgg8", "model.name=resnet14, model.name=resnet8"), ("name", "loss, model.name")):
        with pytest.raises(
            LrfaceError, match=f"--only {only}: give KEY=VALUE of the sweep's points; they have {words}"
        ):
            run_sweep(given, base, tmp_path / "out", ".", 1, ("cpu",), only=(only,), progress=False)


def test_figures_that_objects_do_not_have(base, tmp_path):
    with pytest.raises(LrfaceError, match="figure auc is for faces"):
        run_sweep(spec(figure="auc"), base, tmp_path / "out", ".", 1, ("cpu",), progress=False)
    with pytest.raises(LrfaceError, match=r"set data\.holdout, or choose the figure test"):
        run_sweep(spec(figure="accuracy"), base, tmp_path / "out", ".", 1, ("cpu",), progress=False)


def test_a_linear_probe_is_a_figure(base, tmp_path):
    given = spec(points=POINTS[:1], figure="shapes", probes=["shapes"])
    results = run_sweep(given, base, tmp_path / "out", ".", 1, ("cpu",), progress=False)
    (run,) = results["runs"]
    last = run["history"][-1]
    assert set(last) == {"epoch", "test", "shapes"}
    assert run["value"] == last["shapes"]
    assert run["budget"] == "resnet8 under resnet8, shapes, 8 px, 1 epoch of 80 pictures, batch 20"
    assert run["hardware"]
    assert "linear probe on shapes %" in (tmp_path / "out" / "table.md").read_text()
    plain = run_sweep(spec(points=POINTS[:1]), base, tmp_path / "out", ".", 1, ("cpu",), progress=False)
    assert plain["runs"][0]["folder"] != run["folder"], "a run without probes has no figure of one"


def test_a_probe_that_is_not_named():
    with pytest.raises(ValueError, match="figure stl10 is of a linear probe: name the set under probes"):
        spec(figure="stl10")
