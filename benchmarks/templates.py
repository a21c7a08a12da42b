"""Compare rules for several photos of one person: the best face, their mean (a template), or both.

    python benchmarks/templates.py --images lfw/images --pairs lfw/pairsDevTrain.txt --pairs lfw/pairsDevTest.txt

People of LFW View 1 with at least three images are enrolled with all images but one, and the remaining image is the probe; each of
the first three images is the probe in turn. People with one image are strangers. For people with at least four images, two images
are also compared with two others. Faces are used at their own size, or each is reduced to a size drawn from a range. Scores are
differences from the thresholds for both faces' detail, as a gallery ranks them. The results go to
benchmarks/results/templates.json and templates.md.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import numpy as np

from lrface.data.sets.pair_set import listed_pairs
from lrface.errors import LrfaceError
from lrface.eval.thresholds import accepted, exceeded_by
from lrface.faces.degrade import resize
from lrface.faces.quality import assess
from lrface.files import atomic_write, write_json
from lrface.recognition.encoder import FaceEncoder, ImageError
from lrface.version import code_version

RESULTS = Path(__file__).parent / "results"
FAR, ROUNDS, FPIRS, TAR_FARS = 0.001, 3, (0.01, 0.1), (0.0001, 0.001, 0.01)

#: Name -> ranges of sides in pixels, of the enrolled faces and of the probes; None: not reduced.
SIZES: dict[str, tuple[tuple[int, int] | None, tuple[int, int] | None]] = {
    "sharp": (None, None),
    "8-24 px": ((8, 24), (8, 24)),
    "sharp, searched with 8-16 px": (None, (8, 16)),
}


@dataclass(frozen=True)
class Faces:
    """Faces, ordered by person.

    Attributes:
        rows: embeddings, float32 ``[n, dim]``.
        details: pixels of detail, ``[n]``.
        weights: recognisability, ``[n]``.
        people: number of the person, ``[n]``.
    """

    rows: np.ndarray
    details: np.ndarray
    weights: np.ndarray
    people: np.ndarray

    def take(self, places: Any) -> "Faces":
        """The faces at the given positions."""
        return Faces(self.rows[places], self.details[places], self.weights[places], self.people[places])

    @property
    def starts(self) -> np.ndarray:
        """Position of each person's first face."""
        return np.flatnonzero(np.r_[True, self.people[1:] != self.people[:-1]])


def read(encoder: FaceEncoder, root: Path, names: Sequence[str]) -> tuple[list[np.ndarray], list[str]]:
    """Aligned crops and names of those images in which a face is found."""
    from tqdm import tqdm

    crops, kept = [], []
    for name in tqdm(names, unit="img", desc="align", disable=None):
        try:
            crops.append(encoder.crop(root / name)[0])
            kept.append(name)
        except ImageError as error:
            click.echo(f"left out: {error}", err=True)
    return crops, kept


def observe(
    encoder: FaceEncoder, crops: Sequence[np.ndarray], people: np.ndarray, sides: tuple[int, int] | None, seed: int
) -> Faces:
    """Reduce all faces to random sides and embed them.

    Args:
        encoder: the model.
        crops: the faces, uint8 RGB.
        people: number of each face's person.
        sides: smallest and largest side in pixels; None: no reduction.
        seed: of the sides.
    """
    if sides is not None:
        drawn = np.random.default_rng(seed).integers(sides[0], sides[1], len(crops), endpoint=True).tolist()
        crops = [resize(crop, side) for crop, side in zip(crops, drawn, strict=True)]
    all_cropped = [assess(crop, calibration=encoder.calibration) for crop in crops]
    details = [cropped.resolution for cropped in all_cropped]
    weights = np.array([max(cropped.recognisability or 0, 0.01) for cropped in all_cropped])
    return Faces(encoder.embed_crops(crops, 64, details), np.array(details), weights, people)


def score(encoder: FaceEncoder, probes: Faces, gallery: Faces) -> dict[str, np.ndarray]:
    """Scores of each probe with each person of the gallery, by rule: float64 ``[probes, people]``."""
    assert encoder.calibration is not None
    margins = probes.rows @ gallery.rows.T
    limits = encoder.calibration.threshold(FAR, probes.details[:, None], gallery.details[None])
    margins, starts = margins - limits, gallery.starts
    best = np.maximum.reduceat(margins, starts, axis=1)
    found = {"best face": best}
    for label, weights in (("mean", np.ones_like(gallery.weights)), ("weighted mean", gallery.weights)):
        total = np.add.reduceat(weights, starts)
        limit = np.add.reduceat(limits * weights, starts, axis=1) / total
        template = np.add.reduceat(gallery.rows * weights[:, None], starts, axis=0)
        template /= np.linalg.norm(template, axis=1, keepdims=True)
        found[f"{label}, normalised"] = probes.rows @ template.T - limit
        found[f"{label} of cosines"] = np.add.reduceat(margins * weights, starts, axis=1) / total
        found[f"best face and {label}, normalised"] = (best + found[f"{label}, normalised"]) / 2
        found[f"best face and {label} of cosines"] = (best + found[f"{label} of cosines"]) / 2
    return found


def identify(encoder: FaceEncoder, enrolled: Faces, seen: Faces, strangers: Faces) -> dict[str, dict[str, float]]:
    """Identification by each rule, as means over the rounds.

    Returns:
        By rule: rank-1 rate, TPIRs, the share that is named correctly at the promised rate, and the number of false accepts of
        strangers divided by the promised number, for as many comparisons as there are faces.
    """
    rounds: dict[str, list[list[float]]] = {}
    groups = [list(group) for _, group in groupby(range(len(enrolled.people)), key=lambda at: int(enrolled.people[at]))]
    for number in range(ROUNDS):
        probes = seen.take([group[number] for group in groups])
        gallery = enrolled.take([at for group in groups for at in group if at != group[number]])
        known, unknown = score(encoder, probes, gallery), score(encoder, strangers, gallery)
        for rule, table in known.items():
            own, right = np.diag(table), table.argmax(axis=1) == np.arange(len(table))
            alarms = np.sort(unknown[rule].max(axis=1))
            limits = [exceeded_by(alarms, accepted(fpir, len(alarms))) for fpir in FPIRS]
            false = float((unknown[rule] > 0).mean(axis=0).sum()) / (FAR * len(gallery.people))
            shares = [float(right.mean()), *(float((right & (own > limit)).mean()) for limit in limits)]
            rounds.setdefault(rule, []).append([*shares, float((right & (own > 0)).mean()), false])
    keys = ("rank1", *(f"tpir_{fpir:g}" for fpir in FPIRS), "named", "false_accepts")
    return {rule: dict(zip(keys, np.mean(values, axis=0).tolist(), strict=True)) for rule, values in rounds.items()}


def verify(encoder: FaceEncoder, a: Faces, b: Faces) -> dict[str, dict[str, float]]:
    """Verification of two faces of a person against two others, over all pairs of people. Returns TAR at FARs by rule."""
    found = {}
    best = np.maximum.reduceat(score(encoder, a, b)["best face"], a.starts, axis=0)
    for rule in score(encoder, a.take([0]), b):
        if rule == "best face":
            table = best
        elif rule.startswith("best"):
            table = (best + of_means(rule.split(" and ")[1], a, b, encoder)) / 2
        else:
            table = of_means(rule, a, b, encoder)
        same = np.eye(len(table), dtype=bool)
        strangers = np.sort(table[~same])
        limits = {far: exceeded_by(strangers, accepted(far, len(strangers))) for far in TAR_FARS}
        found[rule] = {f"tar_{far:g}": float((table[same] > limit).mean()) for far, limit in limits.items()}
        found[rule]["false_accepts"] = float((strangers > 0).mean()) / FAR
    return found


def of_means(rule: str, a: Faces, b: Faces, encoder: FaceEncoder) -> np.ndarray:
    """Scores of each person of ``a`` with each of ``b`` by the mean of both sides' faces: float64 ``[people, people]``."""
    assert encoder.calibration is not None
    weights = [each.weights if rule.startswith("weighted") else np.ones_like(each.weights) for each in (a, b)]
    totals = [np.add.reduceat(weight, each.starts) for weight, each in zip(weights, (a, b), strict=True)]
    limits = encoder.calibration.threshold(FAR, a.details[:, None], b.details[None]) * weights[0][:, None] * weights[1]
    limit = np.add.reduceat(np.add.reduceat(limits, a.starts, axis=0), b.starts, axis=1) / (
        totals[0][:, None] * totals[1]
    )
    left, right = (
        np.add.reduceat(each.rows * weight[:, None], each.starts, axis=0)
        for weight, each in zip(weights, (a, b), strict=True)
    )
    scale = [totals[0], totals[1]]
    if rule.endswith("normalised"):
        scale = [np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1)]
    return left @ right.T / (scale[0][:, None] * scale[1]) - limit


def measure(
    encoder: FaceEncoder, crops: list[np.ndarray], names: list[str], say: Callable[[str], None]
) -> dict[str, Any]:
    """All figures of one model, by the sizes of the faces."""
    owner = [name.split("/")[0] for name in names]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(owner))}
    people = np.array([numbers[name] for name in owner])
    count = np.bincount(people)[people]
    results: dict[str, Any] = {}
    for label, (enrolled, searched) in SIZES.items():
        stored = observe(encoder, crops, people, enrolled, 1)
        seen = observe(encoder, crops, people, searched, 2)
        several, single = np.flatnonzero(count > 2), np.flatnonzero(count == 1)
        four = [np.flatnonzero(people == each)[:4] for each in np.unique(people[count > 3])]
        a, b = (stored.take(np.concatenate([at[half] for at in four])) for half in (slice(0, 2), slice(2, 4)))
        b = seen.take(np.concatenate([at[2:4] for at in four]))
        results[label] = {
            "identify": identify(encoder, stored.take(several), seen.take(several), seen.take(single)),
            "verify": verify(encoder, a, b),
            "people": len(np.unique(people[several])), "faces": len(several), "strangers": len(single), "pairs_of": len(four),
        }  # fmt: skip
        say(f"{label}: {results[label]}")
    return results


def table(results: dict[str, Any]) -> str:
    """The table as Markdown, with one row per rule and size."""
    lines = [
        "| faces | rule | rank 1 % | TPIR % at FPIR 0.01 | at 0.1 | named right % | false accepts a promised one | "
        "two photos against two: TAR % at FAR 1e-4 | 1e-3 | 1e-2 | false accepts a promised one |",
        "| --- " * 11 + "|",
    ]
    for size, found in results.items():
        for rule, figures in found["identify"].items():
            both = {**figures, **{f"pairs {key}": value for key, value in found["verify"][rule].items()}}
            cells = [f"{value:.2f}" if "false" in key else f"{100 * value:.1f}" for key, value in both.items()]
            lines.append(f"| {size} | {rule} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@click.command()
@click.option("--images", required=True, type=click.Path(path_type=Path), help="LFW's photos.")
@click.option("--pairs", required=True, multiple=True, type=click.Path(), help="Lists that name the images; View 1's.")
@click.option("--model", default=None, help="As for lrface verify.")
@click.option("--threads", default=2, show_default=True)
def main(images: Path, pairs: tuple[str, ...], model: str | None, threads: int) -> None:
    """Compare the rules."""
    try:
        encoder = FaceEncoder.load(model, threads=threads)
        listed = listed_pairs(pairs)
        names = sorted({name for pair in listed for name in (pair.a, pair.b)})
        owner = [name.split("/")[0] for name in names]
        count = {name: owner.count(name) for name in set(owner)}
        names = [name for name, person in zip(names, owner, strict=True) if count[person] != 2]
        crops, kept = read(encoder, images, names)
        results = measure(encoder, crops, kept, click.echo)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    facts = {
        "model": encoder.embedder.card.get("name"),
        "detector": encoder.detector,
        "code": code_version(),
        "far": FAR,
    }
    write_json(RESULTS / "templates.json", {**facts, "results": results})
    with atomic_write(RESULTS / "templates.md", "w") as file:
        file.write(table(results))


if __name__ == "__main__":
    main()
