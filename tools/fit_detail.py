"""Fit the estimator of detail (lrface/faces/detail.py), and compare it with simpler ones on other people.

    python tools/fit_detail.py --store data/lfw_mtcnn --pairs lfw/pairsDevTrain.txt --pairs lfw/pairsDevTest.txt

The results go to benchmarks/results/detail.json and detail.md. The coefficients are copied from there into lrface/faces/detail.py
by hand.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from lrface.data.variants import Variant, draw_variant
from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE_SIZE
from lrface.faces.degrade import resize
from lrface.faces.detail import HIGHEST, LOWEST, ring_powers, terms
from lrface.files import atomic_write, write_json
from lrface.finetune.quality_samples import Source, listed_source
from lrface.version import code_version

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
SIDES = (6, 8, 10, 12, 16, 20, 24, 32)
VARIANTS = 6


def target(variant: Variant) -> float:
    """Target of the estimator: the binary logarithm of the detail in pixels, limited to the measurable range."""
    return float(np.clip(np.log2(variant.detail), np.log2(LOWEST), np.log2(HIGHEST)))


def least_squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients by least squares, with a ridge penalty that keeps them small for correlated terms.

    Regression draws the estimates towards their mean. This is corrected afterwards, so that a small face is not estimated as a
    medium one.
    """
    scale = x.std(0) + 1e-9
    scale[0] = 1
    penalty = 1.0 * np.eye(x.shape[1])
    penalty[0, 0] = 0
    solution: np.ndarray = np.linalg.solve((x / scale).T @ (x / scale) + penalty, (x / scale).T @ y) / scale
    told = y < np.log2(HIGHEST) - 0.1
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


def draw(source: Source, people: np.ndarray, seed: int) -> tuple[list[np.ndarray], list[Variant]]:
    """Degrade the faces of some people, each several times. Returns the images and their variants."""
    rng = np.random.default_rng(seed)
    part = source.of_people(people)
    images, variants = [], []
    for crop in part.crops:
        for _ in range(VARIANTS):
            variants.append(draw_variant(rng))
            images.append(variants[-1](crop)[0])
    return images, variants


def table(source: Source, people: np.ndarray, rivals: dict[str, Callable[[np.ndarray], float]]) -> list[dict]:
    """Median estimate by size, and standard deviation of its binary logarithm, of each estimator."""
    crops = source.of_people(people).crops
    rows = []
    for blur in (0.0, 1.0):
        for side in SIDES:
            variant = Variant(side, blur, "enlarged")
            images = [variant(crop)[0] for crop in crops]
            row: dict[str, Any] = {"side": side, "blur": blur, "detail": round(variant.detail, 2)}
            for name, rival in rivals.items():
                logs = np.log2([max(rival(image), 1.0) for image in images])
                row[name] = {"median": float(2 ** np.median(logs)), "sd": float(logs.std())}
            rows.append(row)
    return rows


@click.command()
@click.option("--store", required=True, type=click.Path(), help="Store of aligned faces.")
@click.option(
    "--pairs", required=True, multiple=True, type=click.Path(), help="Lists in LFW's format that name the faces."
)
@click.option("--people", default=1000, show_default=True, help="Half of them fit, half measure.")
def main(store: str, pairs: tuple[str, ...], people: int) -> None:
    """Fit and measure."""
    try:
        source = listed_source(store, pairs)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    order = np.random.default_rng(0).permutation(int(source.people.max()) + 1)[:people]
    fitting, measuring = (np.isin(np.arange(source.people.max() + 1), part) for part in np.array_split(order, 2))
    images, variants = draw(source, fitting, 1)
    x, y = terms(np.stack([ring_powers(image) for image in images])), np.array([target(v) for v in variants])
    quadratic, linear = least_squares(x, y), least_squares(x[:, :7], y)

    def by(coefficients: np.ndarray) -> Callable[[np.ndarray], float]:
        return lambda image: float(
            2 ** np.clip(terms(ring_powers(image))[: len(coefficients)] @ coefficients, 1, np.log2(HIGHEST))
        )

    rivals = {"quadratic": by(quadratic), "linear": by(linear), "bandwidth": bandwidth, "residual": residual}
    images, variants = draw(source, measuring, 2)
    truth = np.array([target(v) for v in variants])
    errors = {name: np.log2([max(rival(i), 1.0) for i in images]) - truth for name, rival in rivals.items()}
    rms = {name: float(np.sqrt(np.square(error - np.median(error)).mean())) for name, error in errors.items()}
    rows = table(source, measuring & (np.cumsum(measuring) <= 60), rivals)
    result = {"code": code_version(), "faces": source.facts, "people": {"fit": int(fitting.sum()),
              "measured": int(measuring.sum())}, "coefficients": [float(f"{c:.6g}") for c in quadratic],
              "error_log2": rms, "rows": rows}  # fmt: skip
    write_json(RESULTS / "detail.json", result)
    with atomic_write(RESULTS / "detail.md", "w") as file:
        file.write(report(rms, rows))
    click.echo(report(rms, rows))
    click.echo(f"COEFFICIENTS = {tuple(result['coefficients'])}")


def report(rms: dict[str, float], rows: list[dict]) -> str:
    """The report as Markdown."""
    names = list(rms)
    lines = [
        "# Pixels of detail, estimated from an enlarged face",
        "",
        "LFW View 1, faces of people whom the estimators were not fitted on, reduced to a known side, blurred by a Gaussian",
        "of so many of its pixels, enlarged to 112. Median estimate, and the standard deviation of its binary logarithm.",
        "The last line: root mean square error over random sizes, blurs, kernels and JPEG, less the median error.",
        "",
        "| side | blur | detail | " + " | ".join(names) + " |",
        "|---|---|---|" + "---|" * len(names),
    ]
    for row in rows:
        cells = [f"{row[name]['median']:.1f} ± {row[name]['sd']:.2f}" for name in names]
        lines.append(f"| {row['side']} | {row['blur']:g} | {row['detail']:.1f} | " + " | ".join(cells) + " |")
    lines.append("| random | | | " + " | ".join(f"{rms[name]:.2f}" for name in names) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
