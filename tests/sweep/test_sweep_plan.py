"""Which runs there are, and when a run is another one."""

import pytest

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.sweep.plan import plan_runs, point_name, short_names
from lrface.sweep.spec import load_sweep
from lrface.train.split import split_store


def plan(path, root, **changes):
    return plan_runs(load_sweep(path), path.parent / "tiny.yaml", path.parent / "out", root, **changes)


def test_every_point_with_every_seed(write_sweep, sweep_data, tmp_path):
    runs = plan(write_sweep(seeds=[5, 6]), sweep_data)
    assert [(run.point["optim.lr"], run.seed) for run in runs] == [(0.02, 5), (0.05, 5), (0.02, 6), (0.05, 6)]
    assert [(run.recipe.optim.lr, run.recipe.seed) for run in runs] == [(0.02, 5), (0.05, 5), (0.02, 6), (0.05, 6)]
    assert len({run.folder for run in runs}) == len({run.key for run in runs}) == 4
    assert runs[0].folder.parent == tmp_path / "out" / "runs"
    assert runs[0].folder.name.startswith("lr-0-02-seed-5-")
    images = len(split_store(Store(sweep_data / "faces"), runs[0].recipe.data).train)
    assert runs[0].images == 2 * (images // 8) * 8


def test_a_run_is_named_by_all_that_decides_it(write_sweep, sweep_data, tmp_path):
    first = plan(write_sweep(), sweep_data)[0]
    assert plan(write_sweep(), sweep_data)[0].key == first.key
    assert plan(write_sweep(description="else"), sweep_data)[0].key == first.key
    assert plan(write_sweep(), sweep_data, extra=("optim.epochs=3",))[0].key != first.key
    assert plan(write_sweep(overrides={"augment.flip": False}), sweep_data)[0].key != first.key


def test_another_teacher_file_makes_another_run(write_sweep, sweep_data, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "faces").symlink_to(sweep_data / "faces")
    (root / "teacher.onnx").write_bytes(b"one")
    path = write_sweep(overrides={"teacher.model": "teacher.onnx", "loss.cosine.weight": 1})
    first = plan(path, root)[0]
    (root / "teacher.onnx").write_bytes(b"another")
    assert plan(path, root)[0].key != first.key
    (root / "teacher.onnx").unlink()
    with pytest.raises(LrfaceError, match=r"no such file: .*teacher\.onnx"):
        plan(path, root)


def test_data_that_are_not_there(write_sweep, tmp_path):
    with pytest.raises(LrfaceError, match="no store at"):
        plan(write_sweep(), tmp_path)


def test_names_are_as_short_as_they_can_be():
    keys = ["loss.kd.weight", "loss.crrcd.weight", "optim.lr", "seed_of.lr2"]
    assert list(short_names(keys).values()) == ["kd.weight", "crrcd.weight", "lr", "lr2"]
    assert point_name({"a.queue": True, "a.kw": None, "b": 0.1}) == "queue true, kw none, b 0.1"
