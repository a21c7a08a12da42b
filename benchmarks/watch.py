"""What many looks at one person are worth: templates of 1 to 32 frames of a clip against a photo, another clip, and a gallery.

    PYTHONPATH=tools python benchmarks/watch_film.py work/test-16 --lfw lfw/images --pairs lfw/pairsDevTest.txt --side 16
    PYTHONPATH=tools python benchmarks/watch_film.py work/other-16 --lfw lfw/images --pairs lfw/pairsDevTest.txt --side 16 \\
        --photo 1 --seed 1000
    PYTHONPATH=tools python benchmarks/watch_film.py work/train-16 --lfw lfw/images --pairs lfw/pairsDevTrain.txt --side 16
    PYTHONPATH=tools python benchmarks/watch.py work --lfw lfw/images --pairs lfw/pairsDevTest.txt --store data/lfw_mtcnn

``test-SIDE`` shows the first photo of each person, ``other-SIDE`` the second one, the sharp photo. ``train-SIDE`` shows
other people, who are strangers to the gallery. ``several-SIDE``, where it is there, shows three photos of each person one after
another, and one more is the sharp photo. Looks are given to people by the truth. Writes benchmarks/results/watch.json and
watch.md. The films need the same ``--model`` and ``--sharp``.
"""

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from make_clips import LFW_FACE, lfw_people, read_actor
from watch_film import RECORD, read_film
from watch_rules import COUNTS, FEWEST, RULES, Photos, draw_templates, identify, verify

from lrface.data.sets.pair_set import from_store
from lrface.errors import LrfaceError
from lrface.faces.quality import assess
from lrface.files import atomic_write, read_json, write_json
from lrface.recognition.encoder import FaceEncoder, ImageError
from lrface.version import code_version

RESULTS = Path(__file__).parent / "results"
GALLERY = 1000


def sharp_photos(encoder: FaceEncoder, lfw: Path, pairs: tuple[Path, ...], names: list[str], which: int) -> Photos:
    """The sharp photo of each person, found and embedded as a user's; without those in which no face is found."""
    known = dict(lfw_people(pairs, which + 1))
    rows, details, kept = [], [], []
    for name in names:
        try:
            found = encoder.cropped_face(read_actor(lfw, name, [known[name][which]]).photos[0])
        except ImageError as error:
            click.echo(f"left out: {name}: {error}", err=True)
            continue
        rows.append(encoder.embed_crops([found.crop], resolutions=[found.quality.resolution])[0])
        details.append(found.quality.resolution)
        kept.append(name)
    return Photos(np.stack(rows).astype(np.float64), np.array(details), kept)


def fillers(encoder: FaceEncoder, store: Path, pairs: tuple[Path, ...], others: set[str], count: int) -> Photos:
    """Aligned faces of people who are not filmed, one each."""
    listed = from_store(store, pairs)
    first: dict[str, int] = {}
    for place, name in enumerate(listed.names):
        first.setdefault(Path(name).parent.name, place)
    names = sorted(set(first) - others)[:count]
    crops = [listed.images[first[name]] for name in names]
    details = [assess(crop).resolution for crop in crops]
    return Photos(encoder.embed_crops(crops, resolutions=details).astype(np.float64), np.array(details), names)


def cached(path: Path, make: Any) -> Photos:
    """Photos that were embedded before, or are now."""
    if not path.exists():
        photos = make()
        with atomic_write(path) as file:
            np.savez(file, rows=photos.rows, details=photos.details, names=np.array(photos.names))
    with np.load(path) as found:
        return Photos(found["rows"], found["details"], found["names"].tolist())


def measure_side(work: Path, side: str, photos: Photos, filler: Photos, encoder: FaceEncoder) -> dict[str, Any]:
    """All figures of one size."""
    films, there = read_film(work / f"test-{side}")
    found = sum(map(len, films.values())) / there
    films = {name: looks for name, looks in films.items() if name in photos.names and len(looks) >= FEWEST}
    rows: list[dict[str, Any]] = []
    against = photos.of(list(films))
    for rule in RULES:
        for count in COUNTS:
            drawn = draw_templates(films, count, rule)
            rows.append({"against": "photo", "rule": rule, "frames": count} | verify(drawn, against, encoder))
    other_film = work / f"other-{side}"
    if (other_film / RECORD).exists():
        others = {name: looks for name, looks in read_film(other_film)[0].items() if len(looks) >= FEWEST}
        both = [name for name in films if name in others]
        left, right = ({name: film[name] for name in both} for film in (films, others))
        for rule in RULES:
            for count in COUNTS:
                target = draw_templates(right, count, rule)[0]
                figures = verify(draw_templates(left, count, rule), target, encoder)
                rows.append({"against": "clip", "rule": rule, "frames": count} | figures)
    facts = {
        "people": len(films),
        "looks": float(np.mean([min(len(looks), COUNTS[-1]) for looks in films.values()])),
        "found": found,
        "detail": float(np.median([x.detail for f in films.values() for x in f])),
    }
    result: dict[str, Any] = facts | {"verify": rows}
    if (work / f"train-{side}" / RECORD).exists():
        strangers = read_film(work / f"train-{side}")[0]
        result["identify"] = identify(films, strangers, against.joined(filler), encoder)
    return result


def tables(results: dict[str, Any], facts: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"{facts['gallery']:,} people in the gallery; model {facts['model_name']}, detector {facts['detector']}; "
        f"commit {facts['code']['commit']}.",
        "", "Who was seen in fewer frames than a template asks for is there with all of them.",
        "",
        "| faces | people | against | rule | " + " | ".join(f"{count} frames" for count in COUNTS) + " |",
        "| --- " * (4 + len(COUNTS)) + "|",
    ]  # fmt: skip
    for side, found in results.items():
        for against in dict.fromkeys(row["against"] for row in found["verify"]):
            for rule in RULES:
                chosen = [row for row in found["verify"] if (row["against"], row["rule"]) == (against, rule)]
                cells = [f"{100 * row['accuracy']:.1f} ({100 * row['tar']:.1f})" for row in chosen]
                lines.append(f"| {side} | {chosen[0]['people']} | {against} | {rule} | " + " | ".join(cells) + " |")
    lines += ["", "Accuracy in %, in brackets TAR in % at FAR 1e-3.", ""]
    lines += [
        "| faces | frames | strangers accepted for each promised one, photo: FAR 1e-2 | 1e-3 | "
        "the same by thresholds of single faces: 1e-2 | 1e-3 | right ones accepted % at 1e-3 |",
        "| --- " * 7 + "|",
    ]
    for side, found in results.items():
        for row in found["verify"]:
            if (row["against"], row["rule"]) == ("photo", "weighted mean"):
                cells = [f"{row[key][far]:.2f}" for key in ("false", "false_single") for far in ("0.01", "0.001")]
                lines.append(f"| {side} | {row['frames']} | " + " | ".join(cells) + f" | {100 * row['named']:.1f} |")
    lines += [
        "",
        "| faces | rule | frames | rank 1 % | TPIR % at FPIR 0.01 | at 0.1 | looks at strangers |",
        "| --- " * 7 + "|",
    ]
    for side, found in results.items():
        for row in found.get("identify", []):
            shares = [f"{100 * row[key]:.1f}" for key in ("rank1", "tpir_0.01", "tpir_0.1")]
            cells = [side, row["rule"], f"{row['frames']}", *shares, f"{row['strangers']}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--lfw", required=True, type=click.Path(path_type=Path, exists=True), help="Folder of LFW's images.")
@click.option("--pairs", required=True, multiple=True, type=click.Path(path_type=Path, exists=True), help="Lists.")
@click.option(
    "--store", required=True, type=click.Path(path_type=Path, exists=True), help="Aligned faces of the lists."
)
@click.option("--train", type=click.Path(path_type=Path, exists=True), default=None, help="List of several-SIDE, too.")
@click.option("--model", default=None, help="As for lrface watch.")
@click.option("--sharp", multiple=True, help="As for lrface watch.")
@click.option("--name", default="watch", show_default=True, help="Of the files that are written.")
def main(
    work: Path, lfw: Path, pairs: tuple[Path, ...], store: Path, train: Path | None, model: str | None,
    sharp: tuple[str, ...], name: str,
) -> None:  # fmt: skip
    """Measure templates on the films in WORK."""
    try:
        encoder = FaceEncoder.load(model, turn=False, threads=1, sharp=sharp)
        sides = sorted((path.name.split("-")[1] for path in work.glob("test-*")), key=float)
        filmed = sorted({name for side in sides for name in read_film(work / f"test-{side}")[0]})
        photos = cached(work / "sharp.npz", lambda: sharp_photos(encoder, lfw, pairs, filmed, 1))
        filler = cached(
            work / "filler.npz", lambda: fillers(encoder, store, pairs, set(filmed), GALLERY - len(photos.names))
        )
        results = {f"{side} px": measure_side(work, side, photos, filler, encoder) for side in sides}
        for film in work.glob("several-*"):
            films, there = read_film(film)
            lists = (*pairs, *([train] if train else []))
            several = cached(
                work / "several.npz",
                lambda films=films, lists=lists: sharp_photos(encoder, lfw, lists, sorted(films), 0),
            )
            kept = {name: looks for name, looks in films.items() if name in several.names and len(looks) >= FEWEST}
            rows = [
                {"against": "photo", "rule": rule, "frames": count}
                | verify(draw_templates(kept, count, rule), several.of(list(kept)), encoder)
                for rule in RULES
                for count in COUNTS
            ]
            label = f"{film.name.split('-')[1]} px, three photos a person"
            results[label] = {"people": len(kept), "found": sum(map(len, films.values())) / there, "verify": rows}
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    facts = {
        "gallery": len(photos.names) + len(filler.names), "model": encoder.embedder.fingerprint, "face": LFW_FACE,
        "model_name": " + ".join([str(encoder.embedder.card.get("name")), *(Path(name).stem for name in sharp)]),
        "detector": encoder.detector,
        "code": code_version(),
        "film": read_json(work / f"test-{sides[0]}" / RECORD) | {"side": [float(side) for side in sides]},
    }  # fmt: skip
    write_json(RESULTS / f"{name}.json", facts | {"results": results})
    with atomic_write(RESULTS / f"{name}.md", "w") as file:
        file.write(tables(results, facts))


if __name__ == "__main__":
    main()
