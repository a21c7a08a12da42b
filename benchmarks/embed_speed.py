"""Compare the rate at which photos are embedded with the rate of the model alone on batches in memory.

``files`` measures ``embed_list``: photos of 250 px are decoded, aligned by their landmarks, reduced, and embedded with
their mirror images. ``crops`` measures ``flip_sum`` on aligned crops in memory, which are reduced and embedded. ``model``
measures the network alone, on the same batches. The three take turns. The start of the worker processes counts for
``files``. The model uses the given number of threads; the worker processes need further cores.

Use the elapsed time on a machine that does nothing else. On a shared machine, use the processor times: that of the main
thread shows how much of it the network gets, and that of all processes shows the cost of a photo.

    python benchmarks/embed_speed.py --images 4000 --workers 2 --threads 1
"""

import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from lrface.data.crop import Settings
from lrface.data.face_list import FaceList
from lrface.data.synthetic import face
from lrface.eval.embeddings import embed_list, flip_sum
from lrface.faces.align import TEMPLATE
from lrface.faces.images import encode_image
from lrface.files import write_json
from lrface.models.embedder import Embedder, open_embedder

GOAL = 0.85
#: Number of different photos. The files repeat them.
DRAWN = 64
BATCH = 64
SIDE, LEFT, TOP = 250, 70, 75


def make_photos(folder: Path, images: int) -> FaceList:
    """Write photos with synthetic faces in noise.

    Args:
        folder: for the photos.
        images: number of photos.

    Returns:
        The photos with their landmarks.
    """
    rng = np.random.default_rng(0)
    encoded = []
    for number in range(DRAWN):
        photo = rng.integers(90, 140, (SIDE, SIDE, 3), np.uint8)
        photo[TOP : TOP + 112, LEFT : LEFT + 112] = face(number, 0, seed=0)
        encoded.append(encode_image(photo))
    paths = tuple(folder / f"{number:06d}.jpg" for number in range(images))
    for number, path in enumerate(paths):
        path.write_bytes(encoded[number % DRAWN])
    points = np.repeat((TEMPLATE + np.array([LEFT, TOP], np.float32))[None], images, 0)
    return FaceList(paths, np.arange(images) % DRAWN, points)


def model_alone(embedder: Embedder, batch: np.ndarray, images: int) -> None:
    """Run the network on a batch in memory, as often as the other measurements do."""
    mirrored = np.ascontiguousarray(batch[..., ::-1])
    for start in range(0, images, BATCH):
        count = min(BATCH, images - start)
        embedder.network(batch[:count])
        embedder.network(mirrored[:count])


def clock() -> np.ndarray:
    """Elapsed seconds, processor seconds of this thread, and processor seconds of all processes: float64 ``[3]``."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    every = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    return np.array([time.perf_counter(), time.thread_time(), every])


def compare(embedder: Embedder, faces: FaceList, workers: int, runs: int) -> dict[str, np.ndarray]:
    """Run the three measurements in turn. Returns the differences of ``clock`` by name: float64 ``[runs, 3]``."""
    crops = [face(number, 0, seed=0) for number in range(DRAWN)] * (len(faces) // DRAWN + 1)
    fitted = np.stack([embedder.preprocessing.fit(crop) for crop in crops[:BATCH]])
    batch = embedder.preprocessing.batch(fitted)
    jobs: dict[str, Callable[[], object]] = {
        "model": lambda: model_alone(embedder, batch, len(faces)),
        "crops": lambda: flip_sum(embedder, crops[: len(faces)], batch_size=BATCH),
        "files": lambda: embed_list(
            embedder, faces, Settings(detector="landmarks"), workers=workers, batch_size=BATCH
        ),
    }  # fmt: skip
    seconds: dict[str, list[np.ndarray]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, job in jobs.items():
            start = clock()
            job()
            seconds[name].append(clock() - start)
            click.echo("{:6s} {:8.2f} s, {:8.2f} s of the main thread, {:8.2f} s of the processors".format(
                name, *seconds[name][-1]), err=True)  # fmt: skip
    return {name: np.stack(values) for name, values in seconds.items()}


def report(seconds: dict[str, np.ndarray], images: int) -> dict[str, Any]:
    """Print the table, and return the content of the results file."""
    medians = {name: np.median(values, axis=0) for name, values in seconds.items()}
    shares = {name: (medians["model"] / median).tolist() for name, median in medians.items()}
    click.echo(f"{'':8s} {'faces/s':>10s} {'share of model':>16s} {'by main thread':>16s}")
    for name, median in medians.items():
        click.echo(f"{name:8s} {images / median[0]:10,.0f} {shares[name][0]:16.2f} {shares[name][1]:16.2f}")
    for name in ("crops", "files"):
        click.echo(f"goal: {name} at {GOAL:.2f} of the model: {'reached' if shares[name][0] >= GOAL else 'MISSED'}")
    return {
        "images": images,
        "seconds": {name: values[:, 0].tolist() for name, values in seconds.items()},
        "main_thread_seconds": {name: values[:, 1].tolist() for name, values in seconds.items()},
        "processor_seconds": {name: values[:, 2].tolist() for name, values in seconds.items()},
        "rate_to_model": {name: share[0] for name, share in shares.items()},
        "rate_to_model_by_main_thread": {name: share[1] for name, share in shares.items()},
        "goal": GOAL,
    }


@click.command()
@click.option("--model", default=None, help="As for `lrface embed`; the shipped model by default.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--images", default=4000, show_default=True, help="Starting the worker processes takes 1 to 2 s.")
@click.option(
    "--workers", default=max(1, (os.cpu_count() or 1) - 1), show_default=True, help="Processes that read photos."
)
@click.option("--threads", default=1, show_default=True, help="Threads of the model.")
@click.option("--runs", default=3, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path(__file__).parent / "results" / "embed_speed.json")
def main(model: str | None, device: str, images: int, workers: int, threads: int, runs: int, out: Path) -> None:
    """Compare the embedding of photos with the model alone."""
    embedder = open_embedder(model, device, threads)
    with tempfile.TemporaryDirectory() as name:
        found = compare(embedder, make_photos(Path(name), images), workers, runs)
    facts = {"model": model or "shipped", "device": device, "workers": workers, "threads": threads}
    where = {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}
    write_json(out, facts | report(found, images) | where)


if __name__ == "__main__":
    main()
