"""Measure the tracking of four people who cross behind a pillar, and the speed of a watch.

    python benchmarks/watch_tracks.py work --lfw lfw/images --pairs lfw/pairsDevTest.txt

The faces walk in lanes that are so close that they hide one another. HOTA, IDF1 and identity switches are computed by the package
trackers, whose metrics match those of TrackEval. The similarity is 1 minus the distance of the centres in sides of the face,
because the truth's boxes are those of aligned crops. The results go to benchmarks/results/watch_tracks.json.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from make_clips import Actor, Look, lfw_actors, make_clip

from lrface.errors import LrfaceError
from lrface.files import write_json
from lrface.recognition.encoder import FaceEncoder
from lrface.version import code_version
from lrface.video.options import WatchOptions
from lrface.video.sources import open_source
from lrface.video.watch import Watch

RESULTS = Path(__file__).parent / "results"
CLIPS, PEOPLE, FRAMES = 10, 4, 75

#: Minimum visible share of a face. Faces that are hidden more do not count.
SEEN = 0.5


class Recorded(Watch):
    """A watch that records the positions of its tracks.

    Attributes:
        places: of each processed frame: its index, and number and box of each track in it.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.places: list[tuple[int, list[tuple[int, np.ndarray]]]] = []

    def _take(self, index: int, time: float, looks: Any, journal: Any) -> Iterator[Any]:
        yield from super()._take(index, time, looks, journal)
        seen = [(track.number, track.last.box) for track in self._tracker.tracks if track.end == time]
        self.places.append((index, seen))

    def final(self, number: int) -> int:
        """The number of the track into which a track was merged."""
        while number in self._tracker.joined:
            number = self._tracker.joined[number]
        return number


def follow(clip: Path, encoder: FaceEncoder, every: int = 1) -> Recorded:
    """Watch a clip."""
    watch = Recorded(open_source(clip, print), encoder, None, WatchOptions(every=every), print)
    for _ in watch.run():
        pass
    return watch


def compare(watch: Recorded, truth: dict[str, Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """The people's numbers, the tracks' numbers and their similarities, for each processed frame."""
    boxes = np.array(truth["boxes"])
    people, tracks, similarities = [], [], []
    for index, seen in watch.places:
        rows = boxes[(boxes[:, 0] == index) & (boxes[:, 6] >= SEEN)]
        centres = (rows[:, 2:4] + rows[:, 4:6]) / 2
        found = np.array([(box[:2] + box[2:]) / 2 for _, box in seen]).reshape(-1, 2)
        away = np.linalg.norm(centres[:, None] - found[None], axis=2) / truth["side"]
        people.append(rows[:, 1].astype(int))
        tracks.append(np.array([watch.final(number) for number, _ in seen], int))
        similarities.append(np.clip(1 - away, 0, 1))
    return people, tracks, similarities


def measure(work: Path, actors: list[Actor], encoder: FaceEncoder, side: float, every: int) -> dict[str, Any]:
    """Figures over all clips. Missing clips are made."""
    from trackers.eval import compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

    joined: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for number in range(CLIPS):
        clip = work / f"cross-{side:g}-{number}.mp4"
        chosen = [Actor(actor.name, actor.photos[:1], actor.face) for actor in actors[number * PEOPLE :][:PEOPLE]]
        height = round(6 * side / 2) * 2
        truth = make_clip(clip, chosen, Look(side, FRAMES, pillar=True), number, (20 * round(side), height))
        parts = compare(follow(clip, encoder, every), truth)
        for whole, part, step in zip(
            joined, parts, (100, 1000, 0), strict=True
        ):  # the clips form one long sequence, so each needs its own range of numbers
            whole.extend(each + step * number for each in part)
    clear, identity = compute_clear_metrics(*joined), compute_identity_metrics(*joined)
    hota = compute_hota_metrics(*joined)
    figures = {
        name: float(source[name])
        for source, name in ((hota, "HOTA"), (hota, "AssA"), (hota, "DetA"), (identity, "IDF1"))
    }
    counts = {name: int(clear[name]) for name in ("IDSW", "Frag") if name in clear}
    return {"side": side, "every": every, "clips": CLIPS, "recall": float(clear["CLR_Re"])} | figures | counts


def speed(work: Path, actors: list[Actor], encoder: FaceEncoder) -> list[dict[str, Any]]:
    """Frames per second at 1280 x 720 with three faces, and the share of each stage in the time."""
    clip = work / "speed.mp4"
    sizes = [
        Actor(actor.name, actor.photos[:1], actor.face * 28 / side)
        for actor, side in zip(actors, (16, 28, 40), strict=False)
    ]
    make_clip(clip, sizes, Look(28, 50), 0, (1280, 720))
    rows = []
    for every in (1, 5):
        started = time.perf_counter()
        watch = follow(clip, encoder, every)
        whole = time.perf_counter() - started
        shares = {stage: seconds / whole for stage, seconds in watch.seconds.items()}
        rows.append({"every": every, "frames_a_second": 50 / whole} | shares)
    return rows


@click.command()
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--lfw", required=True, type=click.Path(path_type=Path, exists=True), help="Folder of LFW's images.")
@click.option("--pairs", required=True, multiple=True, type=click.Path(path_type=Path, exists=True), help="Lists.")
def main(work: Path, lfw: Path, pairs: tuple[Path, ...]) -> None:
    """Measure tracks on clips in WORK."""
    try:
        encoder = FaceEncoder.load(turn=False)
        actors = lfw_actors(lfw, pairs)
        actors = [actors[place] for place in np.random.default_rng(1).permutation(len(actors))[: CLIPS * PEOPLE]]
        rows = [measure(work, actors, encoder, side, every) for side in (16.0, 24.0) for every in (1, 5)]
        result = {"tracks": rows, "speed": speed(work, actors, encoder), "code": code_version()}
        write_json(RESULTS / "watch_tracks.json", result)
        print(result)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
