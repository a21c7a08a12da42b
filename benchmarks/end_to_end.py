"""Small faces as a user has them: `FaceEncoder.embed` of reduced photos of LFW, beside the protocol's figure.

    python benchmarks/end_to_end.py PHOTOS --pairs pairsDevTest.txt --model lrface --model lrface-r18-16px-int8 --sharp dlib \\
        --peer dlib=dlib_resnet.onnx,detector=dlib --peer FaceNet=facenet_casia.onnx,detector=mtcnn --out end_to_end.json

Each photo is reduced as ``lrface eval lfw --native`` does it, and handed over as it is: searched, turned where no face is found for
sure, aligned, embedded. An image in which nothing is found is an error for the user; here its whole is taken. By protocol: the
full photo aligned first, by MTCNN's landmarks, its crop of 112 px then reduced to the side. A peer is shown the photo
enlarged where its own detector finds nothing.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from seen_photos import EACH, Group, Seen, as_users_do, enlarging, known_landmarks, see

from lrface.data.sets.pairs import Pair, read_pairs
from lrface.errors import LrfaceError
from lrface.eval.native import TRUTH, reduction, true_landmarks
from lrface.eval.verification import evaluate
from lrface.faces.detect import create_detector
from lrface.files import atomic_write, read_json, write_json
from lrface.models import shipped
from lrface.recognition.encoder import FaceEncoder
from lrface.reporting.style import drawing, save_figure
from lrface.suite import plots
from lrface.suite.peers import parse_models
from lrface.version import code_version

SIDES = (8, 10, 12, 16, 20, 24, 32)


def embed(encoder: FaceEncoder, seen: Seen, start: Path) -> np.ndarray:
    """The embeddings of all crops, float32 ``[n, dim]``, saved every ``EACH`` crops in a file whose name begins as given."""
    path = start.with_name(f"{start.name}-{encoder.embedder.fingerprint[:12]}.npy")
    done = np.load(path) if path.exists() else np.empty((0, encoder.embedder.dim), np.float32)
    while len(done) < len(seen.crops):
        part = slice(len(done), len(done) + EACH)
        done = np.concatenate([done, encoder.embed_crops(seen.crops[part], 64, seen.details[part])])
        with atomic_write(path) as file:
            np.save(file, done)
    return done


def score(embeddings: np.ndarray, names: list[str], pairs: Sequence[Pair]) -> dict[str, float]:
    """Ten folds over the pairs."""
    rows = {name: row for row, name in enumerate(names)}
    a, b = (embeddings[[rows[name] for name in chosen]] for chosen in zip(*[pair[:2] for pair in pairs], strict=True))
    result = evaluate(a, b, np.array([pair.same for pair in pairs]))
    return {"accuracy": result.accuracy, "std": result.std, "auc": result.auc}


def measure(
    groups: Sequence[Group],
    photos: Path,
    landmarks: dict[str, np.ndarray],
    pairs: Sequence[Pair],
    side: int,
    cache: Path,
) -> list[dict[str, Any]]:
    """The rows of one side."""
    protocol, *seen = see(groups, photos, landmarks, side, cache)
    names = list(landmarks)
    return [
        {"side": side, "reduction": reduction(side), "model": label, "detector": group.detector,
         "found": len(own.errors) / len(names), "landmark_error": float(np.mean(own.errors)) if own.errors else None,
         **score(embed(encoder, own, cache / f"{group.detector}-{side}"), names, pairs),
         "protocol": score(embed(encoder, protocol, cache / f"protocol-{side}"), names, pairs)}
        for group, own in zip(groups, seen, strict=True) for label, encoder in group.encoders.items()
    ]  # fmt: skip


def make_groups(models: Sequence[str], sharp: tuple[str, ...], peers: Sequence[str]) -> list[Group]:
    """Our models share a detector, each peer has its own."""
    encoders = {model: FaceEncoder.load(model, threads=1) for model in models}
    for teacher in sharp:
        encoders[f"{shipped.listing()['family']} + {Path(teacher).stem}"] = FaceEncoder.load(sharp=[teacher], threads=1)
    groups = []
    if encoders:
        first = next(iter(encoders.values()))
        groups.append(Group(first.detector, as_users_do(first), encoders))
    for model in parse_models(peers):
        detector = create_detector(model.detector, threads=1)
        encoder = FaceEncoder(model.open(threads=1), "none")
        groups.append(Group(detector.name, enlarging(detector), {model.label: encoder}))
    return groups


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| px | model | found % | landmark error | accuracy % (AUC) | by protocol |",
        "|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: row["side"]):
        own, protocol = (f"{100 * each['accuracy']:.2f} ({each['auc']:.4f})" for each in (row, row["protocol"]))
        error = "" if row["landmark_error"] is None else f"{row['landmark_error']:.2f}"
        lines.append(f"| {row['side']} | {row['model']} | {100 * row['found']:.1f} | {error} | {own} | {protocol} |")
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], folder: Path, name: str) -> None:
    """Accuracy against the side, end to end and by protocol."""
    labels = list(dict.fromkeys(row["model"] for row in rows))
    panels = [
        (title, [(label, {row["side"]: _point(row, key) for row in rows if row["model"] == label}) for label in labels])
        for title, key in (("End to end: found, aligned, embedded", None), ("By protocol: aligned first", "protocol"))
    ]
    with drawing() as canvas:
        figure = plots.resolution(canvas, panels, {label: number for number, label in enumerate(labels)})
        save_figure(figure, folder, name)


def _point(row: dict[str, Any], key: str | None) -> tuple[float, float]:
    values = row[key] if key else row
    return values["accuracy"], values["std"]


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pairs", "lists", multiple=True, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--landmarks", type=click.Path(exists=True, file_okay=False, path_type=Path), default=None,
    help="Store of the full photos, made with --detector mtcnn, whose landmarks are the truth.  [default: found again]",
)  # fmt: skip
@click.option("--model", "models", multiple=True, help="A shipped model or family, or a file; repeatable.")
@click.option(
    "--sharp", multiple=True, help="A teacher for sharp faces: the family is measured with it too; repeatable."
)
@click.option("--peer", "peers", multiple=True, metavar="LABEL=FILE,detector=NAME", help="Another network; repeatable.")
@click.option("--side", "sides", type=int, multiple=True, default=SIDES, show_default=True)
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, help="Take every n-th pair.")
@click.option(
    "--cache", type=click.Path(file_okay=False, path_type=Path), required=True,
    help="Folder for the crops and embeddings of these pairs: a run that was killed goes on, and further models need no search.",
)  # fmt: skip
@click.option("--beside", type=click.Path(exists=True, dir_okay=False), default=None, help="Rows of another such JSON.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
    help="JSON, whose sides are not measured again; a table *.md and a figure go beside it.",
)  # fmt: skip
def main(
    photos: Path, lists: tuple[str, ...], landmarks: Path | None, models: tuple[str, ...], sharp: tuple[str, ...],
    peers: tuple[str, ...], sides: tuple[int, ...], every: int,
    cache: Path, beside: str | None, out: Path,
) -> None:  # fmt: skip
    """Measure models on reduced PHOTOS, side by side, written as they are done; then draw."""
    import cv2

    cv2.setNumThreads(1)
    try:
        pairs = [pair for path in lists for pair in read_pairs(path)][::every]
        groups = make_groups(models, sharp, peers)
        labels = [label for group in groups for label in group.encoders]
        facts: dict[str, Any] = {"pairs": [Path(path).name for path in lists], "every": every, "models": labels}
        known: dict[str, Any] = read_json(out) if out.exists() else {**facts, "rows": []}
        if any(known[key] != value for key, value in facts.items()):
            raise LrfaceError(f"{out} is of other pairs or models: name another file")
        rows = known["rows"]
        left = [side for side in sides if side not in {row["side"] for row in rows}]
        if landmarks:
            true = known_landmarks(landmarks, sorted({name for pair in pairs for name in (pair.a, pair.b)}))
        else:
            true = true_landmarks(photos, pairs, create_detector(TRUTH, threads=1)) if left else {}
        for side in left:
            rows += measure(groups, photos, true, pairs, side, cache)
            write_json(out, {**facts, "truth": TRUTH, "code": code_version(), "rows": rows})
            click.echo(table(rows[-len(labels) :]), err=True)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    shown = [*rows, *(read_json(beside)["rows"] if beside else [])]
    with atomic_write(out.with_suffix(".md"), "w") as file:
        file.write(f"# Small faces of LFW, end to end ({', '.join(facts['pairs'])})\n\n{table(shown)}\n")
    draw(shown, out.parent, out.stem)
    click.echo(table(shown))


if __name__ == "__main__":
    main()
