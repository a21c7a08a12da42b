"""Models as the command line names them, and what they cost."""

from pathlib import Path

import pytest

from lrface.errors import LrfaceError
from lrface.models import shipped
from lrface.suite.peers import describe, measure_cost, parse_models


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"weights")
    return path


def test_a_label_may_hold_commas_and_a_model_keys(file: Path) -> None:
    (model,) = parse_models([f"FaceNet, fed 16 px (a, b)={file},input_size=160,mean=127.5,colour=BGR"])

    assert (model.label, model.spec) == ("FaceNet, fed 16 px (a, b)", str(file))
    assert dict(model.declared) == {"input_size": 160, "mean": 127.5, "colour": "BGR"}


def test_without_a_label_the_name_is_one(file: Path) -> None:
    assert [model.label for model in parse_models([str(file), "insightface:buffalo_l", "lrface-r18-16px"])] == [
        "net", "insightface:buffalo_l", "lrface-r18-16px",
    ]  # fmt: skip


def test_a_teacher_is_a_label_or_a_model(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(b"more")
    first, second, _ = parse_models([f"a={file},hr=b", f"c={file},hr={other}", f"b={other},input_size=112"])

    assert first.hr is not None
    assert (first.hr.label, dict(first.hr.declared)) == ("b", {"input_size": 112})
    assert second.hr is not None
    assert second.hr.spec == str(other)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a={file}", "a={file}"], "two models are called 'a'"),
        (["a={file}.gone"], "no model at"),
        (["a={file},size=3"], "no model at"),
        (["a={file},input_size=big"], "input_size is a number"),
        (["={file}"], "write a model as LABEL=MODEL"),
    ],
)
def test_mistakes_are_told(texts: list[str], words: str, file: Path) -> None:
    with pytest.raises(LrfaceError, match=words):
        parse_models([text.format(file=file) for text in texts])


def test_digest_is_of_weights_and_declaration_not_of_label_or_place(file: Path, tmp_path: Path) -> None:
    (tmp_path / "copies").mkdir()
    copy = tmp_path / "copies" / "net.onnx"
    copy.write_bytes(b"weights")
    usual, moved, declared = parse_models([f"a={file}", f"b={copy}", f"c={file},input_size=112"])

    assert usual.digest == moved.digest != declared.digest
    (tmp_path / "copies" / "net.onnx.data").write_bytes(b"the weights proper")
    assert parse_models([f"b={copy}"])[0].digest != usual.digest


def test_cost_is_counted_and_origin_told(models: tuple[Path, Path]) -> None:
    (model,) = parse_models([f"a={models[0]}"])

    cost = measure_cost(model, runs=4)

    assert cost["dimensions"] == 32
    assert cost["megabytes"] == models[0].stat().st_size / 1e6
    assert cost["ms"] > 0
    origin = describe(model.open())
    assert origin["input"]["input_size"] == 16
    assert origin["recipe"] is None


def test_a_family_is_a_model_and_sharp_names_its_teachers(file: Path) -> None:
    alone, both = parse_models(["lrface", f"both=lrface,sharp={file}"])

    assert (alone.label, alone.sharp, both.sharp) == ("lrface", (), (str(file),))
    assert alone.family == both.family == shipped.find_family("lrface")
    assert alone.files[0] == alone.family
    assert file in both.files
    assert alone.digest != both.digest
    assert describe(alone.open())["input"] == {"members": {"lrface-small-16px": 0}}


def test_sharp_is_for_families(file: Path) -> None:
    with pytest.raises(LrfaceError, match="sharp goes with a family"):
        parse_models([f"a={file},sharp=dlib"])
