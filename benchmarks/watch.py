"""Accuracy of templates from 1 to 32 frames of a clip, compared with a sharp photo.

    python benchmarks/watch.py work --lfw lfw/images --pairs lfw/pairsDevTest.txt

The clips show people of LFW View 1, four at a time, with one photo each. They go through ``lrface.watch`` end to end, so faces are
detected, tracked and embedded as in use. The first photo of a person is in the clip; the second is the sharp photo. The truth
tells which person a detected face belongs to. An interrupted run continues in the folder ``work``. The results go to
benchmarks/results/watch-NAME.json.
"""

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from make_clips import RATE, Actor, Look, lfw_actors, make_clip
from tqdm import tqdm

import lrface
from lrface.errors import LrfaceError
from lrface.files import read_json, write_json
from lrface.recognition.encoder import FaceEncoder, ImageError
from lrface.version import code_version
from lrface.video.journal import read_frames

RESULTS = Path(__file__).parent / "results"
COUNTS, FAR, PEOPLE = (1, 2, 4, 8, 16, 32), 0.001, 4


def film(work: Path, actors: list[Actor], look: Look, encoder: FaceEncoder) -> None:
    """Write the missing clips, and watch those that have not been watched."""
    for number in tqdm(range(len(actors) // PEOPLE), "clips", unit="clip"):
        clip, out = work / f"{number:04d}.mp4", work / f"{number:04d}"
        chosen = [Actor(actor.name, actor.photos[:1], actor.face) for actor in actors[number * PEOPLE :][:PEOPLE]]
        if not clip.with_suffix(".json").exists():
            make_clip(clip, chosen, look, number)
        list(lrface.watch(clip, None, encoder, out, faces=False, resume=(out / "watch.json").exists()))


def read_looks(work: Path, number: int) -> tuple[list[list[Any]], int]:
    """The detected faces of each person in a clip, and the number of faces that the clip shows."""
    truth = read_json(work / f"{number:04d}.json")
    boxes = np.array(truth["boxes"])
    looks: list[list[Any]] = [[] for _ in truth["people"]]
    for index, _, seen in read_frames(work / f"{number:04d}" / "journal.jsonl"):
        rows = boxes[boxes[:, 0] == index]
        centres = (rows[:, 2:4] + rows[:, 4:6]) / 2
        for each in seen:
            away = np.linalg.norm(centres - each.centre, axis=1)
            if away.min() < 0.5 * truth["side"]:
                looks[int(rows[int(away.argmin()), 1])].append(each)
    return looks, len(boxes)


def templates(looks: list[Any], count: int, rule: str) -> tuple[np.ndarray, float]:
    """Make a template from some of a person's detected faces, spread evenly over the clip.

    Args:
        looks: the detected faces.
        count: number of faces to use.
        rule: ``mean``; ``best`` (the face with the largest product of recognisability and detection score); or ``r,s``: a
            weighted mean, with recognisability to the power r times score to the power s as weight.

    Returns:
        The template, float64 ``[dim]`` of length 1, and its pixels of detail.
    """
    taken = [looks[place] for place in np.linspace(0, len(looks) - 1, count).round().astype(int)]
    rows = np.stack([look.embedding for look in taken]).astype(np.float64)
    known = np.array([max(look.recognisability or 0, 0.01) for look in taken])
    score = np.array([look.score for look in taken])
    detail = np.array([look.detail for look in taken])
    if rule == "best":
        best = int(np.argmax(known * score))
        return rows[best] / np.linalg.norm(rows[best]), float(detail[best])
    powers = (0.0, 0.0) if rule == "mean" else tuple(float(part) for part in rule.split(","))
    weights = known ** powers[0] * score ** powers[1]
    mean = weights @ rows
    return mean / np.linalg.norm(mean), float(np.exp(weights @ np.log(detail) / weights.sum()))


def accuracy(scores: np.ndarray, same: np.ndarray, folds: int = 10) -> float:
    """Ten-fold accuracy on as many same pairs as different ones. Each fold uses the best threshold of the other folds."""
    fold = np.arange(len(scores)) % folds
    right = 0
    for each in range(folds):
        train, test = fold != each, fold == each
        limits = np.sort(scores[train])
        rates = [((scores[train] > limit) == same[train]).mean() for limit in limits]
        right += ((scores[test] > limits[int(np.argmax(rates))]) == same[test]).sum()
    return float(right / len(scores))


def measure(
    rows: np.ndarray, details: np.ndarray, sharp: np.ndarray, sharp_details: np.ndarray, encoder: FaceEncoder
) -> dict:
    """Figures of one kind of templates, float64 ``[people, dim]``, against everybody's sharp photo."""
    cosines = rows @ sharp.T
    assert encoder.calibration is not None
    limits = {far: encoder.calibration.threshold(far, details[:, None], sharp_details[None]) for far in (0.01, FAR)}
    mates, others = np.diag(cosines), cosines[~np.eye(len(rows), dtype=bool)]
    shifted = np.roll(np.arange(len(rows)), 1)
    pairs = np.stack([mates, cosines[np.arange(len(rows)), shifted]], 1).ravel()
    same = np.tile([True, False], len(rows))
    strange = ~np.eye(len(rows), dtype=bool)
    above = {f"{far:g}": (cosines - limit)[strange] for far, limit in limits.items()}
    return {
        "accuracy": accuracy(pairs, same),
        "tar": float((mates > np.quantile(others, 1 - FAR)).mean()),
        "rank1": float((cosines.argmax(1) == np.arange(len(rows))).mean()),
        "false_accepts_a_promised_one": {far: float((margin > 0).mean() / float(far)) for far, margin in above.items()},
        "shift": {far: float(np.quantile(margin, 1 - float(far))) for far, margin in above.items()},
        "named": float((np.diag(cosines - limits[FAR]) > 0).mean()),
    }


@click.command()
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--lfw", required=True, type=click.Path(path_type=Path, exists=True), help="Folder of LFW's images.")
@click.option(
    "--pairs", required=True, multiple=True, type=click.Path(path_type=Path, exists=True), help="Lists of pairs."
)
@click.option("--people", default=200, show_default=True, type=click.IntRange(20), help="Number of people.")
@click.option("--side", default=16.0, show_default=True, help="Side of the aligned faces in pixels.")
@click.option("--frames", default=50, show_default=True, type=click.IntRange(2), help="Frames a clip.")
@click.option(
    "--rule", "rules", multiple=True, default=("mean", "1,0", "1,1", "2,0", "2,2", "0,2", "best"), show_default=True
)
@click.option("--name", default="16px", show_default=True, help="Part of the name of the results file.")
def main(
    work: Path,
    lfw: Path,
    pairs: tuple[Path, ...],
    people: int,
    side: float,
    frames: int,
    rules: tuple[str, ...],
    name: str,
) -> None:
    """Measure templates and tracks on generated clips in WORK."""
    try:
        run(work, lfw, pairs, people, side, frames, rules, name)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


def run(
    work: Path, lfw: Path, pairs: tuple[Path, ...], people: int, side: float, frames: int, rules: tuple[str, ...], name: str
) -> None:  # fmt: skip
    """Run the benchmark. See :func:`main`."""
    encoder = FaceEncoder.load(turn=False)
    actors = lfw_actors(lfw, pairs, 2)
    order = np.random.default_rng(0).permutation(len(actors))[:people]
    actors = [actors[place] for place in order]
    film(work, actors, Look(side, frames), encoder)
    looks: list[list[Any]] = []
    there = 0
    for number in range(len(actors) // PEOPLE):
        seen, count = read_looks(work, number)
        looks += seen
        there += count
    sharp, sharp_details, kept = [], [], []
    for place, actor in enumerate(actors[: len(looks)]):
        try:
            cropped = encoder.cropped_face(actor.photos[1])
        except ImageError:
            continue
        if looks[place]:
            sharp.append(encoder.embed_crops([cropped.crop], resolutions=[cropped.quality.resolution])[0])
            sharp_details.append(cropped.quality.resolution)
            kept.append(place)
    rows = []
    for rule in rules:
        for count in COUNTS:
            made = [templates(looks[place], count, rule) for place in kept]
            figures = measure(
                np.stack([row for row, _ in made]), np.array([detail for _, detail in made]), np.stack(sharp).astype(np.float64),
                np.array(sharp_details), encoder,
            )  # fmt: skip
            rows.append({"rule": rule, "frames": count} | figures)
            print(rule, count, figures)
    facts: dict[str, Any] = {
        "people": len(kept), "left_out": len(looks) - len(kept), "side": side, "frames": frames, "rate": RATE,
        "found": sum(map(len, looks)) / there, "detail": float(np.median([look.detail for each in looks for look in each])),
        "pairs": [file.name for file in pairs], "model": encoder.embedder.fingerprint, "detector": encoder.detector,
        "code": code_version(),
    }  # fmt: skip
    write_json(RESULTS / f"watch-{name}.json", facts | {"rows": rows})


if __name__ == "__main__":
    main()
