"""Compare ``lrface prepare`` on aligned crops with a bare loop over the same files, and measure its memory.

The bare loop decodes, warps and reduces each file with OpenCV and the store's own reduction, and keeps nothing. A second
loop reduces with OpenCV's sampled bilinear kernel, which is another definition of low resolution and much cheaper. Both
loops use as many processes as ``prepare``. The three take turns. The start of the processes counts. The result is the
ratio of the medians. ``prepare`` also hashes the images, and writes and syncs a store.

Use the elapsed time on a machine that does nothing else. On a shared machine, use the processor time of all processes,
which is reported too. The faces are synthetic.

    python benchmarks/prepare_speed.py --images 20000 --runs 5
"""

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import PIL

from lrface.data.crop import Settings
from lrface.data.prepare import CHUNK, prepare
from lrface.data.synthetic import generate
from lrface.faces.align import TEMPLATE, alignment
from lrface.faces.degrade import Degradation
from lrface.files import write_json

EACH = 20
GOAL = 0.8
Reduce = Callable[[np.ndarray], np.ndarray]


def sampled(image: np.ndarray) -> np.ndarray:
    """Reduce an image to 16 pixels by OpenCV's bilinear sampling."""
    return cv2.resize(image, (16, 16), interpolation=cv2.INTER_LINEAR)


def bare_chunk(reduce: Reduce, paths: list[str]) -> int:
    """Decode, warp and reduce some files. Returns their number."""
    matrix = alignment(TEMPLATE)
    for path in paths:
        image = cv2.imread(path)
        assert image is not None, path
        reduce(cv2.warpAffine(image, matrix, (112, 112)))
    return len(paths)


def run_bare(reduce: Reduce, folder: Path, workers: int) -> None:
    """Run the bare loop over all files of a folder."""
    paths = sorted(str(path) for path in folder.glob("*/*.jpg"))
    chunks = [paths[at : at + CHUNK] for at in range(0, len(paths), CHUNK)]
    with ProcessPoolExecutor(workers, get_context("spawn"), cv2.setNumThreads, (1,)) as pool:
        assert sum(pool.map(partial(bare_chunk, reduce), chunks)) == len(paths)


def run_prepare(folder: Path, workers: int, scratch: Path) -> None:
    """Prepare a store of all files of a folder."""
    summary = prepare(folder, scratch / "store", Settings(detector="none"), workers=workers, progress=False)
    assert set(summary.counts) == {"ok"}


def clock() -> np.ndarray:
    """Elapsed seconds, and processor seconds of this process and its children: float64 ``[2]``."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return np.array([time.perf_counter(), own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime])


def peak_memory(folder: Path, workers: int, scratch: Path) -> float:
    """Peak memory of the parent process alone in MiB, measured in a new process."""
    command = [sys.executable, __file__, "--measure", str(folder), str(scratch / "store"), str(workers)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    shutil.rmtree(scratch / "store")
    return float(output)


def measure(folder: str, out: str, workers: str) -> None:
    """The work of the new process of ``peak_memory``: print the peak memory in MiB."""
    prepare(folder, out, Settings(detector="none"), workers=int(workers), progress=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))


def quarter(folder: Path, scratch: Path) -> Path:
    """A folder with the first quarter of the identities."""
    part = scratch / "quarter"
    part.mkdir()
    identities = sorted(path for path in folder.iterdir() if path.is_dir())
    for identity in identities[: len(identities) // 4]:
        (part / identity.name).symlink_to(identity)
    return part


def compare(folder: Path, workers: int, runs: int, scratch: Path) -> dict[str, np.ndarray]:
    """Run the three measurements in turn. Returns the differences of ``clock`` by name: float64 ``[runs, 2]``."""
    jobs: dict[str, Callable[[], None]] = {
        "prepare": lambda: run_prepare(folder, workers, scratch),
        "bare": lambda: run_bare(Degradation(), folder, workers),
        "bare sampled": lambda: run_bare(sampled, folder, workers),
    }
    seconds: dict[str, list[np.ndarray]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, job in jobs.items():
            start = clock()
            job()
            seconds[name].append(clock() - start)
            shutil.rmtree(scratch / "store", ignore_errors=True)
            click.echo("{:14s} {:8.2f} s, {:8.2f} s of the processors".format(name, *seconds[name][-1]), err=True)
    return {name: np.stack(values) for name, values in seconds.items()}


def report(seconds: dict[str, np.ndarray], memory: dict[int, float], images: int, workers: int) -> dict[str, Any]:
    """Print the table, and return the content of the results file."""
    medians = {name: np.median(values, axis=0) for name, values in seconds.items()}
    elapsed = {name: float(median[0] / medians["prepare"][0]) for name, median in medians.items()}
    computed = {name: float(median[1] / medians["prepare"][1]) for name, median in medians.items()}
    click.echo(f"{images:,} drawn 112 px JPEG crops, {workers} processes, median of {len(seconds['prepare'])} runs")
    click.echo(f"{'':14s} {'images/s':>10s} {'us of processor':>18s} {'prepare: rate':>16s} {'per processor':>16s}")
    for name, (wall, processor) in medians.items():
        click.echo(
            f"{name:14s} {images / wall:10,.0f} {1e6 * processor / images:18,.0f}"
            f" {elapsed[name]:16.2f} {computed[name]:16.2f}"
        )
    click.echo(f"goal: prepare at {GOAL:.2f} of bare: {'reached' if elapsed['bare'] >= GOAL else 'MISSED'}")
    for count, peak in memory.items():
        click.echo(f"peak memory of the parent at {count:7,} images: {peak:6.1f} MiB")
    return {
        "images": images,
        "workers": workers,
        "seconds": {name: values[:, 0].tolist() for name, values in seconds.items()},
        "processor_seconds": {name: values[:, 1].tolist() for name, values in seconds.items()},
        "rate_of_prepare_to": elapsed,
        "rate_of_prepare_to_per_processor_second": computed,
        "goal": GOAL,
        "parent_peak_mib": memory,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
    }


@click.command()
@click.option("--images", default=20_000, show_default=True, help="At least; starting processes takes 1 to 2 s.")
@click.option("--workers", default=os.cpu_count() or 1, show_default=True)
@click.option("--runs", default=5, show_default=True)
@click.option(
    "--scratch", type=click.Path(path_type=Path), default=None, help="Where the files go; a temporary folder."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(__file__).parent / "results" / "prepare_speed.json"
)
@click.option("--measure", "measured", nargs=3, hidden=True)
def main(
    images: int, workers: int, runs: int, scratch: Path | None, out: Path, measured: tuple[str, str, str] | None
) -> None:
    """Compare ``prepare`` with a bare loop."""
    if measured:
        measure(*measured)
        return
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name) / "faces"
        identities = -(-images // EACH)
        generate(folder, identities, EACH, seed=0, workers=workers)
        seconds = compare(folder, workers, runs, Path(name))
        part = quarter(folder, Path(name))
        memory = {
            len(list(part.glob("*/*.jpg"))): peak_memory(part, workers, Path(name)),
            identities * EACH: peak_memory(folder, workers, Path(name)),
        }
    write_json(out, report(seconds, memory, identities * EACH, workers))


if __name__ == "__main__":
    main()
