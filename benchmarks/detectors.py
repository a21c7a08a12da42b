"""Compare detectors on real frames: faces found, false detections, and processor time.

    python benchmarks/detectors.py FRAMES --out detectors.json --detector centerface --detector mtcnn

FRAMES holds images and ``boxes.csv`` (path, left, top, right, bottom). A face counts as found if the intersection over
union of its box with a detected box is at least 0.4. Faces under 8 pixels do not count: they need not be found, and a box on
one of them is not a false detection.
"""

import csv
import time
from itertools import pairwise
from pathlib import Path

import click
import numpy as np

from lrface.faces.detect import create_detector
from lrface.faces.images import read_image
from lrface.files import write_json
from lrface.version import code_version

#: Limits of the table's columns: shorter side of a marked face in pixels.
ENDS = (8, 10, 12, 16, 24, 32, 10_000)

#: Minimum intersection over union of a detected box and a marked face.
OVERLAP = 0.4


def read_boxes(folder: Path) -> dict[str, np.ndarray]:
    """The marked faces by image: float64 ``[n, 4]`` (left, top, right, bottom), in pixels."""
    boxes: dict[str, list[list[float]]] = {}
    with open(folder / "boxes.csv", newline="") as file:
        for row in csv.DictReader(file):
            boxes.setdefault(row["path"], []).append([float(row[key]) for key in ("left", "top", "right", "bottom")])
    return {path: np.array(marked) for path, marked in boxes.items()}


def match(found: np.ndarray, marked: np.ndarray) -> tuple[np.ndarray, int]:
    """Assign detected boxes to marked faces.

    Args:
        found: detected boxes, float ``[n, 4]``, the best score first.
        marked: boxes of the marked faces, float64 ``[m, 4]``.

    Returns:
        Which marked faces are found (bool ``[m]``), and the number of false detections.
    """
    hit, false = np.zeros(len(marked), bool), 0
    for box in found:
        shared = np.minimum(box[2:], marked[:, 2:]) - np.maximum(box[:2], marked[:, :2])
        common = np.maximum(shared, 0).prod(1)
        union = (box[2:] - box[:2]).prod() + (marked[:, 2:] - marked[:, :2]).prod(1) - common
        overlap = common / union
        free = np.where(hit, 0, overlap)
        if free.max() >= OVERLAP:
            hit[free.argmax()] = True
        else:
            false += int(overlap.max() < OVERLAP)
    return hit, false


def measure(name: str, folder: Path, marked: dict[str, np.ndarray]) -> dict[str, object]:
    """Measure one detector: one row of the table."""
    import cv2

    cv2.setNumThreads(1)
    detector = create_detector(name, threads=1)
    hits, sides, false, seconds = [], [], 0, []
    for path, boxes in sorted(marked.items()):
        image = read_image(folder / path)
        start = time.process_time()
        faces = detector.detect(image)
        seconds.append(time.process_time() - start)
        hit, wrong = match(np.array([face.box for face in faces]).reshape(-1, 4), boxes)
        hits.append(hit)
        sides.append((boxes[:, 2:] - boxes[:, :2]).min(1))
        false += wrong
    hit, side = np.concatenate(hits), np.concatenate(sides)

    def share(low: float, high: float) -> float:
        return round(100 * float(hit[(side >= low) & (side < high)].mean()), 1)

    found = {f"{low}-{high}": share(low, high) for low, high in pairwise(ENDS)}
    return {
        "detector": detector.name, "found": found, "found 10-16": share(10, 16), "found 16-32": share(16, 32),
        "false a frame": round(false / len(marked), 2), "median ms": round(1000 * float(np.median(seconds)), 1),
    }  # fmt: skip


def table(rows: list[dict[str, object]]) -> str:
    """The table as Markdown."""
    columns = [f"{low}-{high} px" if high < ENDS[-1] else f"over {low}" for low, high in pairwise(ENDS)]
    lines = [f"| detector | {' | '.join(columns)} | 10-16 | 16-32 | false | ms |", "|---" * (len(columns) + 5) + "|"]
    for row in rows:
        found = " | ".join(f"{value:.0f}" for value in row["found"].values())  # type: ignore[attr-defined]
        rest = " | ".join(str(row[key]) for key in ("found 10-16", "found 16-32", "false a frame", "median ms"))
        lines.append(f"| {row['detector']} | {found} | {rest} |")
    return "\n".join(lines)


@click.command()
@click.argument("frames", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--detector", "detectors", multiple=True, default=("centerface", "mtcnn"), show_default=True)
@click.option("--out", type=click.Path(dir_okay=False), required=True)
def main(frames: Path, detectors: tuple[str, ...], out: str) -> None:
    """Measure DETECTORS on the images of FRAMES, on one thread."""
    marked = read_boxes(frames)
    rows = [measure(name, frames, marked) for name in detectors]
    write_json(out, {"frames": len(marked), "code": code_version(), "rows": rows})
    click.echo(table(rows))


if __name__ == "__main__":
    main()
