"""Lists of pairs and embeddings that cannot be used: each a failed row that says why, or a line that counts it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrface.errors import LrfaceError
from lrface.suite.peers import Model
from lrface.suite.run import run

Make = Callable[..., Any]
Say = Callable[[str], None]


@pytest.fixture
def pairs_file(data: Path, tmp_path: Path) -> Callable[[Callable[[list[str]], object]], Path]:
    """``pairs_file(change)``: a copy of the list, whose lines ``change`` works on."""

    def make(change: Callable[[list[str]], object]) -> Path:
        lines = (data / "lfw" / "pairs.txt").read_text().splitlines()
        change(lines)
        path = tmp_path / "list.txt"
        path.write_text("\n".join(lines) + "\n")
        return path

    return make


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines.__setitem__(1, "person_00\t1\t77"), "person_00/person_00_0077.jpg: it was not in the source"),
        (lambda lines: lines.__setitem__(1, "nobody\t1\t2"), "2 of 62 images of the pairs are not in DATA"),
        (lambda lines: lines.pop(), "announces 48 pairs"),
        (lambda lines: lines.__setitem__(25, "person_00\t1\tperson_00\t2"), "different people names person_00 twice"),
        (lambda lines: lines.__setitem__(1, "person_00\t2\t2"), "is paired with itself"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_used_fails_with_the_reason(
    options: Make, quiet: Say, pairs_file: Callable[..., Path], change: Callable[[list[str]], object], words: str
) -> None:
    rows = run(options(pairs=(pairs_file(change),), sides=(16,)), quiet)["rows"]

    about = [row for row in rows if row["set"] == "lfw"]
    assert {row["status"] for row in about} == {"failed"}
    assert all(words in row["why"] for row in about), about[0]["why"]


@pytest.mark.usefixtures("no_report")
def test_repeated_pairs_are_counted(options: Make, quiet: Say, pairs_file: Callable[..., Path]) -> None:
    twice = pairs_file(lambda lines: lines.__setitem__(2, lines[1]))

    rows = run(options(pairs=(twice,), sides=(16,)), quiet)["rows"]

    row = next(row for row in rows if row["protocol"] == "verification")
    assert row["metrics"]["notes"] == ["1 of the 48 pairs are repetitions and count as listed"]


@pytest.mark.usefixtures("no_report")
def test_embeddings_that_are_no_numbers_fail(options: Make, quiet: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrface.eval import embeddings

    right = embeddings.flip_sum

    def broken(*arguments: Any, **named: Any) -> np.ndarray:
        result = right(*arguments, **named)
        result[0, 0] = np.nan
        return result

    monkeypatch.setattr(embeddings, "flip_sum", broken)

    rows = run(options(sides=(16,)), quiet)["rows"]

    why = [row["why"] for row in rows if row["protocol"] == "verification" and row["status"] == "failed"]
    assert why
    assert all("NaN" in text or "finite" in text for text in why), why


@pytest.mark.usefixtures("no_report")
def test_models_of_different_dimension_are_not_compared(
    options: Make, quiet: Say, models: tuple[Path, Path], tmp_path: Path
) -> None:
    from lrface.faces.degrade import Degradation
    from lrface.models import create
    from lrface.models.preprocessing import Preprocessing
    from lrface.models.weights import save_model

    wide = tmp_path / "wide.safetensors"
    preprocessing = Preprocessing(16, degradation=Degradation(16)).as_dict()
    save_model(wide, create("resnet18", width=8, embedding_dim=48), {"preprocessing": preprocessing})
    taught = Model("taught", str(models[0]), hr=Model("teacher", str(wide)))

    with pytest.raises(LrfaceError, match=r"taught, hr=teacher: .* 48 and 32 dimensions"):
        run(options(models=(taught,), sides=(16,)), quiet)
