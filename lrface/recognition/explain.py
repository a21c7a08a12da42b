"""A figure that explains an answer: the photos, the aligned faces, the model's view of them, and the conclusion."""

from pathlib import Path
from statistics import NormalDist
from textwrap import fill
from typing import Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.align import TEMPLATE_SIZE
from lrface.faces.degrade import resize
from lrface.faces.images import read_image
from lrface.files import atomic_write
from lrface.recognition.encoder import CroppedFace, FaceEncoder, Image, Verification
from lrface.reporting.style import colour, drawing

#: Photos are reduced to about this longer side, in pixels, for the figure.
PHOTO_SIDE = 640

#: Standard deviation of the Gaussian that smooths the distributions, in similarity.
SMOOTHING = 0.04


def draw(
    encoder: FaceEncoder,
    images: tuple[Image, Image],
    all_cropped: tuple[CroppedFace, CroppedFace],
    answer: Verification,
    out: str | Path,
) -> None:
    """Draw the answer about two images as a PNG file.

    Args:
        encoder: the model that gave the answer.
        images: the two images.
        all_cropped: the faces found in them.
        answer: see :meth:`lrface.recognition.encoder.FaceEncoder.compare`.
        out: the file, ``*.png``.

    Raises:
        LrfaceError: matplotlib is not installed, ``out`` is not a ``.png``, or it cannot be written.
    """
    check(out)
    with drawing():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(13.2, 6.4), facecolor=colour("page"), layout="none")  # type: ignore[arg-type]
        grid = figure.add_gridspec(
            2,
            4,
            width_ratios=(1.25, 1, 1, 2.3),
            left=0.025,
            right=0.975,
            top=0.80,
            bottom=0.11,
            wspace=0.12,
            hspace=0.30,
        )
        for row, (image, cropped) in enumerate(zip(images, all_cropped, strict=True)):
            _draw_face([figure.add_subplot(grid[row, column]) for column in range(3)], encoder, image, cropped)
        _draw_similarity(figure.add_subplot(grid[:, 3]), encoder, answer)
        _write_answer(figure, answer)
        with atomic_write(out) as file:
            figure.savefig(file, format="png", dpi=110, facecolor=colour("page"))


def check(out: str | Path) -> None:
    """Check before any work whether the figure can be drawn. Raises LrfaceError as :func:`draw` does."""
    if Path(out).suffix.lower() != ".png":
        raise LrfaceError(f"--explain {out}: the picture is written as PNG, call it so")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise LrfaceError("--explain needs matplotlib: pip install 'lrface[benchmark]'") from error


def _draw_face(axes: list[Any], encoder: FaceEncoder, image: Image, cropped: CroppedFace) -> None:
    photo = image if isinstance(image, np.ndarray) else read_image(image, cropped.name)
    height, width = photo.shape[:2]
    step = max(1, max(height, width) // PHOTO_SIDE)
    left, middle, right = axes
    left.imshow(photo[::step, ::step], extent=(0, width, height, 0), interpolation="antialiased")
    left.set_xlim(0, width)
    left.set_ylim(height, 0)
    if cropped.face is not None:
        from matplotlib.patches import Rectangle

        x, y, x2, y2 = (float(value) for value in cropped.face.box)
        for shade, thickness in (("white", 3.2), (colour("c1"), 1.6)):
            left.add_patch(Rectangle((x, y), x2 - x, y2 - y, fill=False, edgecolor=shade, linewidth=thickness))
        left.plot(*cropped.face.landmarks.T, "o", color=colour("c1"), markersize=3.2, markeredgecolor="white", mew=0.7)
    quality = cropped.quality
    left.set_title(_short(cropped.name), fontsize=9.5)
    found = "taken as the face itself" if cropped.face is None else f"face of {quality.pixels:.0f} px"
    left.set_xlabel(f"{width} × {height} px, {found}")
    middle.imshow(resize(cropped.crop, TEMPLATE_SIZE), interpolation="nearest")
    middle.set_title("as it is" if cropped.face is None else f"aligned, {TEMPLATE_SIZE} px", fontsize=9.5)
    middle.set_xlabel(f"detail of {_pixels(quality.resolution)}")
    preprocessing = encoder.embedder.member(quality.resolution).preprocessing
    side = preprocessing.input_size
    right.imshow(preprocessing.fit(cropped.crop), interpolation="nearest")
    right.set_title(f"what the model saw, {side} px", fontsize=9.5)
    if quality.recognisability is not None:
        right.set_xlabel(f"recognisability {quality.recognisability:.2f}")
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.grid(False)
        axis.set_anchor("N")
        axis.xaxis.label.set_color(colour("quiet"))
        for spine in axis.spines.values():
            spine.set_visible(False)


def _draw_similarity(axis: Any, encoder: FaceEncoder, answer: Verification) -> None:
    """Draw the similarity among those of pairs with the same quality."""
    values = np.linspace(-1, 1, 801)
    axis.set_title("similarity, among pairs of faces as detailed as these")
    tops, low = [0.0], min(answer.similarity, answer.threshold)
    if encoder.calibration is not None and answer.resolutions is not None:
        for kind, name, shade in (
            ("different", "different people", colour("c7")), ("same", "the same person", colour("c2"))
        ):  # fmt: skip
            below, quantiles = encoder.calibration.quantiles(kind, *answer.resolutions)
            curve = density(below, quantiles, values)
            low = min(low, float(quantiles[0]))
            axis.fill_between(values, curve, color=shade, alpha=0.18, linewidth=0)
            axis.plot(values, curve, color=shade, linewidth=1.8, label=name)
            tops.append(float(curve.max()))
    else:
        told = "this model carries no distributions:\nit is not calibrated by quality"
        axis.text(0.02, 0.5, told, transform=axis.transAxes, va="center", color=colour("quiet"))
    top = max(tops) or 1.0
    promised = "given" if answer.far is None else f"false accepts {100 * answer.far:g} %"
    axis.axvline(answer.similarity, color=colour("c1"), linewidth=2.4, label=f"these two: {answer.similarity:.3f}")
    axis.axvline(
        answer.threshold, color=colour("quiet"), linestyle="--", linewidth=1.4,
        label=f"threshold: {answer.threshold:.3f} ({promised})",
    )  # fmt: skip
    axis.set_xlim(max(low - 0.1, -1.02), 1.02)
    axis.set_ylim(0, 1.45 * top)  # room for the legend
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("cosine similarity")
    axis.legend(
        loc="upper left", frameon=True, facecolor=colour("page"), edgecolor="none", framealpha=0.9, borderaxespad=0
    )


def density(below: np.ndarray, values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A smooth density from quantiles, float64 ``[n]`` at evenly spaced ``places``.

    Between the quantiles, a monotone cubic maps the quantiles of the standard normal distribution to the values. Beyond the
    last ones it is a line. A normal distribution is therefore reproduced exactly.

    Args:
        below: float64 ``[q]``, shares of pairs below each value, rising.
        values: float64 ``[q]``, similarities.
        places: float64 ``[n]``, similarities at which the density is computed.
    """
    from scipy.interpolate import PchipInterpolator

    normal = NormalDist()
    scores = np.array([normal.inv_cdf(float(share)) for share in below])
    fine = np.linspace(-3.6, 3.6, 2001)
    first, last = (
        (values[1] - values[0]) / (scores[1] - scores[0]),
        (values[-1] - values[-2]) / (scores[-1] - scores[-2]),
    )
    drawn = PchipInterpolator(scores, values)(np.clip(fine, scores[0], scores[-1]))
    drawn = drawn + first * np.minimum(fine - scores[0], 0) + last * np.maximum(fine - scores[-1], 0)
    weights = np.exp(-(fine**2) / 2)
    kernel = np.exp(-((places[:, None] - np.clip(drawn, -1, 1)[None]) ** 2) / (2 * SMOOTHING**2))
    curve: np.ndarray = kernel @ weights
    return curve / (curve.sum() * (places[1] - places[0]))


def _write_answer(figure: Any, answer: Verification) -> None:
    says = "The same person" if answer.same else "Not taken for the same person"
    figure.text(0.025, 0.935, says, fontsize=19, fontweight="bold", color=colour("c2" if answer.same else "c6"))
    told = f"similarity {answer.similarity:.3f}, {'above' if answer.same else 'not above'} the threshold {answer.threshold:.3f}"
    if answer.far is not None:
        told += f", which {100 * answer.far:g} % of such pairs of different people exceed"
    if answer.probability is not None:
        told += f"; probability of one person {100 * answer.probability:.1f} %, if it was even before"
    figure.text(0.025, 0.885, told, fontsize=11, color=colour("quiet"))
    lines = [f"warning: {text}" for text in answer.warnings] + [f"note: {text}" for text in answer.notes]
    text = "\n".join(fill(line, 200) for line in lines[:3])
    figure.text(0.025, 0.015, text, fontsize=9, color=colour("c6" if answer.warnings else "quiet"), va="bottom")


def _pixels(resolution: float) -> str:
    return f"{resolution:.0f} px" if resolution >= 10 else f"{resolution:.1f} px"


def _short(name: str, length: int = 34) -> str:
    name = Path(name).name
    return name if len(name) <= length else f"{name[: length - 1]}…"
