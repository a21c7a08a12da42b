"""Following four people who cross behind a pillar, against the truth.

    PYTHONPATH=tools python benchmarks/watch_tracks.py work --lfw lfw/images --pairs lfw/pairsDevTest.txt

Faces are in lanes so near to each other that they hide one another. Each clip is watched with ``--every`` 1 and 5, with and without
searching every frame whole. HOTA, IDF1, identity switches and fragments are computed by trackers (its metrics match TrackEval's).
Similarity is 1 minus the distance of centres in sides of the face, as the truth's boxes are those of aligned crops. Writes
benchmarks/results/watch_tracks.json and watch_tracks.md.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from make_clips import Actor, Look, lfw_people, make_clip, read_actor

from lrface.errors import LrfaceError
from lrface.files import atomic_write, read_json, write_json
from lrface.recognition.encoder import FaceEncoder
from lrface.version import code_version
from lrface.video.journal import read_frames
from lrface.video.options import SEARCH, WatchOptions
from lrface.video.sources import open_source
from lrface.video.tracking import Tracker
from lrface.video.watch import Watch
from lrface.video.writer import JOURNAL

RESULTS = Path(__file__).parent / "results"
PEOPLE, FRAMES = 4, 75

#: Minimum visible share of a face. Faces that are hidden more do not count.
SEEN = 0.5

#: Size of a clip in sides of the face: so flat that lanes overlap.
WIDTH, HEIGHT = 20, 6

SIZES, EVERY, SEARCHES = (16.0, 24.0), (1, 5), (0.0, SEARCH)


def film(work: Path, actors: list[Actor], side: float, number: int) -> Path:
    """A clip, made if it is not there yet."""
    clip = work / f"cross-{side:g}-{number}.mp4"
    chosen = actors[number * PEOPLE :][:PEOPLE]
    if not clip.with_suffix(".json").exists():
        size = (WIDTH * round(side), 2 * round(HEIGHT * side / 2))
        make_clip(clip, chosen, Look(side, FRAMES, pillar=True), number, size)
    return clip


def follow(
    clip: Path, encoder: FaceEncoder, options: WatchOptions
) -> tuple[list[tuple[int, list[tuple[int, np.ndarray]]]], Tracker, float]:
    """Watch a clip.

    Returns:
        Of each frame that is looked at its index, and the number and box of each track seen; the tracker afterwards; and the
        processor time in seconds.
    """
    watch = Watch(open_source(clip, print), encoder, None, options, print)
    worked = time.process_time()
    for _ in watch.run():
        pass
    worked = time.process_time() - worked
    tracker, places = watch.new_tracker(), []
    assert options.out is not None
    for index, at, looks, _ in read_frames(options.out / JOURNAL):
        tracker.update(at, looks)
        places.append((index, [(track.number, track.last.box) for track in tracker.tracks if track.end == at]))
    return places, tracker, worked


def compare(
    clip: Path, places: list[tuple[int, list[tuple[int, np.ndarray]]]], tracker: Tracker
) -> tuple[list[Any], list[Any], list[Any]]:
    """True numbers, tracks' numbers and similarities of each frame that was looked at."""
    truth = read_json(clip.with_suffix(".json"))
    boxes = np.array(truth["boxes"])
    people, tracks, similarities = [], [], []
    for index, seen in places:
        rows = boxes[(boxes[:, 0] == index) & (boxes[:, 6] >= SEEN)]
        centres = (rows[:, 2:4] + rows[:, 4:6]) / 2
        found = np.array([(box[:2] + box[2:]) / 2 for _, box in seen]).reshape(-1, 2)
        away = np.linalg.norm(centres[:, None] - found[None], axis=2) / truth["side"]
        people.append(rows[:, 1].astype(int))
        tracks.append(np.array([_final(tracker, number) for number, _ in seen], int))
        similarities.append(np.clip(1 - away, 0, 1))
    return people, tracks, similarities


def _final(tracker: Tracker, number: int) -> int:
    while number in tracker.joined:
        number = tracker.joined[number]
    return number


def measure(clips: list[Path], encoder: FaceEncoder, every: int, search: float) -> dict[str, Any]:
    """Figures over all clips."""
    from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

    joined: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    work, frames = 0.0, 0
    for number, clip in enumerate(clips):
        with TemporaryDirectory() as folder:
            options = WatchOptions(every=every, search=search, out=Path(folder), faces=False)
            places, tracker, took = follow(clip, encoder, options)
        work, frames = work + took, frames + len(places)
        parts = compare(clip, places, tracker)
        for whole, part, step in zip(
            joined, parts, (100, 1000, 0), strict=True
        ):  # one long sequence, numbers of their own
            whole.extend(each + step * number for each in part)
    clear, identity = compute_clear_metrics(*joined), compute_identity_metrics(*joined)
    hota = compute_hota_metrics(*joined)
    shares = ((hota, "HOTA"), (hota, "AssA"), (hota, "DetA"), (identity, "IDF1"))
    tracks = len(np.unique(np.concatenate(joined[1])))
    return {
        "every": every, "search": search, "clips": len(clips), "people": PEOPLE * len(clips), "tracks": tracks,
        "recall": float(clear["CLR_Re"]), **{name: float(np.mean(source[name])) for source, name in shares},
        "switches": int(clear["IDSW"]), "fragments": int(clear["Frag"]), "frames_a_second_of_work": frames / work,
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| faces | every | whole frame every | people | tracks | faces found % | HOTA | IDF1 | identity switches | fragments "
        "| frames a second of processor time |",
        "| --- " * 11 + "|",
    ]
    for row in rows:
        shares = [f"{100 * row[key]:.1f}" for key in ("recall", "HOTA", "IDF1")]
        counts = [str(row[key]) for key in ("switches", "fragments")] + [f"{row['frames_a_second_of_work']:.1f}"]
        start = [
            f"{row['side']:g} px",
            str(row["every"]),
            f"{row['search']:g} s" if row["search"] else "frame",
            str(row["people"]),
            str(row["tracks"]),
        ]
        lines.append("| " + " | ".join(start + shares + counts) + " |")
    return "\n".join(lines) + "\n"


@click.command()
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--lfw", required=True, type=click.Path(path_type=Path, exists=True), help="Folder of LFW's images.")
@click.option("--pairs", required=True, multiple=True, type=click.Path(path_type=Path, exists=True), help="Lists.")
@click.option("--clips", "count", default=10, show_default=True, type=click.IntRange(1), help="Of each size.")
def main(work: Path, lfw: Path, pairs: tuple[Path, ...], count: int) -> None:
    """Measure tracks on clips in WORK."""
    try:
        encoder = FaceEncoder.load(turn=False, threads=1)
        known = lfw_people(pairs)
        chosen = np.random.default_rng(1).permutation(len(known))[: count * PEOPLE]
        actors = [read_actor(lfw, known[place][0], known[place][1][:1]) for place in chosen]
        rows = []
        for side in SIZES:
            clips = [film(work, actors, side, number) for number in range(count)]
            rows += [{"side": side} | measure(clips, encoder, every, search) for every in EVERY for search in SEARCHES]
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    facts = {
        "frames": FRAMES, "detector": encoder.detector, "model": encoder.embedder.fingerprint, "code": code_version(),
    }  # fmt: skip
    write_json(RESULTS / "watch_tracks.json", facts | {"rows": rows})
    with atomic_write(RESULTS / "watch_tracks.md", "w") as file:
        file.write(table(rows))
    click.echo(table(rows))


if __name__ == "__main__":
    main()
