"""One report of everything: rehearsals beside absent sets, chosen models swept, sweeps of recipes, no folder of the machine."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.suite.local_paths import without_local_paths
from lrface.suite.peers import Model
from lrface.suite.run import run

Make = Callable[..., Any]
Say = Callable[[str], None]


def test_no_folder_of_the_machine_is_named(options: Make, tmp_path: Path, data: Path) -> None:
    (tmp_path / "rehearsed").mkdir()
    wanted = options(rehearsal=tmp_path / "rehearsed", pairs=(tmp_path / "my pairs.txt",))
    texts = {
        f"{tmp_path}/rehearsed/uccs/gallery.csv line 3": "REHEARSAL/uccs/gallery.csv line 3",
        f"{data}/lfw.bin is damaged": "DATA/lfw.bin is damaged",
        f"no list in {tmp_path / 'out'}: make one": "no list in OUT: make one",
        f"({tmp_path}/my pairs.txt, line 1)": "(my pairs.txt, line 1)",
        f"{tmp_path}/outer space": f"{tmp_path}/outer space",  # another folder that begins alike
        f"{Path.home()}/models": "~/models",
    }

    for text, shown in texts.items():
        assert without_local_paths({"why": [text]}, wanted) == {"why": [shown]}


def test_a_rehearsal_stands_in_for_what_is_absent(options: Make, quiet: Say, data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    results = run(options(data=tmp_path / "empty", rehearsal=data, only=("scface", "cfp_fp")), quiet)

    told = [(row["set"], row["status"], row["rehearsal"]) for row in results["rows"] if row["set"]]
    assert told == [("scface", "done", True), ("scface", "not run", False), ("cfp_fp", "not run", False)]
    written = "".join((options().out / name).read_text() for name in ("results.json", "tables.md", "report.html"))
    assert str(tmp_path) not in written
    assert str(data) not in written


@pytest.mark.usefixtures("no_report")
def test_models_are_swept_in_both_modes_if_chosen(options: Make, quiet: Say, models: tuple[Path, Path]) -> None:
    both = (Model("one", str(models[0])), Model("two", str(models[1])))

    rows = run(options(models=both, swept=("two",)), quiet)["rows"]

    asked = {
        (row["model"], row["mode"], row["side"]): row["status"] for row in rows if row["protocol"] == "verification"
    }
    assert asked[("two", "lr-lr", 8)] == asked[("two", "hr-lr", 8)] == "done"
    assert not [key for key in asked if key[0] == "one" and key[2] == 8]
    assert asked[("one", "lr-lr", 16)] == "done"


@pytest.mark.usefixtures("no_report")
def test_a_picture_of_few_faces_needs_no_pass_over_the_set(
    options: Make, quiet: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lrface.eval import embeddings
    from lrface.suite import tsne_rows

    monkeypatch.setattr(tsne_rows, "FACES_EACH", 4)
    results = run(options(), quiet)
    (row,) = [row for row in results["rows"] if row["protocol"] == "tsne"]
    drawn = np.load(options().out / "ledger" / f"{row['key']}.npz")["places"]
    (options().out / "ledger" / f"{row['key']}.json").unlink()
    passes: list[int] = []
    right = embeddings.flip_sum
    monkeypatch.setattr(embeddings, "flip_sum", lambda *a, **k: passes.append(len(a[1])) or right(*a, **k))

    again = run(options(), quiet)

    assert again["computed"] == 1
    assert passes == [48] == [row["metrics"]["images"]]
    np.testing.assert_allclose(np.load(options().out / "ledger" / f"{row['key']}.npz")["places"], drawn, rtol=1e-2)


def sweep_results(folder: Path) -> None:
    spec = {"name": "ablation_tau", "recipe": "r.yaml", "axes": {"loss.crrcd.temperature": [0.05, 0.1]}}
    points = [{"loss.crrcd.temperature": tau} for tau in (0.05, 0.1)]
    runs = [
        {"point": point, "seed": 5, "value": 0.9, "status": "finished", "seconds": 3.0, "history": [{"auc": 0.9}]}
        for point in points
    ]
    rows = [
        {"point": point, "values": {"5": 0.9}, "mean": 0.9, "std": None, "seeds": 1, "seconds": 3.0, "status": ""}
        for point in points
    ]
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"sweep": spec, "base": "r.yaml", "rows": rows, "runs": runs}))


def test_sweeps_of_recipes_are_part_of_the_report(options: Make, quiet: Say, tmp_path: Path) -> None:
    sweep_results(tmp_path / "runs" / "ablation_tau")

    results = run(options(sides=(16,), ablations=(tmp_path / "runs",)), quiet)

    page = (options().out / "report.html").read_text()
    assert '<h2 id="ablations-title">Ablations</h2>' in page
    assert 'id="ablation_tau"' in page
    assert (options().out / "figures" / "ablation-tau.svg").exists()
    assert "## ablation_tau" in (options().out / "tables.md").read_text()
    assert "history" not in results["ablations"][0]["runs"][0]
    with pytest.raises(LrfaceError, match="no results of `lrface sweep`"):
        run(options(ablations=(options().out,)), quiet)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": Path("gone")}, "--data gone: no such folder"),
        ({"rehearsal": Path("gone")}, "--rehearsal gone"),
        ({"swept": ("nobody",)}, "--sweep nobody: the models are one"),
    ],
)
def test_what_is_not_there_is_named(options: Make, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(LrfaceError, match=words):
        options(**changes)
