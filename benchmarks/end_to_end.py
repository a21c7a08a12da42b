"""Small faces as a user has them: `FaceEncoder.embed` of reduced photos of LFW, beside the protocol's figure.

    python benchmarks/end_to_end.py PHOTOS --pairs pairsDevTest.txt --model lrface --model lrface-r18-16px-int8 --sharp dlib \\
        --peer dlib=dlib_resnet.onnx,detector=dlib --peer FaceNet=facenet_casia.onnx,detector=mtcnn --out end_to_end.json

Each photo is reduced as ``lrface eval lfw --native`` does it, and handed over as it is: searched, turned where no face is found for
sure, aligned, embedded. An image in which nothing is found is an error for the user; here its whole is taken. By protocol: the
full photo aligned first, by MTCNN's landmarks, its crop of 112 px then reduced to the side. A peer is shown the photo
enlarged where its own detector finds nothing.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from lrface.data.sets.pairs import Pair, read_pairs
from lrface.errors import LrfaceError
from lrface.eval.native import NEAR, TRUTH, Enlarging, reduce_photo, reduction, true_landmarks
from lrface.eval.verification import evaluate
from lrface.faces.align import alignment, norm_crop
from lrface.faces.degrade import resize
from lrface.faces.detect import Detector, create_detector, select_face
from lrface.faces.images import read_image
from lrface.faces.quality import assess
from lrface.files import atomic_write, read_json, write_json
from lrface.models import shipped
from lrface.recognition.encoder import FaceEncoder, ImageError
from lrface.reporting.style import drawing, save_figure
from lrface.suite import plots
from lrface.suite.peers import parse_models
from lrface.version import code_version

SIDES = (8, 10, 12, 16, 20, 24, 32)

#: What was done is saved every so many photos, so that a run that is killed goes on from there.
EACH = 100


#: A reduced photo -> its crop, the landmarks by which it was cut (None where the image itself was taken), and its pixels of
#: detail (None where only the crop tells).
Way = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None, float | None]]


@dataclass
class Group:
    """Models that are given the same crops.

    Attributes:
        detector: what finds the faces.
        way: that of the models' user.
        encoders: by the label of the model.
    """

    detector: str
    way: Way
    encoders: dict[str, FaceEncoder]


@dataclass
class Seen:
    """What became of all photos at one side: crops, their pixels of detail, landmark errors of those found."""

    crops: list[np.ndarray] = field(default_factory=list)
    details: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def take(self, crop: np.ndarray, detail: float | None = None) -> None:
        """Add a crop. ``detail`` is its pixels of detail, estimated from the crop alone if None."""
        self.crops.append(crop)
        self.details.append(assess(crop).resolution if detail is None else detail)

    def find(self, way: Way, image: np.ndarray, places: np.ndarray, side: int) -> None:
        """One more photo, with the true landmarks in it."""
        crop, found, detail = way(image)
        self.take(crop, detail)
        if found is not None and np.linalg.norm(found.mean(0) - places.mean(0)) <= NEAR * side:
            scale = float(np.hypot(*alignment(places)[0, :2]))
            self.errors.append(scale * float(np.linalg.norm(found[: len(places)] - places, axis=1).mean()))

    def extend(self, others: "Seen") -> None:
        """Add what became of further photos."""
        self.crops += others.crops
        self.details += others.details
        self.errors += others.errors

    def keep(self, path: Path) -> None:
        """Save it for models that are measured later."""
        with atomic_write(path) as file:
            np.savez(
                file, details=self.details, errors=self.errors, shapes=[crop.shape for crop in self.crops],
                pixels=np.concatenate([crop.ravel() for crop in self.crops]),
            )  # fmt: skip

    @classmethod
    def kept(cls, path: Path) -> "Seen":
        """Load what :meth:`keep` saved."""
        with np.load(path) as file:
            shapes = file["shapes"]
            parts = np.split(file["pixels"], np.cumsum(shapes.prod(1))[:-1])
            crops = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
            return cls(crops, file["details"].tolist(), file["errors"].tolist())


def as_users_do(encoder: FaceEncoder) -> Way:
    """The crop that :meth:`FaceEncoder.embed` embeds."""

    def way(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, float | None]:
        try:
            cropped = encoder.cropped_face(image)
        except ImageError:  # what a user would be told
            return image, None, None
        landmarks = None if cropped.face is None else cropped.face.landmarks
        return (
            cropped.crop,
            landmarks,
            cropped.quality.resolution,
        )  # the crop is enlarged, and its size in the photo counts

    return way


def enlarging(detector: Detector) -> Way:
    """What a peer's detector finds, the photo enlarged where it finds nothing."""
    finder = Enlarging(detector)

    def way(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, float | None]:
        faces = finder.detect(image)
        if not faces:
            return image, None, None
        landmarks = select_face(faces, image.shape).landmarks
        return norm_crop(image, landmarks), landmarks, None

    return way


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


def see(groups: Sequence[Group], photos: Path, landmarks: dict[str, np.ndarray], side: int, cache: Path) -> list[Seen]:
    """What the protocol and then each group sees of the photos, saved every ``EACH`` photos; what was saved before is kept."""
    wholes = [Seen() for _ in range(1 + len(groups))]
    names = list(landmarks)
    for start in tqdm(range(0, len(names), EACH), f"{side} px", unit_scale=EACH, disable=None):
        files = [
            cache / f"{name}-{side}-{start:05}.npz" for name in ("protocol", *(group.detector for group in groups))
        ]
        if not all(path.exists() for path in files):
            part = {name: landmarks[name] for name in names[start : start + EACH]}
            for path, one in zip(files, look(groups, photos, part, side), strict=True):
                one.keep(path)
        for path, whole in zip(files, wholes, strict=True):
            whole.extend(Seen.kept(path))
    return wholes


def look(groups: Sequence[Group], photos: Path, landmarks: dict[str, np.ndarray], side: int) -> list[Seen]:
    """What the protocol and then each group sees of some photos."""
    protocol, seen = Seen(), [Seen() for _ in groups]
    for name, true in landmarks.items():
        photo = read_image(photos / name)
        image, places = reduce_photo(photo, true, side)
        for group, own in zip(groups, seen, strict=True):
            own.find(group.way, image, places, side)
        protocol.take(resize(norm_crop(photo, true), side))
    return [protocol, *seen]


def known_landmarks(store: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Those by which a store's crops were cut: ``[5, 2]`` by path, or the two eyes where its detector found nothing."""
    import pandas as pd

    rows = pd.concat(pd.read_parquet(path) for path in sorted(store.glob("shard-*/manifest.parquet")))
    known = dict(zip(rows["path"], rows["landmarks"], strict=True))
    lacking = [name for name in names if known.get(name) is None]
    if lacking:
        raise LrfaceError(f"{store} has no landmarks of {lacking[0]}")
    return {name: np.array(known[name], np.float64).reshape(-1, 2) for name in names}


def make_groups(models: Sequence[str], sharp: str | None, peers: Sequence[str]) -> list[Group]:
    """Our models share a detector, each peer has its own."""
    encoders = {model: FaceEncoder.load(model, threads=1) for model in models}
    if sharp:
        encoders[f"{shipped.listing()['family']} + {Path(sharp).stem}"] = FaceEncoder.load(sharp=[sharp], threads=1)
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
@click.option("--sharp", default=None, help="Teacher for sharp faces: the family is measured with it too.")
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
    photos: Path, lists: tuple[str, ...], landmarks: Path | None, models: tuple[str, ...], sharp: str | None,
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
