"""Fit the estimators of detail (lrface/faces/detail.py), and compare them with simpler ones on other people.

    python tools/fit_detail.py small --store data/lfw_mtcnn --pairs lfw/pairsDevTrain.txt --pairs lfw/pairsDevTest.txt
    python tools/fit_detail.py large --store data/faces_store --sharp data/faces

That for large faces is fitted on sharp ones (see tools/join_faces.py), as an estimate can be no better than its material. The
results go to benchmarks/results/detail.json and detail.md. The coefficients are copied from there into lrface/faces/detail.py
by hand.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from join_faces import sharp_among

from lrface.data.store import Store
from lrface.data.variants import Variant, draw_variant
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE_SIZE
from lrface.faces.degrade import resize
from lrface.faces.detail import LARGE, SMALL, Estimator
from lrface.files import atomic_write, read_json, write_json
from lrface.finetune.quality_samples import Source, listed_source
from lrface.version import code_version

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
SIDES = (6, 8, 10, 12, 16, 20, 24, 32)
LARGE_SIDES = (20, 24, 32, 45, 64, 90, 112)
VARIANTS = 6
SHARP = 3000  # largest number of faces for the estimator of large ones

Rivals = dict[str, Callable[[np.ndarray], float]]
Drawn = Callable[[np.random.Generator], Variant]


def target(variant: Variant, estimator: Estimator) -> float:
    """Target of the estimator: the binary logarithm of the detail in pixels, limited to the measurable range."""
    return float(np.log2(np.clip(variant.detail, estimator.lowest, estimator.highest)))


def least_squares(x: np.ndarray, y: np.ndarray, highest: float) -> np.ndarray:
    """Coefficients by least squares, with a ridge penalty that keeps them small for correlated terms.

    Regression draws the estimates towards their mean. This is corrected afterwards, so that a small face is not estimated as a
    medium one.
    """
    scale = x.std(0) + 1e-9
    scale[0] = 1
    penalty = 1.0 * np.eye(x.shape[1])
    penalty[0, 0] = 0
    solution: np.ndarray = np.linalg.solve((x / scale).T @ (x / scale) + penalty, (x / scale).T @ y) / scale
    told = y < np.log2(highest) - 0.1
    slope, offset = np.polyfit(y[told], x[told] @ solution, 1)
    solution[0] -= offset
    return solution / slope


def bandwidth(image: np.ndarray, share: float = 0.9) -> float:
    """A simpler estimator: the frequency below which most of the gradient's power lies, as a side in pixels."""
    grey = resize(image, TEMPLATE_SIZE, "bicubic").astype(np.float64).mean(2)
    window = np.hanning(TEMPLATE_SIZE)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window[:, None] * window[None])) ** 2
    waves = np.fft.fftfreq(TEMPLATE_SIZE) * TEMPLATE_SIZE
    radius = np.hypot(waves[:, None], waves[None]).round().astype(int)
    summed = np.cumsum(np.bincount(radius.ravel(), (power * radius**2).ravel())[: TEMPLATE_SIZE // 2 + 1])
    return 2.0 * float(np.searchsorted(summed, share * summed[-1]))


def residual(image: np.ndarray, part: float = 0.02) -> float:
    """Another estimator: the smallest side from which the image can be restored with a small part of its variance lost."""
    image = resize(image, TEMPLATE_SIZE, "bicubic")
    for side in range(4, 33):
        restored = resize(resize(image, side), TEMPLATE_SIZE, "bicubic").astype(np.float64)
        if np.square(restored - image).mean() < part * max(image.astype(np.float64).var(), 1e-9):
            break
    return float(side)


def draw_large(rng: np.random.Generator) -> Variant:
    """A variant of the faces that training stores hold: 20 to 112 pixels, three in ten blurred, three in ten compressed."""
    side = round(2 ** rng.uniform(np.log2(20), np.log2(TEMPLATE_SIZE + 1)))
    blurred, compressed = rng.random(2) < 0.3
    return Variant(
        side=side if side < TEMPLATE_SIZE else None,
        blur=float(rng.uniform(0.3, 1.3)) if blurred else 0.0,
        route=("photo", "enlarged")[rng.integers(2)],
        kernel=("bilinear", "bicubic")[rng.integers(2)],
        jpeg=int(rng.integers(60, 96)) if compressed else None,
    )


def draw(source: Source, people: np.ndarray, seed: int, one: Drawn) -> tuple[list[np.ndarray], list[Variant]]:
    """Degrade the faces of some people, each several times. Returns the images and their variants."""
    rng = np.random.default_rng(seed)
    part = source.of_people(people)
    images, variants = [], []
    for crop in part.crops:
        for _ in range(VARIANTS):
            variants.append(one(rng))
            images.append(variants[-1](crop)[0])
    return images, variants


def table(source: Source, people: np.ndarray, rivals: Rivals, sides: tuple[int, ...]) -> list[dict]:
    """Median estimate by size, and standard deviation of its binary logarithm, of each estimator."""
    crops = source.of_people(people).crops
    rows = []
    for blur in (0.0, 1.0):
        for side in sides:
            variant = Variant(side if side < TEMPLATE_SIZE else None, blur, "enlarged")
            images = [variant(crop)[0] for crop in crops]
            row: dict[str, Any] = {"side": side, "blur": blur, "detail": round(variant.detail, 2)}
            for name, rival in rivals.items():
                logs = np.log2([max(rival(image), 1.0) for image in images])
                row[name] = {"median": float(2 ** np.median(logs)), "sd": float(logs.std())}
            rows.append(row)
    return rows


def sharp_source(store: str, folder: str) -> Source:
    """The labelled sharp faces of a joined store. Raises LrfaceError as ``sharp_among`` does."""
    faces = Store(store)
    images = np.flatnonzero(sharp_among(faces, Path(folder)) & (faces.labels >= 0))
    people = np.unique(faces.labels[images], return_inverse=True)[1]
    images, people = images[:: len(images) // SHARP + 1], people[:: len(images) // SHARP + 1]
    facts = {"store": faces.fingerprint, "images": len(images)}
    return Source("sharp faces", [faces.crop(int(image)) for image in images], people, facts)


def fit(
    source: Source, people: int, estimator: Estimator, one: Drawn, rivals: Rivals, sides: tuple[int, ...]
) -> dict[str, Any]:
    """Fit an estimator's coefficients on half of some people, and measure it on the other half."""
    number = int(source.people.max()) + 1
    order = np.random.default_rng(0).permutation(number)[:people]
    fitting, measuring = (np.isin(np.arange(number), part) for part in np.array_split(order, 2))
    images, variants = draw(source, fitting, 1, one)
    x = estimator.terms(np.stack([estimator.ring_powers(image) for image in images]))
    y = np.array([target(variant, estimator) for variant in variants])
    rings = len(estimator.rings) - 1
    quadratic = least_squares(x, y, estimator.highest)
    linear = least_squares(x[:, : rings + 1], y, estimator.highest)

    def by(coefficients: np.ndarray) -> Callable[[np.ndarray], float]:
        padded = np.pad(coefficients, (0, x.shape[1] - len(coefficients)))
        return replace(estimator, coefficients=tuple(padded))

    rivals = {"quadratic": by(quadratic), "linear": by(linear), **rivals}
    images, variants = draw(source, measuring, 2, one)
    truth = np.array([target(variant, estimator) for variant in variants])
    errors = {name: np.log2([max(rival(i), 1.0) for i in images]) - truth for name, rival in rivals.items()}
    return {
        "faces": source.facts,
        "people": {"fit": int(fitting.sum()), "measured": int(measuring.sum())},
        "coefficients": [float(f"{c:.6g}") for c in quadratic],
        "error_log2": {
            name: float(np.sqrt(np.square(error - np.median(error)).mean())) for name, error in errors.items()
        },
        "rows": table(source, measuring & (np.cumsum(measuring) <= 60), rivals, sides),
    }


@click.group()
def main() -> None:
    """Fit an estimator and measure it."""


@main.command()
@click.option("--store", required=True, type=click.Path(), help="Store of aligned faces.")
@click.option(
    "--pairs", required=True, multiple=True, type=click.Path(), help="Lists in LFW's format that name the faces."
)
@click.option("--people", default=1000, show_default=True, help="Half of them fit, half measure.")
def small(store: str, pairs: tuple[str, ...], people: int) -> None:
    """The estimator of small faces."""
    rivals: Rivals = {"bandwidth": bandwidth, "residual": residual}
    record("small", lambda: fit(listed_source(store, pairs), people, SMALL, draw_variant, rivals, SIDES))


@main.command()
@click.option("--store", required=True, type=click.Path(), help="Joined store.")
@click.option("--sharp", required=True, type=click.Path(), help="Folder of its sharp crops with index.csv.")
@click.option("--people", default=1000, show_default=True, help="Half of them fit, half measure.")
def large(store: str, sharp: str, people: int) -> None:
    """The estimator of large faces."""
    record("large", lambda: fit(sharp_source(store, sharp), people, LARGE, draw_large, {}, LARGE_SIDES))


def record(name: str, measure: Callable[[], dict[str, Any]]) -> None:
    """Fit one estimator, and put it beside the other in the results."""
    try:
        part = {"code": code_version(), **measure()}
        result = read_json(RESULTS / "detail.json") | {name: part}
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    write_json(RESULTS / "detail.json", result)
    with atomic_write(RESULTS / "detail.md", "w") as file:
        file.write(report(result))
    click.echo(report(result))
    click.echo(f"{name}: coefficients = {tuple(part['coefficients'])}")


def report(result: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        "# Pixels of detail, estimated from an enlarged face",
        "",
        "Faces of people whom the estimators were not fitted on, reduced to a known side, blurred by a Gaussian of so many of its",
        "pixels (from 24 pixels on, of a face of 24), enlarged to 112. Median estimate, and the standard deviation of its binary",
        "logarithm. The last line: root mean square error over random sizes, blurs, kernels and JPEG, less the median error.",
        "",
        "## Small faces: LFW View 1",
        "",
        *_rows(result["small"]),
        "",
        "## Large faces: sharp crops of CelebA",
        "",
        "For choosing what to train on. A crop of 112 pixels may itself have less detail than 112.",
        "",
        *_rows(result["large"]),
    ]
    return "\n".join(lines) + "\n"


def _rows(part: dict[str, Any]) -> list[str]:
    names = list(part["error_log2"])
    lines = ["| side | blur | detail | " + " | ".join(names) + " |", "|---|---|---|" + "---|" * len(names)]
    for row in part["rows"]:
        cells = [f"{row[name]['median']:.1f} ± {row[name]['sd']:.2f}" for name in names]
        lines.append(f"| {row['side']} | {row['blur']:g} | {row['detail']:.1f} | " + " | ".join(cells) + " |")
    lines.append("| random | | | " + " | ".join(f"{part['error_log2'][name]:.2f}" for name in names) + " |")
    return lines


if __name__ == "__main__":
    main()
