"""Plots: ROC, CMC, accuracy against resolution, similarity histograms, embeddings in the plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrface.reporting.style import Canvas, colour, marker, series

#: Label, similarities, and whether each pair shows one person.
Scores = tuple[str, np.ndarray, np.ndarray]


def roc(canvas: Canvas, panels: Sequence[tuple[str, Sequence[Scores]]], numbers: dict[str, int]) -> Any:
    """Plot the true accept rate against the false accept rate on a logarithmic axis, one panel per condition.

    Args:
        canvas: from :func:`lrface.reporting.style.drawing`.
        panels: title and curves of each panel.
        numbers: label -> number of its colour, the same in all figures.
    """
    figure, axes = canvas.subplots(1, len(panels), figsize=(4.6 * len(panels) + 0.4, 4.2), squeeze=False, sharey=True)
    for axis, (title, curves) in zip(axes[0], panels, strict=True):
        lowest = 1.0
        for label, scores, same in curves:
            rates, accepted = roc_points(scores, same)
            lowest = min(lowest, 1 / max(1, np.sum(~same)))
            axis.step(rates, 100 * accepted, where="post", label=label, **series(numbers[label]))
        axis.set(title=title, xscale="log", xlim=(lowest, 1), ylim=(0, 100.5), xlabel="False accept rate")
        chance = np.geomspace(lowest, 1, 100)
        axis.plot(chance, 100 * chance, color=colour("quiet"), linewidth=0.9, linestyle=(0, (1, 3)))
    axes[0][0].set_ylabel("True accept rate, %")
    _legend(figure, axes[0][0])
    return figure


def roc_points(scores: np.ndarray, same: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true accept rates at all thresholds between two scores, beginning with the strictest; float64 ``[n]`` each."""
    order = np.argsort(-scores, kind="stable")
    ordered, truth = scores[order], same[order]
    last = np.r_[np.flatnonzero(np.diff(ordered)), len(ordered) - 1]  # tied scores fall below a threshold together
    accepted = np.cumsum(truth)[last] / max(1, truth.sum())
    rates = np.cumsum(~truth)[last] / max(1, (~truth).sum())
    return np.r_[0.0, rates], np.r_[0.0, accepted]


#: Ranks with a label on the axis of a CMC curve.
RANKS = (1, 5, 10, 20, 50)


def cmc(canvas: Canvas, panels: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]], numbers: dict[str, int]) -> Any:
    """Plot the share of probes with a mate among the first ranks, one panel per gallery.

    Args:
        canvas, numbers: see :func:`roc`.
        panels: title, and for each curve the label and the shares at the ranks 1, 2, ...
    """
    figure, axes = canvas.subplots(1, len(panels), figsize=(4.6 * len(panels) + 0.4, 4.0), squeeze=False, sharey=True)
    for axis, (title, curves) in zip(axes[0], panels, strict=True):
        for label, shares in curves:
            number = numbers[label]
            named = [rank - 1 for rank in RANKS if rank <= len(shares)]
            ranks = np.arange(1, len(shares) + 1)
            axis.plot(
                ranks, 100 * shares, marker=marker(number), markevery=named, markersize=5, label=label, **series(number)
            )
        axis.set(title=title, xscale="log", xlabel="Rank")
        axis.set_xticks(RANKS, [str(rank) for rank in RANKS])
        axis.minorticks_off()
    axes[0][0].set_ylabel("Probes found, %")
    _legend(figure, axes[0][0])
    return figure


#: Smallest FPIR in the plot of an open set.
LOWEST_FPIR = 0.01


def open_set(
    canvas: Canvas, title: str, curves: Sequence[tuple[str, np.ndarray, np.ndarray]], numbers: dict[str, int]
) -> Any:
    """Plot the identification rate of people in the gallery against the rate of false alarms, on a logarithmic axis.

    Args:
        canvas, numbers: see :func:`roc`.
        title: of the figure.
        curves: label, FPIR, TPIR.
    """
    figure, axis = canvas.subplots(figsize=(5.4, 4.2))
    for label, fpir, tpir in curves:
        axis.step(fpir, 100 * tpir, where="post", label=label, **series(numbers[label]))
    # Tables start at 1 %. Lower rates would take a third of the width, and almost nobody is found there.
    axis.set(title=title, xscale="log", xlabel="False positive identification rate", xlim=(LOWEST_FPIR, 1.02))
    axis.set_xticks([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1], ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"])
    axis.minorticks_off()
    axis.set_ylabel("True positive identification\nrate at rank 20, %")
    axis.set_ylim(bottom=0)
    _legend(figure, axis)
    return figure


def resolution(
    canvas: Canvas, panels: Sequence[tuple[str, Sequence[tuple[str, dict[int, tuple[float, float]]]]]],
    numbers: dict[str, int], reference: tuple[str, int, float] | None = None,
) -> Any:  # fmt: skip
    """Plot the accuracy, with its standard deviation over the folds, against the side of the reduced face.

    Args:
        canvas, numbers: see :func:`roc`.
        panels: title, and for each curve the label and side -> (accuracy, std).
        reference: a published point for the first panel: label, side, accuracy.
    """
    width = 6.2 if len(panels) > 1 else 7.6
    figure, axes = canvas.subplots(1, len(panels), figsize=(width * len(panels), 4.6), squeeze=False, sharey=True)
    for axis, (title, curves) in zip(axes[0], panels, strict=True):
        for label, points in curves:
            _band(axis, label, points, numbers[label])
        every = sorted({side for _, points in curves for side in points})
        axis.set(title=title, xscale="log", xlabel="Side of the face, pixels")
        axis.set_xticks(every, [str(side) for side in every])
        axis.minorticks_off()
    first = axes[0][0]
    if reference:
        name, side, value = reference
        first.plot([side], [100 * value], marker="*", markersize=13, color=colour("ink"), linestyle="none", label=name)
    first.set_ylim(top=min(first.get_ylim()[1], 101))
    first.set_ylabel("Accuracy, %")
    _legend(figure, first)
    return figure


def _band(axis: Any, label: str, points: dict[int, tuple[float, float]], number: int) -> None:
    """Draw a curve with a band of its standard deviation."""
    sides = sorted(points)
    middle = np.array([100 * points[side][0] for side in sides])
    spread = np.array([100 * points[side][1] for side in sides])
    style = series(number)
    axis.fill_between(sides, middle - spread, middle + spread, color=style["color"], alpha=0.1, linewidth=0)
    axis.plot(sides, middle, marker=marker(number), markersize=5, label=label, **style)


def histograms(canvas: Canvas, panels: Sequence[tuple[str, np.ndarray, np.ndarray, float, float]]) -> Any:
    """Plot the similarities of positive and negative pairs (the paper's Fig. 5), one panel per model.

    Args:
        canvas: see :func:`roc`.
        panels: label, similarities, flags, expectation margin, histogram intersection.
    """
    from matplotlib.ticker import MaxNLocator

    figure, grid = _grid(canvas, len(panels), (4.1, 2.8))
    for axis, (label, scores, same, margin, intersection) in zip(grid, panels, strict=False):
        low, high = scores.min(), scores.max()
        bins = np.linspace(low, high, 49)  # finer than for the intersection, for models whose pairs are all similar
        for chosen, name, shade in ((~same, "negative pairs", "c1"), (same, "positive pairs", "c0")):
            values = scores[chosen]
            weights = np.full(len(values), 100 / max(1, len(values)))
            axis.hist(values, bins, weights=weights, color=colour(shade), alpha=0.35, label=name)
            axis.hist(values, bins, weights=weights, histtype="step", color=colour(shade), linewidth=1.4)
            axis.axvline(values.mean(), color=colour(shade), linewidth=1, linestyle="--")
        axis.xaxis.set_major_locator(MaxNLocator(6))
        axis.set_title(label, pad=19)
        text = f"expectation margin {margin:.3f}, intersection {intersection:.3f}"
        axis.text(0, 1.03, text, transform=axis.transAxes, fontsize=8.3, color=colour("quiet"))
    _outer(grid, len(panels), "Cosine similarity", "Share of pairs, %")
    _legend(figure, grid[0])
    return figure


def embeddings(canvas: Canvas, panels: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> Any:
    """Plot embeddings in the plane by t-SNE (the paper's Fig. 4), one panel per model; each person has a colour and a marker."""
    figure, grid = _grid(canvas, len(panels), (4.1, 3.7))
    for axis, (label, places, people) in zip(grid, panels, strict=False):
        for person in np.unique(people):
            chosen = places[people == person]
            shade = series(int(person))["color"]
            axis.scatter(*chosen.T, s=22, marker=marker(int(person)), color=shade, alpha=0.85, linewidth=0)
        axis.set(title=label, xticks=[], yticks=[])
        axis.set_aspect("equal", "datalim")
        for spine in axis.spines.values():
            spine.set_visible(True)
            spine.set_edgecolor(colour("rule"))
    return figure


def _grid(canvas: Canvas, count: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    """Make ``count`` panels, at most three per row; unused ones are hidden."""
    columns = min(3, count)
    rows = -(-count // columns)
    figure, axes = canvas.subplots(rows, columns, figsize=(size[0] * columns, size[1] * rows + 0.4), squeeze=False)
    flat = list(axes.ravel())
    for axis in flat[count:]:
        axis.set_visible(False)
    return figure, flat


def _outer(grid: list[Any], count: int, x: str, y: str) -> None:
    """Axis labels only at the lower and left edge of a grid."""
    columns = min(3, count)
    for number, axis in enumerate(grid[:count]):
        if number % columns == 0:
            axis.set_ylabel(y)
        if number + columns >= count:
            axis.set_xlabel(x)


def _legend(figure: Any, axis: Any) -> None:
    """Draw the legend below the figure, where it covers nothing."""
    handles, labels = axis.get_legend_handles_labels()
    columns = max(1, min(len(labels), 3 if max(map(len, labels), default=0) < 34 else 2))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
