"""Accuracy of a family of models and of other models at every face size, as a figure by which users can choose.

    python benchmarks/family.py --images data/lfw_mtcnn --pairs lfw/pairsDevTest.txt --name view1 \\
        --model lrface --model lrface-r18-16px --peer FaceNet=data/facenet_casia.onnx --peer dlib=data/dlib_resnet.onnx \\
        --sharp data/dlib_resnet.onnx --sharp data/mobilefacenet.onnx

LR-LR reduces both faces of a pair. HR-LR reduces one of them, each in turn. The models do not know the size: a family measures
the pixels of detail itself. Peers get the reduced face, enlarged again. Each peer is measured with its embeddings unchanged, and
with the mean embedding of these images subtracted; the better AUC counts. ``--sharp`` also measures the shipped family with this
teacher for sharp faces. The results go to benchmarks/results/family/.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from lrface.data.sets.pair_set import PairSet, from_store
from lrface.errors import LrfaceError
from lrface.eval.verification import VerificationResult, evaluate
from lrface.faces.degrade import resize
from lrface.faces.quality import assess
from lrface.files import atomic_write, read_json, write_json
from lrface.models.family import Family
from lrface.recognition.encoder import FaceEncoder
from lrface.reporting.style import drawing, save_figure
from lrface.suite import plots
from lrface.version import code_version

RESULTS = Path(__file__).parent / "results" / "family"
SIDES = (8, 12, 16, 20, 24, 32, 48, 64, 112)
FULL = 112
MODES = ("LR-LR", "HR-LR")


@dataclass(frozen=True)
class Contender:
    """A model to measure.

    Attributes:
        label: its name in the table.
        encoder: the model.
        peer: subtract the mean embedding if that improves the AUC.
    """

    label: str
    encoder: FaceEncoder
    peer: bool

    def embed(self, crops: Sequence[np.ndarray]) -> tuple[np.ndarray, Counter[str]]:
        """Embeddings float32 ``[n, dim]``, and the number of faces that each member of a family embeds."""
        resolutions = [assess(crop).resolution for crop in crops]
        embedder = self.encoder.embedder
        members = Counter(embedder.member_name(each) for each in resolutions if isinstance(embedder, Family))
        return self.encoder.embed_crops(crops, 64, resolutions), members


def score(a: np.ndarray, b: np.ndarray, pairs: PairSet) -> VerificationResult:
    """Verification result on the pairs. ``a`` and ``b`` are embeddings of all images, for the two sides of a pair."""
    return evaluate(a[pairs.a], b[pairs.b], pairs.same)


def row(results: Sequence[VerificationResult], model: str, mode: str, side: int, **more: Any) -> dict[str, Any]:
    """A row with the means over the results. HR-LR has two results, because either face may be the small one."""
    means = {key: float(np.mean([getattr(each, key) for each in results])) for key in ("accuracy", "std", "auc")}
    rates = {f"{far:g}": float(np.mean([each.tar_at_far[far] for each in results])) for far in results[0].tar_at_far}
    tar = {far: value for far, value in rates.items() if np.isfinite(value)}
    return {"model": model, "mode": mode, "side": side, **means, "tar": tar, **more}


def measure(
    contender: Contender, pairs: PairSet, sides: Sequence[int], say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Measure one model: all its rows."""
    seen = {}
    for side in sorted({*sides, FULL}):
        crops = pairs.images if side == FULL else [resize(image, side) for image in pairs.images]
        seen[side] = contender.embed(crops)
        say(f"{contender.label} {side} px {dict(seen[side][1])}")
    rows = []
    for side in sides:
        for mode in MODES[: 1 if side == FULL else 2]:
            full, low = seen[FULL][0], seen[side][0]
            rounds = [(low, low)] if mode == "LR-LR" else [(full, low), (low, full)]
            found = [score(a, b, pairs) for a, b in rounds]
            if contender.peer:
                means = full.mean(0), low.mean(0)
                rounds = [(a - means[a is low], b - means[b is low]) for a, b in rounds]
                found = max(
                    found, [score(a, b, pairs) for a, b in rounds], key=lambda few: np.mean([r.auc for r in few])
                )
            rows.append(row(found, contender.label, mode, side, members=dict(seen[side][1])))
    return rows


def draw(rows: list[dict[str, Any]], name: str, title: str) -> None:
    """Draw accuracy over the side, with one panel per mode."""
    labels = list(dict.fromkeys(each["model"] for each in rows))
    panels = [
        (f"{title}, {mode}", [(label, _points(rows, label, mode)) for label in labels])
        for mode in MODES
        if any(each["mode"] == mode for each in rows)
    ]
    with drawing() as canvas:
        save_figure(plots.resolution(canvas, panels, {label: n for n, label in enumerate(labels)}), RESULTS, name)


def _points(rows: list[dict[str, Any]], label: str, mode: str) -> dict[int, tuple[float, float]]:
    return {r["side"]: (r["accuracy"], r["std"]) for r in rows if (r["model"], r["mode"]) == (label, mode)}


def table(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown: accuracy in % and AUC, one row per model and mode, one column per side."""
    sides = sorted({each["side"] for each in rows})
    lines = [
        "| model | faces | " + " | ".join(f"{side} px" for side in sides) + " |",
        "| --- " * (len(sides) + 2) + "|",
    ]
    found = {(each["model"], each["mode"], each["side"]): each for each in rows}
    for model, mode in dict.fromkeys((each["model"], each["mode"]) for each in rows):
        cells = [found.get((model, mode, side)) for side in sides]
        texts = [f"{100 * cell['accuracy']:.2f} ({cell['auc']:.4f})" if cell else "" for cell in cells]
        lines.append(f"| {model} | {mode} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--images", required=True, type=click.Path(), help="Store of the pairs' images.")
@click.option("--pairs", "lists", multiple=True, required=True, type=click.Path(), help="Lists of pairs; repeatable.")
@click.option("--name", required=True, help="Name of the files to write.")
@click.option("--model", "models", multiple=True, help="A shipped model or family, or a file; repeatable.")
@click.option("--peer", "peers", multiple=True, help="LABEL=FILE of another network; repeatable.")
@click.option(
    "--sharp", "teachers", multiple=True, help="A teacher of the shipped family; each is measured; repeatable."
)
@click.option("--side", "sides", multiple=True, type=int, help="Sides to measure; all of 8 to 112 px if none.")
@click.option("--add", is_flag=True, help="Keep the rows of other models that the file already has.")
@click.option("--title", default="LFW View 1 test", show_default=True, help="Title of the figure.")
def main(
    images: str, lists: tuple[str, ...], name: str, models: tuple[str, ...], peers: tuple[str, ...],
    teachers: tuple[str, ...], sides: tuple[int, ...], add: bool, title: str,
) -> None:  # fmt: skip
    """Measure models at every face size."""
    try:
        pairs = from_store(images, lists)
        contenders = [Contender(Path(model).stem, FaceEncoder.load(model, "none"), False) for model in models]
        for teacher in teachers:
            sharp = FaceEncoder.load(None, "none", sharp=[teacher])
            contenders.append(Contender(f"{sharp.embedder.card['name']} + {Path(teacher).stem}", sharp, False))
        contenders += [Contender(label, FaceEncoder.load(file, "none"), True) for label, file in _named(peers)]
        facts = {"pairs": pairs.name, "alignment": pairs.alignment, "operator": "bilinear-antialias"}
        kept = _measured_before(RESULTS / f"{name}.json", facts, {c.label for c in contenders}) if add else []
        code = code_version()
        rows = [
            {**each, "code": code} for c in contenders for each in measure(c, pairs, sorted(sides or SIDES), click.echo)
        ]
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    rows = kept + rows
    write_json(RESULTS / f"{name}.json", {**facts, "rows": rows})
    with atomic_write(RESULTS / f"{name}.md", "w") as file:
        file.write(f"# {title}: accuracy in % (AUC) by the side of the face\n\n{table(rows)}")
    draw(rows, name, title)
    click.echo(table(rows))


def _measured_before(file: Path, facts: dict[str, Any], measured: set[str]) -> list[dict[str, Any]]:
    """Rows of the results file for models that are not measured now. Raises LrfaceError if they use other faces."""
    before = read_json(file)
    if any(before[key] != value for key, value in facts.items()):
        raise LrfaceError(f"{file} was measured on other faces: leave --add out")
    return [{"code": before.get("code"), **each} for each in before["rows"] if each["model"] not in measured]


def _named(texts: tuple[str, ...]) -> list[tuple[str, str]]:
    parts = [text.partition("=") for text in texts]
    if not all(sign for _, sign, _ in parts):
        raise LrfaceError("write peers as --peer LABEL=FILE")
    return [(label, file) for label, _, file in parts]


if __name__ == "__main__":
    main()
