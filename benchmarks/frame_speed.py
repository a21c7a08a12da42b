"""How long a 1920 x 1080 frame with five small faces takes, found, aligned and embedded, beside dlib's HOG; a crop; a photo.

    python benchmarks/frame_speed.py PHOTOS --pairs pairsDevTrain.txt --out frame_speed.json

The frame is made of five photos of LFW, their faces 16 to 60 pixels wide, on a smooth background. All take turns in one run; what
counts is the fastest of the rounds, as on a machine with other work nothing else can be compared.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from lrface.data.sets.pairs import read_pairs
from lrface.eval.native import true_landmarks
from lrface.faces.align import TEMPLATE_SIZE, alignment
from lrface.faces.detect import create_detector
from lrface.faces.images import read_image
from lrface.files import write_json
from lrface.recognition.encoder import FaceEncoder
from lrface.version import code_version, hardware

#: Sides of the five faces' ArcFace crops in pixels.
SIDES = (16, 20, 28, 40, 60)
WIDTH, HEIGHT = 1920, 1080


def make_frame(photos: Path, landmarks: dict[str, np.ndarray]) -> np.ndarray:
    """The frame, uint8 RGB ``[1080, 1920, 3]``."""
    import cv2

    coarse = np.random.default_rng(5).integers(60, 190, (9, 16, 3)).astype(np.uint8)
    frame = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for number, ((name, points), side) in enumerate(zip(landmarks.items(), SIDES, strict=True)):
        photo = read_image(photos / name)
        factor = side * float(np.hypot(*alignment(points)[0, :2])) / TEMPLATE_SIZE
        small = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        height, width = small.shape[:2]
        top, left = 150 + 170 * number, 120 + 360 * number
        frame[top : top + height, left : left + width] = small[: HEIGHT - top, : WIDTH - left]
    return frame


def hog() -> Callable[[np.ndarray], int]:
    """dlib's HOG with one upsampling, nothing aligned or embedded."""
    import dlib

    detector = dlib.get_frontal_face_detector()
    return lambda image: len(detector(image, 1))


def encoding(min_face: float | None, threads: int) -> Callable[[np.ndarray], int]:
    """All faces, embedded."""
    encoder = FaceEncoder.load("lrface-r18-16px-int8", "centerface", threads=threads, min_face=min_face, turn=False)
    return lambda image: len(encoder.faces(image))


def measure(ways: dict[str, tuple[Callable[[np.ndarray], int], np.ndarray]], rounds: int) -> list[dict[str, Any]]:
    """Each in turn, so that all have the same neighbours."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    found = {}
    for _ in range(rounds + 1):  # the first one loads
        for name, (way, image) in ways.items():
            start = time.perf_counter(), time.process_time()
            found[name] = way(image)
            times[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return [
        {"what": name, "found": found[name], "fastest ms": round(1000 * min(wall for wall, _ in each[1:]), 1),
         "median ms": round(1000 * float(np.median([wall for wall, _ in each[1:]])), 1),
         "processor ms": round(1000 * float(np.median([cpu for _, cpu in each[1:]])), 1)}
        for name, each in times.items()
    ]  # fmt: skip


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pairs", type=click.Path(exists=True, dir_okay=False), required=True, help="Which photos.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1))
@click.option("--threads", "thread_counts", type=int, multiple=True, default=(1, 2), show_default=True)
@click.option("--out", type=click.Path(dir_okay=False), required=True)
def main(photos: Path, pairs: str, rounds: int, thread_counts: tuple[int, ...], out: str) -> None:
    """Time the frame, the crop and the photo."""
    import cv2

    chosen = read_pairs(pairs)
    truth = true_landmarks(photos, chosen[:: len(chosen) // len(SIDES)], create_detector("mtcnn"))
    landmarks = dict(list(truth.items())[: len(SIDES)])
    frame = make_frame(photos, landmarks)
    crop = cv2.resize(
        read_image(photos / next(iter(landmarks)))[65:185, 65:185], (40, 40), interpolation=cv2.INTER_AREA
    )
    ways = {
        f"{name}, {threads} threads": (encoding(min_face, threads), frame)
        for threads in thread_counts
        for name, min_face in (("frame", None), ("frame, --min-face 12", 12.0), ("frame, --min-face 20", 20.0))
    }
    ways["frame, dlib's HOG with one upsampling, found only"] = hog(), frame
    encoder = FaceEncoder.load("lrface-r18-16px-int8", "centerface", threads=max(thread_counts))
    ways["crop of 40 x 40"] = lambda image: len(encoder.embed([image])), crop
    ways["photo of 250 x 250"] = lambda image: len(encoder.embed([image])), read_image(photos / next(iter(landmarks)))
    rows = measure(ways, rounds)
    write_json(out, {"hardware": hardware(), "code": code_version(), "faces": SIDES, "rows": rows})
    for row in rows:
        click.echo(f"| {' | '.join(str(value) for value in row.values())} |")


if __name__ == "__main__":
    main()
