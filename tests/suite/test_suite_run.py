"""The whole suite on drawn faces: every row once, absent sets told, faults kept apart, faces left out."""

import json
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrface.faces.detect import automatic_detector
from lrface.suite import protocols
from lrface.suite.peers import Model
from lrface.suite.plan import plan
from lrface.suite.run import key_of, run

Make = Callable[..., Any]
Say = Callable[[str], None]


def rows_of(results: dict[str, Any], status: str = "done") -> list[dict[str, Any]]:
    return [row for row in results["rows"] if row["status"] == status]


def test_all_sets_give_rows_and_rehearsals_say_so(options: Make, quiet: Say) -> None:
    wanted = options(only=("lfw", "uccs", "tinyface", "survface", "scface"), sides=(8, 16))

    results = run(wanted, quiet)

    assert [row["why"] for row in rows_of(results, "failed")] == []
    done = {(row["protocol"], row["set"]) for row in rows_of(results)}
    native = {("identification", "uccs"), ("retrieval", "tinyface"), ("open-set", "survface"), ("distance", "scface")}
    assert done == {("cost", None), ("verification", "lfw"), ("tsne", "lfw")} | native
    for row in rows_of(results):
        assert row["rehearsal"] == (row["set"] in ("uccs", "tinyface", "survface", "scface")), row
    text = (wanted.out / "tables.md").read_text()
    for table in ("TinyFace, rehearsal", "UCCS-180, rehearsal", "QMUL-SurvFace, rehearsal", "SCface, rehearsal"):
        assert table in text
    retrievals = [row for row in rows_of(results) if row["protocol"] == "retrieval"]
    assert [row["distractors"] for row in retrievals] == [True, False]
    assert retrievals[0]["metrics"]["gallery"] >= retrievals[1]["metrics"]["gallery"]
    assert {row["alignment"] for row in retrievals} == {"as given"}
    for name in ("results.json", "tables.csv", "tables.tex", "report.html", "figures/cmc.png", "figures/tsne.svg"):
        assert (wanted.out / name).stat().st_size, name


def test_a_second_run_computes_nothing_and_loads_nothing_heavy(options: Make, quiet: Say, data: Path) -> None:
    wanted = options()
    first = run(wanted, quiet)
    before = (wanted.out / "report.html").stat().st_mtime_ns
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from lrface.suite.options import Options
        from lrface.suite.peers import Model
        from lrface.suite.run import run
        options = Options((Model("one", {wanted.models[0].spec!r}),), Path({str(data)!r}), Path({str(wanted.out)!r}),
                          ("lfw",), sides=(8, 16), seeds=1, finetune=())
        print(run(options, lambda text: None)["computed"])
        print(sorted({{"torch", "sklearn", "matplotlib", "jinja2", "pandas"}} & set(sys.modules)))
        """
    )

    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert first["computed"] == len(rows_of(first)) + len(rows_of(first, "not run")) > 0
    assert answer.split("\n")[:2] == ["0", "[]"]
    assert (wanted.out / "report.html").stat().st_mtime_ns == before


@pytest.mark.usefixtures("no_report")
def test_one_more_model_computes_its_own_rows_alone(options: Make, quiet: Say, models: tuple[Path, Path]) -> None:
    run(options(), quiet)

    results = run(options(models=(Model("first", str(models[0])), Model("second", str(models[1])))), quiet)

    assert results["computed"] == len([row for row in results["rows"] if row["model"] == "second"])
    assert {row["model"] for row in rows_of(results)} == {
        "first",
        "second",
    }  # a label is no part of a row's fingerprint


def test_a_row_depends_on_weights_data_operator_flip_and_alignment(
    options: Make, data: Path, models: tuple[Path, Path]
) -> None:
    from lrface.reporting.fingerprint import FileDigests
    from lrface.suite.sets import locate

    def keys(**changes: Any) -> set[str]:
        wanted = options(**changes)
        found = [each for name in wanted.only for each in locate(name, wanted, FileDigests(wanted.out / "files.json"))]
        return {key_of(task) for task in plan(wanted, found) if task.protocol != "cost"}

    usual = keys()
    half = data / "lfw" / "half.txt"
    half.write_text(
        "2\n" + "\n".join((data / "lfw" / "pairs.txt").read_text().splitlines()[i] for i in (1, 2, 25, 26)) + "\n"
    )
    assert keys(models=(Model("another name", str(models[0])),)) == usual
    assert not keys(models=(Model("one", str(models[1])),)) & usual
    assert not keys(pairs=(half,)) & usual
    assert not keys(flip=False) & usual
    assert len(keys(kernel="area") & usual) == 1  # full resolution has no operator
    native = keys(only=("tinyface", "scface"))
    assert native == keys(only=("tinyface", "scface"), kernel="area")
    assert not keys(only=("tinyface", "scface"), alignment="mtcnn") & native


def test_absent_sets_are_rows_that_tell_what_was_looked_for_and_how_to_get_it(options: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    every = ("lfw", "cfp_fp", "xqlfw", "uccs", "tinyface", "survface", "scface")

    told: list[str] = []
    results = run(options(data=tmp_path / "empty", only=every), told.append)

    absent = {row["set"]: row["why"] for row in rows_of(results, "not run")}
    assert set(absent) == set(every)
    assert "lfw/pairs.txt" in absent["lfw"]
    assert "cfp_fp.bin" in absent["cfp_fp"]
    assert "tinyface/Testing_Set/Probe" in absent["tinyface"]
    assert any(str(tmp_path / "empty") in line for line in told)
    for why in absent.values():
        assert "in the data root DATA" in why  # a report is read elsewhere
        assert "http" in why
        assert "lrface data where" in why
    assert "uccs/gallery.csv" in (tmp_path / "out" / "report.html").read_text()


def test_a_failing_row_is_recorded_and_loses_no_other(
    options: Make, quiet: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = protocols.PROTOCOLS["verification"]

    def fails(context: Any, task: Any) -> Any:
        if task.options["degradation"] and task.options["degradation"]["size"] == 8:
            raise RuntimeError("out of luck")
        return right.run(context, task)

    with monkeypatch.context() as patched:
        patched.setitem(protocols.PROTOCOLS, "verification", protocols.Protocol(fails, right.code))
        results = run(options(), quiet)

    failed = rows_of(results, "failed")
    assert [(row["mode"], row["side"]) for row in failed] == [("lr-lr", 8), ("hr-lr", 8)]
    assert {row["why"] for row in failed} == {"RuntimeError: out of luck"}
    assert len([row for row in rows_of(results) if row["protocol"] == "verification"]) == 2
    assert "out of luck" in (options().out / "tables.md").read_text()

    mended = run(options(), quiet)

    assert mended["computed"] == 2
    assert not rows_of(mended, "failed")


@pytest.mark.usefixtures("no_report")
def test_a_damaged_set_fails_alone(options: Make, quiet: Say, data: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "calfw.bin").write_bytes(b"no pack")
    for name in ("lfw", "lfw_mtcnn"):
        (root / name).symlink_to(data / name)

    results = run(options(data=root, only=("lfw", "calfw")), quiet)

    assert {row["set"] for row in rows_of(results, "failed")} == {"calfw"}
    assert all("calfw.bin" in row["why"] for row in rows_of(results, "failed"))
    assert any(row["set"] == "lfw" for row in rows_of(results))


@pytest.mark.usefixtures("no_report")
def test_hr_lr_needs_a_teacher_where_the_model_sees_low_resolution_only(
    options: Make, quiet: Say, models: tuple[Path, Path]
) -> None:
    alone = Model("alone", str(models[0]))
    taught = Model("taught", str(models[0]), hr=Model("teacher", str(models[1])))

    results = run(options(models=(alone, taught), sides=(16,)), quiet)

    cross = {row["model"]: row for row in results["rows"] if row.get("mode") == "hr-lr"}
    assert cross["alone"]["status"] == "not run"
    assert "hr=TEACHER" in cross["alone"]["why"]
    assert cross["taught"]["status"] == "done"
    assert cross["taught"]["hr_model"] == "teacher"


def test_a_family_is_measured_over_pairs_alone(options: Make, quiet: Say) -> None:
    family = Model("family", "lrface")

    results = run(options(models=(family,), sides=(12,), only=("lfw", "uccs")), quiet)

    pairs = {row["mode"]: row["status"] for row in results["rows"] if row["protocol"] == "verification"}
    assert pairs == {"hr-hr": "done", "lr-lr": "done", "hr-lr": "done"}
    (native,) = [row for row in results["rows"] if row["protocol"] == "identification"]
    assert native["status"] == "not run"
    assert "name one of the members" in native["why"]
    (cost,) = [row for row in results["rows"] if row["protocol"] == "cost"]
    assert cost["metrics"]["dimensions"] == 256
    assert "lrface-small-16px from 0 px" in (options().out / "tables.md").read_text()


@pytest.mark.usefixtures("no_report")
def test_images_are_embedded_once_for_all_rows(options: Make, quiet: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrface.eval import embeddings

    calls = []
    right = embeddings.flip_sum
    monkeypatch.setattr(embeddings, "flip_sum", lambda *a, **k: calls.append(k["progress"]) or right(*a, **k))

    run(options(sides=(8, 16, 112)), quiet)

    # 16 px is the model's own reduction, so LR-LR at 16, HR-HR, the sweep's 112 and t-SNE share one pass.
    assert calls == ["one, LFW, none", "one, LFW, 8px-bilinear-antialias"]


@pytest.mark.usefixtures("no_report")
def test_kill_loses_at_most_the_row_in_progress(options: Make, quiet: Say, data: Path) -> None:
    wanted = options(sides=(8, 12, 16, 20, 24, 32, 48))
    script = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from lrface.suite.options import Options
        from lrface.suite.peers import Model
        from lrface.suite.run import run
        def say(text):
            print(text, flush=True)
            if text.startswith("[4/"):
                time.sleep(600)
        options = Options((Model("one", {wanted.models[0].spec!r}),), Path({str(data)!r}), Path({str(wanted.out)!r}),
                          ("lfw",), sides={wanted.sides!r}, seeds=1, finetune=())
        run(options, say)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("[4/"):
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    lines: list[str] = []

    results = run(wanted, lines.append)

    total = len(rows_of(results)) + len(rows_of(results, "not run"))
    assert lines[0] == f"{total} rows, 4 of them finished before"
    assert results["computed"] == total - 4
    assert not rows_of(results, "failed")


def test_the_report_is_one_page_that_opens_without_a_network(options: Make, quiet: Say) -> None:
    run(options(), quiet)

    page = (options().out / "report.html").read_text()

    assert not re.search(r"(src|href)=[\"']?(?!#|data:)[^\"'#>\s]", page)
    assert "url(http" not in page
    assert "@import" not in page
    assert "<link" not in page
    assert page.count("<svg") >= 4
    assert 'src="data:image/jpeg' in page
    sheets = list((options().out / "figures").glob("hardest_*.png"))
    assert len(sheets) == 2
    assert json.loads((options().out / "results.json").read_text())["rows"]


def test_no_faces_leaves_no_face_anywhere(options: Make, quiet: Say) -> None:
    run(options(), quiet)

    results = run(options(faces=False), quiet)

    page = (options().out / "report.html").read_text()
    assert results["computed"] == 0
    assert "data:image" not in page
    assert "Hardest" not in page
    assert "person 0" not in page  # nor names under pictures that are gone
    assert not list((options().out / "figures").glob("hardest_*"))
    pictures = {path.stem for path in (options().out / "figures").iterdir()}
    assert pictures == {"roc_lfw", "resolution_lfw", "histograms_lfw", "tsne"}


@pytest.mark.usefixtures("no_report")
def test_photos_are_aligned_once_into_a_store_among_the_results(
    options: Make, quiet: Say, drawn: Path, data: Path
) -> None:
    wanted = options(lfw=drawn, pairs=(data / "lfw" / "pairs.txt",), detector="none", sides=(16,))

    results = run(wanted, quiet)

    assert not rows_of(results, "failed")
    assert {row["alignment"] for row in rows_of(results) if row["protocol"] == "verification"} == {"none"}
    assert len(list((wanted.out / "cache").glob("lfw_*/shard-*/shard.json"))) == 1
    assert (wanted.out / "cache" / ".gitignore").read_text() == "*\n"
    assert not list((wanted.out / "cache" / "embeddings").iterdir())


@pytest.mark.usefixtures("no_report")
def test_two_runs_do_not_write_to_one_folder(options: Make, quiet: Say) -> None:
    from lrface.errors import LrfaceError
    from lrface.reporting.ledger import exclusive

    with exclusive(options().out), pytest.raises(LrfaceError, match="another run is writing"):
        run(options(), quiet)


@pytest.mark.usefixtures("no_report")
def test_progress_tells_rate_and_time_left(options: Make) -> None:
    lines: list[str] = []

    run(options(), lines.append)

    told = [line for line in lines if re.match(r"\[\d+/\d+\] ", line)]
    assert all(re.search(r"rows/min, about .* left\)$", line) for line in told)
    assert told[-1].startswith(f"[{len(told)}/{len(told)}]")


@pytest.mark.usefixtures("no_report")
def test_tinyface_is_finetuned_once_for_both_galleries_and_only_where_weights_can_learn(
    options: Make, quiet: Say, models: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lrface.finetune import run as finetune

    lessons: list[Any] = []

    def learn(embedder: Any, source: str, people: Any, out: Path, settings: Any, **rest: Any) -> Path:
        lessons.append((settings.unfreeze, settings.distil, rest["resume"], len(people.labels)))
        out.parent.mkdir(parents=True, exist_ok=True)
        return shutil.copy(models[1], out)

    monkeypatch.setattr(finetune, "make_model", learn)
    graph = Model("graph", str(tmp_path / "net.onnx"))
    (tmp_path / "net.onnx").write_bytes(b"no graph")
    own = Model("one", str(models[0]))

    results = run(options(models=(own, graph), only=("tinyface",), finetune=("none", "last"), distil=2.0), quiet)

    assert [lesson[:3] for lesson in lessons] == [("none", 2.0, False), ("last", 2.0, False)]
    rows = [row for row in results["rows"] if row["protocol"] == "retrieval" and row["model"] == "one"]
    shown = [None, None, *["embedding layer, distilled"] * 2, *["last stage, distilled"] * 2]
    assert [row["finetuned"] for row in rows] == shown
    assert rows[0]["metrics"] != rows[2]["metrics"]
    assert rows[2]["metrics"] == rows[4]["metrics"]  # the same weights in this test
    refused = [row for row in results["rows"] if row["model"] == "graph"]
    assert len(refused) == 3
    assert {row["status"] for row in refused} == {"failed"}


def test_small_faces_in_photos_are_found_and_compared_end_to_end(
    options: Make, quiet: Say, data: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lrface.faces.align import TEMPLATE
    from lrface.faces.detect import Face

    looked = []

    class Middle:
        """The template, in the middle of a photo and as large as the photo without its border says."""

        name = "middle"

        def detect(self, image: np.ndarray) -> list[Any]:
            looked.append(image.shape)
            side = 112 if len(image) == 112 else len(image) - 48
            points = (TEMPLATE - 55.5) * side / 112 + (len(image) - 1) / 2
            return [Face(np.float32([*points.min(0), *points.max(0)]), np.float32(points), 0.9)]

    monkeypatch.setattr("lrface.faces.detect.create_detector", lambda name, device: Middle())
    photos, pairs = drawn, (data / "lfw" / "pairs.txt",)
    one = options().models[0]
    wanted = options(
        models=(one, replace(one, label="other", detector="dlib")), lfw=photos, pairs=pairs, detector="none", native=(12, 20),
        sides=(12, 20),
    )  # fmt: skip
    results = run(wanted, quiet)
    rows = [row for row in rows_of(results) if row["protocol"] == "end-to-end"]
    assert [(row["model"], row["side"]) for row in rows] == [("one", 12), ("one", 20), ("other", 12), ("other", 20)]
    assert [row["alignment"] for row in rows[1:3]] == [automatic_detector(), "dlib"]
    for row in rows:
        assert row["metrics"]["found"] == 1
        assert row["metrics"]["landmark_error"] < 4
        assert row["metrics"]["pairs"] == 48
        assert row["operator"] == f"{row['side']}px-native-bilinear-antialias-border24"
    aligned = [row for row in rows_of(results) if row["protocol"] == "verification" and row.get("mode") == "lr-lr"]
    assert {row["side"] for row in aligned} >= {12, 20}
    table = (wanted.out / "tables.md").read_text()
    assert "LFW end to end, from photos with small faces" in table
    assert (wanted.out / "figures" / "end_to_end_lfw.svg").exists()
    before = len(looked)
    assert run(wanted, quiet)["computed"] == 0
    assert len(looked) == before


def test_small_faces_need_photos(options: Make, quiet: Say) -> None:
    (row,) = [row for row in run(options(native=(12,)), quiet)["rows"] if row["set"] == "lfw_native"]
    assert row["status"] == "not run"
    assert "need photos, not crops" in row["why"]
