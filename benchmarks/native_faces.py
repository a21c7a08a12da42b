"""Measure detectors on faces of 8 to 64 pixels: faces found, false detections, and errors of landmarks and alignment.

    python benchmarks/native_faces.py PHOTOS --pairs pairsDevTrain.txt --out native_faces.json --detector centerface

Each photo is reduced as ``lrface eval lfw --native`` does it. MTCNN's landmarks in the full photo are the truth. The measured
errors of the alignment are used in training: see ``lrface.train.native_views.MISSED``.
"""

import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from lrface.data.sets.pairs import read_pairs
from lrface.eval.native import NEAR, reduce_photo, true_landmarks
from lrface.faces.align import TEMPLATE, alignment
from lrface.faces.detect import Detector, create_detector, select_face
from lrface.faces.images import read_image
from lrface.files import write_json
from lrface.version import code_version

#: Percentiles of the alignment's errors beyond which a value is left out: it belongs to another face or to no face.
OUTERMOST = (1, 99)


def alignment_error(found: np.ndarray, true: np.ndarray) -> list[float]:
    """Error of the alignment by detected landmarks.

    Args:
        found, true: detected and true landmarks, float ``[5, 2]``.

    Returns:
        Shift of the template's centre to the right and down, in pixels of the 112 px crop; logarithm of the scale; angle in
        radians.
    """
    wrong, right = (np.vstack([alignment(each), [0, 0, 1]]) for each in (found, true))
    moved = right @ np.linalg.inv(wrong)
    centre = TEMPLATE.mean(0)
    shift = moved[:2, :2] @ centre + moved[:2, 2] - centre
    return [*map(float, shift), float(np.log(np.hypot(*moved[:2, 0]))), float(np.arctan2(moved[1, 0], moved[0, 0]))]


def measure(detector: Detector, photos: Path, landmarks: dict[str, np.ndarray], side: int) -> dict[str, Any]:
    """Measure one detector at one side: one row of the table."""
    errors, missed, false, seconds = [], [], 0, []
    for name, true in tqdm(landmarks.items(), f"{detector.name}, {side} px", disable=None):
        image, places = reduce_photo(read_image(photos / name), true, side)
        start = time.process_time()
        faces = detector.detect(image)
        seconds.append(time.process_time() - start)
        false += max(len(faces) - 1, 0)
        face = select_face(faces, image.shape) if faces else None
        if face is None or np.linalg.norm(face.landmarks.mean(0) - places.mean(0)) > NEAR * side:
            continue
        scale = float(np.hypot(*alignment(places)[0, :2]))
        errors.append(scale * float(np.linalg.norm(face.landmarks - places, axis=1).mean()))
        missed.append(alignment_error(face.landmarks, places))
    columns = np.array(missed).reshape(-1, 4).T
    kept = [
        column[(column >= low) & (column <= high)]
        for column in columns
        for low, high in [np.percentile(column, OUTERMOST)]
    ]
    return {
        "detector": detector.name, "side": side, "photos": len(landmarks), "found": round(100 * len(errors) / len(landmarks), 1),
        "further faces a photo": round(false / len(landmarks), 3), "landmark error": round(float(np.mean(errors)), 2),
        "median ms": round(1000 * float(np.median(seconds)), 1),
        "alignment": {
            "mean": [round(float(each.mean()), 4) for each in kept], "std": [round(float(each.std()), 4) for each in kept],
        },
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    columns = ("found", "further faces a photo", "landmark error", "median ms")
    lines = [f"| detector | px | {' | '.join(columns)} | shift, scale %, degrees |", "|---" * 7 + "|"]
    for row in rows:
        x, y, grow, turn = row["alignment"]["std"]
        spread = f"{x:.1f}, {y:.1f}; {100 * grow:.1f}; {np.degrees(turn):.1f}"
        values = " | ".join(str(row[key]) for key in columns)
        lines.append(f"| {row['detector']} | {row['side']} | {values} | {spread} |")
    return "\n".join(lines)


@click.command()
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--pairs", type=click.Path(exists=True, dir_okay=False), required=True, help="List of pairs that names the photos."
)
@click.option("--limit", type=int, default=200, show_default=True, help="Number of pairs, evenly spread.")
@click.option("--detector", "detectors", multiple=True, default=("centerface", "mtcnn"), show_default=True)
@click.option(
    "--side", "sides", type=int, multiple=True, default=(8, 10, 12, 16, 20, 24, 32, 48, 64), show_default=True
)
@click.option("--out", type=click.Path(dir_okay=False), required=True)
def main(photos: Path, pairs: str, limit: int, detectors: tuple[str, ...], sides: tuple[int, ...], out: str) -> None:
    """Measure DETECTORS on the PHOTOS that the pairs name, on one thread. The results are written row by row."""
    import cv2

    cv2.setNumThreads(1)
    chosen = read_pairs(pairs)
    chosen = chosen[:: max(1, len(chosen) // limit)]
    landmarks = true_landmarks(photos, chosen, create_detector("mtcnn", threads=1))
    rows = []
    for name in detectors:
        detector = create_detector(name, threads=1)
        for side in sides:
            rows.append(measure(detector, photos, landmarks, side))
            write_json(out, {"pairs": Path(pairs).name, "code": code_version(), "rows": rows})
    click.echo(table(rows))


if __name__ == "__main__":
    main()
