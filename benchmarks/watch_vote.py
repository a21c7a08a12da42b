"""Templates against votes of the frames in a large gallery, with more people than are filmed: frames are made from aligned photos.

    PYTHONPATH=tools python benchmarks/watch_vote.py work --pairs lfw/pairsDevTest.txt --store data/lfw_mtcnn

WORK is that of benchmarks/watch.py, with its gallery of people who are not filmed, one photo each. The second photo of those who
have one is reduced to frames of 16 pixels with a shift, a scale, blur along a motion, noise and JPEG, and aligned again with an
error, as landmarks have it. Nothing is detected. Differences get an interval of 95 % by drawing people with replacement. Writes
benchmarks/results/watch_vote.json and watch_vote.md.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import cv2
import numpy as np
from tqdm import tqdm
from watch import cached, fillers
from watch_rules import Photos, answer_all, rates

from lrface.data.sets.pair_set import from_store
from lrface.errors import LrfaceError
from lrface.faces.images import encode_image, read_image
from lrface.faces.quality import assess
from lrface.files import atomic_write, write_json
from lrface.recognition.encoder import FaceEncoder
from lrface.version import code_version

RESULTS = Path(__file__).parent / "results"
SIDE, FRAMES, DRAWS = 16, 8, 1000

#: Enlargement at which a frame is drawn before it is reduced.
FINE = 4

#: Standard deviations of the alignment: shift in pixels of the frame, scale as a share, turn in degrees.
SHIFT, SCALE, TURN = 0.5, 0.05, 3.0


def frame(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A frame of an aligned face, aligned again: uint8 RGB ``[112, 112, 3]`` with the detail of ``SIDE`` pixels or less."""
    side = SIDE * FINE
    scale = side / crop.shape[0] * (1 + rng.uniform(-0.1, 0.1))
    middle = np.array(crop.shape[1::-1]) / 2
    place = side / 2 + rng.uniform(-0.5, 0.5, 2) * FINE
    matrix = np.hstack([scale * np.eye(2), (place - scale * middle)[:, None]])
    small = cv2.resize(crop, (2 * side, 2 * side), interpolation=cv2.INTER_AREA) if crop.shape[0] > 2 * side else crop
    matrix[:, :2] *= crop.shape[0] / small.shape[0]
    drawn = cv2.warpAffine(small, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    drawn = cv2.blur(drawn, (1 + int(rng.integers(0, FINE)), 1))
    low = cv2.resize(drawn, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    noisy = np.clip(low + rng.normal(0, 3, low.shape), 0, 255).astype(np.uint8)
    seen = read_image(encode_image(noisy, "jpg", 80), "frame")
    turn, grow = rng.normal(0, TURN), 112 / SIDE * (1 + rng.normal(0, SCALE))
    error = np.array(cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), turn, grow), np.float64)
    error[:, 2] += 56 - SIDE / 2 + rng.normal(0, SHIFT, 2) * 112 / SIDE
    return cv2.warpAffine(seen, error, (112, 112), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def look_at(crop: np.ndarray, encoder: FaceEncoder, rng: np.random.Generator) -> list[Any]:
    """``FRAMES`` looks at a face, in the form that templates are made of."""
    crops = [frame(crop, rng) for _ in range(FRAMES)]
    qualities = [assess(each, float(SIDE), encoder.calibration) for each in crops]
    rows = encoder.embed_crops(crops, resolutions=[quality.resolution for quality in qualities])
    return [
        SimpleNamespace(embedding=row, recognisability=quality.recognisability, detail=quality.resolution, score=1.0)
        for row, quality in zip(rows, qualities, strict=True)
    ]


def film(
    store: Path, pairs: tuple[Path, ...], gallery: Photos, most: int, encoder: FaceEncoder
) -> dict[str, list[Any]]:
    """Looks at people of the gallery, at their second photo."""
    listed = from_store(store, pairs)
    places: dict[str, list[int]] = {}
    for place, name in enumerate(listed.names):
        places.setdefault(Path(name).parent.name, []).append(place)
    names = [name for name in gallery.names if len(places[name]) > 1][:most]
    rng = np.random.default_rng(0)
    return {name: look_at(listed.images[places[name][1]], encoder, rng) for name in tqdm(names, unit="person")}


def interval(a: np.ndarray, b: np.ndarray) -> dict[str, list[float]]:
    """Difference of two rules' rates, with its interval of 95 %, in points: answers ``[people, 2, 3]`` of the same people."""
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(DRAWS):
        who = rng.integers(0, len(a), len(a))
        one, other = rates(a[who].reshape(-1, 3)), rates(b[who].reshape(-1, 3))
        draws.append([one[key] - other[key] for key in one])
    keys = list(rates(a.reshape(-1, 3)))
    edges = np.quantile(draws, (0.025, 0.975), axis=0)
    return {key: [round(100 * float(edge), 2) for edge in edges[:, place]] for place, key in enumerate(keys)}


def table(rows: list[dict[str, Any]], people: int, gallery: int) -> str:
    """Markdown."""
    lines = [
        f"{people} people, {gallery} in the gallery, {FRAMES} frames of {SIDE} px each. In brackets: points more than the vote of "
        "the frames, interval of 95 %.",
        "",
        "| rule | rank 1 % | TPIR % at FPIR 0.01 | at 0.1 |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row["rule"]]
        for key in ("rank1", "tpir_0.01", "tpir_0.1"):
            low, high = row["more"][key]
            cells.append(f"{100 * row[key]:.1f} ({low:+.1f} to {high:+.1f})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--pairs", required=True, multiple=True, type=click.Path(path_type=Path, exists=True), help="Lists.")
@click.option(
    "--store", required=True, type=click.Path(path_type=Path, exists=True), help="Aligned faces of the lists."
)
@click.option("--people", default=300, show_default=True, type=click.IntRange(2), help="Largest number of people.")
def main(work: Path, pairs: tuple[Path, ...], store: Path, people: int) -> None:
    """Compare rules with the gallery in WORK."""
    try:
        encoder = FaceEncoder.load(turn=False, threads=1)
        gallery = cached(work / "filler.npz", lambda: fillers(encoder, store, pairs, set(), 1000))
        films = film(store, pairs, gallery, people, encoder)
        answers = {
            rule: np.array(each, float).reshape(-1, 2, 3)
            for rule, each in answer_all(films, {}, gallery, encoder, FRAMES).items()
        }
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    vote = answers["vote of the frames"]
    rows = [
        {"rule": rule, **rates(each.reshape(-1, 3)), "more": interval(each, vote)} for rule, each in answers.items()
    ]
    text = table(rows, len(films), len(gallery.names))
    facts = {
        "people": len(films), "gallery": len(gallery.names), "frames": FRAMES, "side": SIDE, "code": code_version(),
        "model": encoder.embedder.fingerprint,
    }  # fmt: skip
    write_json(RESULTS / "watch_vote.json", facts | {"rows": rows})
    with atomic_write(RESULTS / "watch_vote.md", "w") as file:
        file.write(text)
    click.echo(text)


if __name__ == "__main__":
    main()
