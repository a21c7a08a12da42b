"""The figures of a report, drawn from the ledger."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.reporting.ledger import Ledger
from lrface.reporting.style import Canvas, drawing, save_figure, slug
from lrface.suite import plots
from lrface.suite.ablations import Ablation
from lrface.suite.options import Options
from lrface.suite.published import read_published
from lrface.suite.table_parts import data_name, input_name, is_view_2, of, swept

Row = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """One figure: its kind, the name of its files, the SVG for the page, and its caption."""

    kind: str
    name: str
    svg: str
    caption: str


def draw_figures(
    options: Options, rows: list[Row], ledger: Ledger, folder: Path, sweeps: Sequence[Ablation] = ()
) -> list[Figure]:
    """Draw all figures for which there are rows, and the curve of each of the ``sweeps``; write the files to ``folder``."""
    done = [row for row in rows if row["status"] == "done"]
    labels = list(dict.fromkeys(row["model"] for row in done))
    studio = _Studio(options, done, ledger, {label: number for number, label in enumerate(labels)})
    figures = []
    with drawing() as canvas:
        for kind, name, draw, caption in [*studio.plan(), *_curves(sweeps)]:
            figures.append(Figure(kind, name, save_figure(draw(canvas), folder, name), caption))
    return figures


Planned = tuple[str, str, Callable[[Canvas], Any], str]


def _curves(sweeps: Sequence[Ablation]) -> list[Planned]:
    return [
        ("ablation", slug(sweep.table.name), sweep.draw, f"{sweep.table.title}: bars are the spread over seeds.")
        for sweep in sweeps
        if sweep.draw
    ]


class _Studio:
    def __init__(self, options: Options, rows: list[Row], ledger: Ledger, numbers: dict[str, int]) -> None:
        self._options, self._rows, self._ledger, self._numbers = options, rows, ledger, numbers

    def plan(self) -> list[Planned]:
        """Kind, name, drawing function and caption of each figure."""
        planned: list[Planned] = []
        for name in dict.fromkeys(row["set"] for row in of(self._rows, "verification")):
            planned += self._roc(name)
        planned += self._resolution() + self._end_to_end()
        return planned + self._histograms() + self._tsne() + self._cmc() + self._open_set()

    def _main(self, name: str, mode: str) -> list[Row]:
        """The rows of the main tables: at the chosen low resolution, or at full resolution."""
        rows = [row for row in of(self._rows, "verification", name) if row["mode"] == mode]
        return rows if mode == "hr-hr" else [row for row in rows if row["side"] == self._options.side]

    def _roc(self, name: str) -> list[Planned]:
        panels = []
        for mode in ("lr-lr", "hr-lr", "hr-hr"):
            rows = self._main(name, mode)
            if rows:
                curves = [(row["model"], *self._scores(row)) for row in rows]
                panels.append((f"{mode.upper()}, {input_name(rows[0])}", curves))
        title = data_name(of(self._rows, "verification", name)[0])
        caption = (
            f"{title}: true accept rate against false accept rate, as far down as the pairs allow; dotted: chance."
        )
        return [("roc", f"roc_{name}", lambda canvas: plots.roc(canvas, panels, self._numbers), caption)]

    def _scores(self, row: Row) -> tuple[np.ndarray, np.ndarray]:
        arrays = self._ledger.arrays(row["key"])
        return arrays["similarities"], arrays["same"]

    def _resolution(self) -> list[Planned]:
        panels = []
        for mode, title in (("lr-lr", "LR-LR: both images reduced"), ("hr-lr", "HR-LR: one of the two reduced")):
            found = swept(self._rows, mode)
            if found:
                panels.append((title, [(model, _points(rows)) for model, rows in found.items()]))
        if not panels:
            return []
        rows = of(self._rows, "verification", "lfw")
        caption = (
            f"{data_name(rows[0])}: accuracy against the side to which faces are reduced and, for networks that take more, "
            "enlarged again. Bands: standard deviation over the ten folds."
        )
        reference = self._paper() if all(map(is_view_2, rows)) else None
        return [
            (
                "resolution",
                "resolution_lfw",
                lambda canvas: plots.resolution(canvas, panels, self._numbers, reference),
                caption,
            )
        ]

    def _end_to_end(self) -> list[Planned]:
        """Plan the figure of the end-to-end rows, beside the usual protocol at the same sides."""
        rows = sorted(of(self._rows, "end-to-end"), key=lambda row: int(row["side"]))
        if not rows:
            return []
        models, sides = list(dict.fromkeys(row["model"] for row in rows)), {row["side"] for row in rows}
        aligned = [
            row for row in sorted(of(self._rows, "verification", "lfw"), key=lambda row: int(row["side"]))
            if row["mode"] == "lr-lr" and row["side"] in sides
        ]  # fmt: skip
        panels = [
            (title, [(model, _points([row for row in each if row["model"] == model])) for model in models])
            for title, each in (("End to end: found, aligned, embedded", rows), ("By protocol: aligned before reducing", aligned))
            if each
        ]  # fmt: skip
        caption = (
            f"{data_name(rows[0])}: accuracy against the side of the ArcFace crop in the photo. Bands: standard deviation over "
            "the ten folds."
        )
        return [
            ("end-to-end", "end_to_end_lfw", lambda canvas: plots.resolution(canvas, panels, self._numbers), caption)
        ]

    def _paper(self) -> tuple[str, int, float] | None:
        """The paper's published point, for the curves of LR-LR."""
        published = read_published(self._options.published, "lfw_verification", percent=True)
        best = [row for row in published if row.model == "CRRCD" and row.resolution == "16x16"]
        return ("CRRCD (paper)", 16, best[0].values["accuracy"]) if best else None

    def _histograms(self) -> list[Planned]:
        rows = self._main("lfw", "lr-lr")
        if not rows:
            return []
        panels = [
            (row["model"], *self._scores(row), row["metrics"]["expectation_margin"],
             row["metrics"]["histogram_intersection"])
            for row in rows
        ]  # fmt: skip
        caption = (
            f"{data_name(rows[0])} at {input_name(rows[0])}: cosine similarities of positive and negative pairs, their means "
            "dashed. A wide expectation margin and a small intersection are better."
        )
        return [("histograms", "histograms_lfw", lambda canvas: plots.histograms(canvas, panels), caption)]

    def _tsne(self) -> list[Planned]:
        rows = of(self._rows, "tsne")
        if not rows:
            return []
        panels = []
        for row in rows:
            arrays = self._ledger.arrays(row["key"])
            panels.append((row["model"], arrays["places"], arrays["labels"]))
        metrics = rows[0]["metrics"]
        caption = (
            f"Embeddings of {metrics['images']} faces of {metrics['people']} people ({data_name(rows[0])}, "
            f"{input_name(rows[0])}) by t-SNE, a colour and marker for each person; seeded, perplexity {metrics['perplexity']:.0f}."
        )
        return [("tsne", "tsne", lambda canvas: plots.embeddings(canvas, panels), caption)]

    def _cmc(self) -> list[Planned]:
        panels = []
        for distractors in (True, False):
            rows = [row for row in of(self._rows, "retrieval") if row["distractors"] == distractors]
            if rows:
                title = f"{data_name(rows[0])}, {'with' if distractors else 'without'} distractors"
                panels.append((title, [(_learned(row), self._ledger.arrays(row["key"])["curve"]) for row in rows]))
        if not panels:
            return []
        labels = dict.fromkeys(label for _, curves in panels for label, _ in curves)
        numbers = {label: number for number, label in enumerate(labels)}
        caption = "Share of probes whose person is among the first ranks of the gallery."
        return [("cmc", "cmc", lambda canvas: plots.cmc(canvas, panels, numbers), caption)]

    def _open_set(self) -> list[Planned]:
        rows = of(self._rows, "open-set")
        if not rows:
            return []
        curves = []
        for row in rows:
            arrays = self._ledger.arrays(row["key"])
            curves.append((row["model"], arrays["fpir"], arrays["tpir"]))
        title = data_name(rows[0])
        caption = (
            f"{title}: people of the gallery who are found within rank 20, against alarms for people who are not in it."
        )
        return [("open-set", "open_set", lambda canvas: plots.open_set(canvas, title, curves, self._numbers), caption)]


def _points(rows: list[Row]) -> dict[int, tuple[float, float]]:
    """Side -> accuracy and its standard deviation over the folds."""
    return {row["side"]: (row["metrics"]["accuracy"], row["metrics"]["std"]) for row in rows}


def _learned(row: Row) -> str:
    """The name of a model, with the part of it that was finetuned."""
    return f"{row['model']}, {row['finetuned']}" if row["finetuned"] else str(row["model"])
