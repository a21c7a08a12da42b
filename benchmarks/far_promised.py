"""Compare the promised false accept rate with the measured one, for small and blurred faces of unseen people.

    python benchmarks/far_promised.py MODEL --store data/celeba_store \\
        --images data/lfw_mtcnn --pairs lfw/pairsDevTrain.txt --pairs lfw/pairsDevTest.txt

The people are split in two halves. The calibration is fitted on one half, as tools/calibrate.py does for a model's card, and
measured on the other; then the halves are exchanged, and the two rates are averaged. LR-LR compares faces of the same condition.
HR-LR compares sharp faces with faces of the condition. At random, a face is native, cut out of a photo, or enlarged before. Its
resolution is the estimate of lrface/faces/quality.py. The results go to benchmarks/results/far_promised.json and .md.

    python benchmarks/far_promised.py lrface --sharp dlib --holdout 300 --name far_promised_family --store data/joined_store ...

measures a family. In its HR-LR pairs the two faces are embedded by different members. ``--holdout`` is the number of identities of
the store that were held out when its members were trained.
"""

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from lrface.data.store import Store
from lrface.data.variants import Variant, draw_route
from lrface.errors import LrfaceError
from lrface.eval.quality_tables import FAMILY_KNOTS, KNOTS, QualitySamples, fit
from lrface.faces.calibration import Calibration
from lrface.files import atomic_write, write_json
from lrface.finetune.quality_samples import Source, held_out_source, listed_source, sample_qualities, sample_variants
from lrface.models.embedder import Embedder
from lrface.models.family import Family
from lrface.recognition.encoder import FaceEncoder
from lrface.train.recipe import DataSection
from lrface.version import code_version

RESULTS = Path(__file__).parent / "results"
RATES = (0.1, 0.01, 0.001)
SIDES = (8, 10, 12, 16, 24, None)
FAMILY_SIDES = (8, 12, 16, 20, 24, 32, 48, None)
BLURS = (0.0, 1.0)
KINDS = ("HR-LR", "LR-LR")
IMAGES_A_PERSON = 2
#: Side in pixels of the largest faces in the fit, for a model and for a family, as in tools/calibrate.py and tools/ship_family.py.
LARGEST = {False: 48, True: 112}


def split(source: Source, seed: int) -> tuple[Source, Source]:
    """Split the people of a source in two halves."""
    count = int(source.people.max()) + 1
    first = np.zeros(count, bool)
    first[np.random.default_rng(seed).permutation(count)[: count // 2]] = True
    return source.of_people(first), source.of_people(~first)


def chosen_images(source: Source, count: int, rng: np.random.Generator) -> np.ndarray:
    """Choose ``count`` images of as many people as possible. A second image of a person is used only if people run out."""
    order = rng.permutation(len(source.people))
    _, places = np.unique(source.people[order], return_index=True)
    first = order[np.sort(places)]
    others = np.setdiff1d(order, first)
    _, places = np.unique(source.people[others], return_index=True)
    return np.concatenate([rng.permutation(first), others[places]])[:count]


def measure(
    embedder: Embedder | Family, calibration: Calibration, sources: list[Source], faces: int, seed: int
) -> dict[tuple[str, str, float, str], dict[str, list[float]]]:
    """Measured false accept rates by source, side, blur and kind: with the calibration, and with one threshold for all."""
    rng = np.random.default_rng(seed)
    results = {}
    for source in sources:
        images = chosen_images(source, faces, rng)

        def cropped_face(
            side: int | None, blur: float, source: Source = source, images: np.ndarray = images
        ) -> QualitySamples:
            variants = [Variant(side, blur, draw_route(rng)) for _ in images]
            return sample_variants(embedder, [source], [images], [variants])

        sharp = cropped_face(None, 0.0)
        for side in FAMILY_SIDES if isinstance(embedder, Family) else SIDES:
            for blur in BLURS:
                seen = cropped_face(side, blur)
                for kind, others in zip(KINDS, (sharp, seen), strict=True):
                    key = (source.name, str(side or "native"), blur, kind)
                    results[key] = _rates(calibration, others, seen)
    return results


def _rates(calibration: Calibration, a: QualitySamples, b: QualitySamples) -> dict[str, list[float]]:
    other = a.people[:, None] != b.people[None]
    if a is b:
        other = np.triu(other, 1)
    rows, columns = np.nonzero(other)
    similarities = (a.embeddings @ b.embeddings.T)[rows, columns]
    top = float(calibration.knots[-1])
    by_quality, by_one = [], []
    for rate in RATES:
        thresholds = calibration.threshold(rate, a.resolutions[:, None], b.resolutions[None])
        by_quality.append(float(np.mean(similarities > thresholds[rows, columns])))
        by_one.append(float(np.mean(similarities > float(calibration.threshold(rate, top, top)))))
    return {"rates": by_quality, "one_threshold": by_one, "pairs": [float(len(rows))]}


def average(parts: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    """Mean of the rates, and sum of the pairs."""
    return {
        name: [float(value) for value in (np.sum if name == "pairs" else np.mean)([p[name] for p in parts], axis=0)]
        for name in parts[0]
    }


def run(embedder: Embedder | Family, sources: list[Source], faces: int, fitted: int) -> list[dict[str, Any]]:
    """Measure all conditions: one row per condition, for each source and for all sources together."""
    halves = [split(source, number) for number, source in enumerate(sources)]
    found: list[dict] = []
    for turn in (0, 1):
        ours, theirs = [half[turn] for half in halves], [half[1 - turn] for half in halves]
        family = isinstance(embedder, Family)
        samples = sample_qualities(embedder, ours, fitted, turn, LARGEST[family])
        calibration = fit(samples, knots=FAMILY_KNOTS if family else KNOTS)
        click.echo(f"half {turn + 1}: fitted")
        found.append(measure(embedder, calibration, theirs, faces, turn))
    keys = list(found[0])
    rows = {key: average([part[key] for part in found]) for key in keys}
    for _, side, blur, kind in keys[: len(keys) // len(sources)]:
        rows["all", side, blur, kind] = average([rows[source.name, side, blur, kind] for source in sources])
    names = ("source", "side", "blur", "kind")
    return [dict(zip(names, key, strict=True)) | values for key, values in rows.items()]


def report(rows: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    """The report as Markdown: measured rates divided by the promised ones."""
    lines = [
        "# The false accept rate promised, and the one that came",
        "",
        f"Model {facts['model']}; fitted on one half of the people, measured on the other, in turns. Entries are measured rate :",
        "promised rate at 1e-1, 1e-2 and 1e-3; 1 is right, the goal is 0.5 to 2. Blurred: by a Gaussian whose standard",
        "deviation is a pixel of the face, of a face of 24 pixels where it has more. *One threshold*: that of two sharp faces for",
        "all, as other toolkits have it. *All*: every source counts the same, as in the calibration.",
        "",
    ]
    for source in dict.fromkeys(row["source"] for row in reversed(rows)):
        lines += [f"## {source}", ""]
        lines.append("| face | pairs | HR-LR | LR-LR | one threshold, HR-LR | one threshold, LR-LR |")
        lines.append("|---|---|---|---|---|---|")
        chosen = {(r["side"], r["blur"], r["kind"]): r for r in rows if r["source"] == source}
        for side, blur, _ in (key for key in chosen if key[2] == KINDS[0]):
            cells = [
                " / ".join(f"{rate / promised:.2f}" for rate, promised in zip(values, RATES, strict=True))
                for name in ("rates", "one_threshold")
                for values in (chosen[side, blur, kind][name] for kind in KINDS)
            ]
            what = f"{side if side == 'native' else side + ' px'}, {'blurred' if blur else 'sharp'}"
            pairs = " / ".join(f"{chosen[side, blur, kind]['pairs'][0]:,.0f}" for kind in KINDS)
            lines.append(f"| {what} | {pairs} | " + " | ".join(cells) + " |")
        for name, title in (("rates", "by quality"), ("one_threshold", "one threshold")):
            ratios = np.array([row[name] for row in chosen.values()]) / RATES
            inside = np.mean((ratios >= 0.5) & (ratios <= 2))
            lines.append("")
            lines.append(
                f"{title}: {inside:.0%} of the entries within a factor of two, {ratios.min():.2f} to {ratios.max():.2f}."
            )
        lines.append("")
    return "\n".join(lines)


@click.command()
@click.argument("model")
@click.option("--sharp", multiple=True, help="The teachers of a family, in its order; repeatable.")
@click.option("--store", type=click.Path(), default=None, help="The store that the model was trained on.")
@click.option("--holdout", type=int, default=None, help="Identities that were held out of it, for a family.")
@click.option("--images", type=click.Path(), default=None, help="Another store, of the images that the pairs name.")
@click.option("--pairs", type=click.Path(), multiple=True, help="Lists of pairs in LFW's format, View 1's; repeatable.")
@click.option("--faces", default=400, show_default=True, help="Faces of each source and half that are measured on.")
@click.option("--fitted", default=12000, show_default=True, help="Embeddings of each source and half to fit on.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
@click.option("--name", default="far_promised", show_default=True, help="Of the files that are written.")
def main(
    model: str, sharp: tuple[str, ...], store: str | None, holdout: int | None, images: str | None, pairs: tuple[str, ...],
    faces: int, fitted: int, out: Path, name: str,
) -> None:  # fmt: skip
    """Measure MODEL, a file or the name of a shipped model or family."""
    try:
        embedder = FaceEncoder.load(model, "none", threads=1, sharp=sharp).embedder
        sources = [_held_out(Store(store), holdout, embedder)] if store else []
        sources += [listed_source(images, pairs)] if images else []
        if not sources:
            raise LrfaceError("name faces: --store, or --images and --pairs")
        rows = run(embedder, sources, faces, fitted)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    facts = {
        "model": embedder.card.get("name") or Path(model).stem, "sharp": [Path(file).stem for file in sharp],
        "fingerprint": embedder.fingerprint, "code": code_version(),
        "sources": [{"name": source.name, **source.facts} for source in sources], "faces": faces, "fitted": fitted,
        "promised": RATES,
    }  # fmt: skip
    write_json(out / f"{name}.json", {**facts, "rows": rows})
    with atomic_write(out / f"{name}.md", "w") as file:
        file.write(report(rows, facts))
    click.echo(report(rows, facts))


def _held_out(store: Store, holdout: int | None, embedder: Embedder | Family) -> Source:
    """The held-out faces. ``holdout`` is the number of held-out identities; None: as in the model's card."""
    if holdout is None:
        return held_out_source(store, embedder.card)
    section = DataSection(store=str(store.path), holdout_identities=holdout).model_dump()
    return held_out_source(store, {"recipe": {"data": section}, "data": {"fingerprint": store.fingerprint}})


if __name__ == "__main__":
    main()
