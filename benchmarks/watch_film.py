"""Films people of LFW, watches the clips, and gives the looks to people by the truth; what ``benchmarks/watch.py`` measures.

    PYTHONPATH=tools python benchmarks/watch_film.py work/test-16 --lfw lfw/images --pairs lfw/pairsDevTest.txt --side 16

Sixteen people a clip, in lanes, from left to right and from right to left. They go through ``lrface.watch`` end to end: faces are
found, followed and embedded as a user's are. Goes on in the folder where it was.
"""

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from make_clips import Actor, Look, lfw_people, make_clip, read_actor
from tqdm import tqdm

import lrface
from lrface.errors import LrfaceError
from lrface.files import read_json, write_json
from lrface.recognition.encoder import FaceEncoder
from lrface.version import code_version
from lrface.video.journal import read_frames

#: What a folder was filmed with.
RECORD = "film.json"

PEOPLE = 16

#: Sides of a face that a clip is wide and high.
WIDTH, HEIGHT = 27, 15


def choose(lfw: Path, pairs: tuple[Path, ...], people: int, photos: int, which: tuple[int, ...]) -> list[Actor]:
    """Some people who have so many photos, always the same ones, with some of these."""
    known = lfw_people(pairs, photos)
    order = np.random.default_rng(0).permutation(len(known))[:people]
    return [read_actor(lfw, known[at][0], [known[at][1][place] for place in which]) for at in order]


def film(work: Path, actors: list[Actor], look: Look, seed: int, encoder: FaceEncoder) -> None:
    """Write the clips that are missing, and watch those that have not been watched."""
    for number in tqdm(range(len(actors) // PEOPLE), work.name, unit="clip"):
        clip, out = work / f"{number:04d}.mp4", work / f"{number:04d}"
        if not clip.with_suffix(".json").exists():
            size = (2 * round(WIDTH * look.side / 2), 2 * round(HEIGHT * look.side / 2))
            make_clip(clip, actors[number * PEOPLE :][:PEOPLE], look, seed + number, size)
        list(lrface.watch(clip, None, encoder, out, faces=False, resume=(out / "watch.json").exists()))


def read_film(work: Path) -> tuple[dict[str, list[Any]], int]:
    """The looks at each person of a folder of clips that were watched to the end, by name, and how many faces there were to see."""
    found: dict[str, list[Any]] = {}
    there = 0
    for file in sorted(work.glob("[0-9]*.json")):
        record = file.with_suffix("") / "watch.json"
        if not record.exists() or not read_json(record)["finished"]:
            continue
        truth = read_json(file)
        boxes = np.array(truth["boxes"])
        there += len(boxes)
        for name in truth["people"]:
            found[name] = []
        for index, _, seen, _ in read_frames(work / file.stem / "journal.jsonl"):
            rows = boxes[boxes[:, 0] == index]
            centres = (rows[:, 2:4] + rows[:, 4:6]) / 2
            for each in seen:
                away = np.linalg.norm(centres - each.centre, axis=1)
                if away.min() < 0.5 * truth["side"]:
                    found[truth["people"][int(rows[int(away.argmin()), 1])]].append(each)
    return found, there


@click.command()
@click.argument("work", type=click.Path(path_type=Path, file_okay=False))
@click.option("--lfw", required=True, type=click.Path(path_type=Path, exists=True), help="Folder of LFW's images.")
@click.option(
    "--pairs", required=True, multiple=True, type=click.Path(path_type=Path, exists=True), help="Lists of pairs."
)
@click.option("--people", default=192, show_default=True, type=click.IntRange(PEOPLE), help="How many are filmed.")
@click.option("--photos", default=2, show_default=True, help="That each has at least.")
@click.option("--photo", "which", multiple=True, default=(0,), show_default=True, help="Filmed, one after another.")
@click.option("--side", default=16.0, show_default=True, help="Of the aligned faces, in pixels.")
@click.option("--frames", default=34, show_default=True, type=click.IntRange(2), help="Frames a clip.")
@click.option("--seed", default=0, show_default=True, help="Of the motion.")
@click.option("--model", default=None, help="As for lrface watch.")
@click.option("--sharp", multiple=True, help="As for lrface watch.")
def main(
    work: Path, lfw: Path, pairs: tuple[Path, ...], people: int, photos: int, which: tuple[int, ...], side: float, frames: int,
    seed: int, model: str | None, sharp: tuple[str, ...],
) -> None:  # fmt: skip
    """Film and watch people in WORK."""
    try:
        encoder = FaceEncoder.load(model, turn=False, threads=1, sharp=sharp)
        actors = choose(lfw, pairs, people, photos, which)
        facts = {
            "side": side, "frames": frames, "photos": list(which), "seed": seed, "pairs": [file.name for file in pairs],
            "model": encoder.embedder.fingerprint, "detector": encoder.detector, "code": code_version(),
        }  # fmt: skip
        write_json(work / RECORD, facts)
        film(work, actors, Look(side, frames), seed, encoder)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
