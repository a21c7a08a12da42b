"""Time of ``lrface verify`` from start to answer. Each round is a new process, like a user's first command.

    python benchmarks/verify_cold.py --rounds 15 a.jpg b.jpg

``wall`` is the time that the user waits; ``processor`` is the time of all threads of the process. The first round is dropped:
it reads files from the disk that are in memory for the later rounds.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from lrface.faces.detect import DETECTORS, automatic_detector
from lrface.files import write_json
from lrface.version import code_version, hardware

OUT = Path(__file__).parent / "results" / "verify_cold.json"


def once(command: list[str]) -> tuple[float, float]:
    """Run one process, and return its wall and processor seconds.

    Raises:
        click.ClickException: the process failed, so its time means nothing.
    """
    before, start = _children(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall, processor = time.perf_counter() - start, _children() - before
    if done.returncode not in (0, 1):  # 0: same person, 1: different people
        raise click.ClickException(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return wall, processor


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(detector: str, photos: tuple[str, str], rounds: int) -> dict[str, Any]:
    """Times of ``rounds`` processes in seconds, with their medians."""
    command = [sys.executable, "-m", "lrface", "verify", *photos, "--detector", detector]
    wall, processor = zip(*[once(command) for _ in range(rounds + 1)][1:], strict=True)
    medians = {"wall_s": statistics.median(wall), "processor_s": statistics.median(processor)}
    return {"detector": detector, **medians, "rounds": {"wall_s": wall, "processor_s": processor}}


@click.command()
@click.argument("photos", nargs=2, type=click.Path(exists=True, dir_okay=False))
@click.option("--detector", "detectors", multiple=True, type=click.Choice(["auto", *DETECTORS, "none"]),
              default=("auto", "none"), show_default=True, help="Repeatable.")  # fmt: skip
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(1), help="Processes of each detector.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, show_default=True)
def main(photos: tuple[str, str], detectors: tuple[str, ...], rounds: int, out: Path) -> None:
    """Time `lrface verify` of two PHOTOS in new processes."""
    load = os.getloadavg()[0]
    rows = [measure(detector, photos, rounds) for detector in detectors]
    for row in rows:
        click.echo(f"{row['detector']:<12} {row['wall_s']:.2f} s wall, {row['processor_s']:.2f} s of processor time")
    facts = {
        "machine": hardware(), "code": code_version(), "auto": automatic_detector(), "rounds": rounds,
        "photos": [Path(photo).name for photo in photos], "load": [load, os.getloadavg()[0]],
    }  # fmt: skip
    write_json(out, facts | {"rows": rows})


if __name__ == "__main__":
    main()
