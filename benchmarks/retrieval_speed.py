"""Compare ``lrface.eval.retrieval`` at the size of TinyFace with a bare ``faiss.knn`` on the same arrays: time and memory.

The features are random, with a small component of their person, so that the ranks are meaningful. Every run is its own
process: it makes the same features, does one job, and prints its seconds and its peak memory. The two jobs take turns. A
third process only makes the features. FAISS finds the 50 nearest of each probe and does not compute the mean average
precision. Both must give the same CMC.

Use the elapsed time on a machine that does nothing else, and the processor time on a shared machine.

    python benchmarks/retrieval_speed.py --threads 1 --runs 3
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from lrface.files import write_json

#: Size of TinyFace: people in the test set, and their images in the gallery.
PEOPLE, MATCHES = 2569, 4443
RANKS = (1, 5, 10, 20, 50)
TIME_GOAL, MEMORY_GOAL = 1.5, 1.6
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def make_features(probes: int, gallery: int, dim: int) -> Arrays:
    """Features of length 1 and ids, in the form that :func:`lrface.eval.retrieval.evaluate` takes."""
    rng = np.random.default_rng(0)
    matches = min(MATCHES, gallery)
    people = min(PEOPLE, matches)
    centres = rng.standard_normal((people, dim), np.float32)
    probe_ids = rng.integers(0, people, probes)
    gallery_ids = np.full(gallery, -100)
    gallery_ids[:matches] = np.arange(matches) % people
    probe = rng.standard_normal((probes, dim), np.float32)
    faces = rng.standard_normal((gallery, dim), np.float32)
    probe += 0.5 * centres[probe_ids]
    faces[:matches] += 0.5 * centres[gallery_ids[:matches]]
    for features in (probe, faces):
        features /= np.sqrt(np.einsum("nd,nd->n", features, features))[:, None]
    return probe, probe_ids, faces, gallery_ids


def run_evaluate(arrays: Arrays) -> dict[str, Any]:
    """Run our evaluation."""
    from lrface.eval.retrieval import evaluate

    return evaluate(*arrays, ranks=RANKS, device="cpu").as_dict()


def run_faiss(arrays: Arrays) -> dict[str, Any]:
    """Run the bare search, and compute the CMC of its lists."""
    import faiss

    probe, probe_ids, gallery, gallery_ids = arrays
    _, nearest = faiss.knn(probe, gallery, max(RANKS), metric=faiss.METRIC_INNER_PRODUCT)
    hits = gallery_ids[nearest] == probe_ids[:, None]
    return {"cmc": {str(rank): float(hits[:, :rank].any(axis=1).mean()) for rank in RANKS}}


RUNS: dict[str, Callable[[Arrays], dict[str, Any]]] = {
    "evaluate": run_evaluate,
    "faiss.knn": run_faiss,
    "features": lambda _: {},
}


def measure(what: str, probes: int, gallery: int, dim: int) -> None:
    """Run one job in this process, and print its time and memory."""
    arrays = make_features(probes, gallery, dim)
    start = time.perf_counter(), time.process_time()
    scores = RUNS[what](arrays)
    seconds = time.perf_counter() - start[0], time.process_time() - start[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    size = (arrays[0].nbytes + arrays[2].nbytes) / (1 << 20)
    click.echo(json.dumps({"seconds": seconds, "peak_mib": peak, "features_mib": size, "scores": scores}))


def in_a_process(what: str, probes: int, gallery: int, dim: int, threads: int) -> dict[str, Any]:
    """Run ``measure`` in a new process with ``threads`` threads."""
    command = [sys.executable, __file__, "--measure", what]
    command += ["--probes", str(probes), "--gallery", str(gallery), "--dim", str(dim)]
    limit = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | limit).stdout
    found: dict[str, Any] = json.loads(output)
    click.echo("{:10s} {:7.2f} s, {:7.2f} s of the processor, peak {:6.1f} MiB".format(
        what, *found["seconds"], found["peak_mib"]), err=True)  # fmt: skip
    return found


def report(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Print the table, and return the content of the results file."""
    seconds = {name: np.array([run["seconds"] for run in runs]) for name, runs in found.items() if name != "features"}
    peaks = {name: max(run["peak_mib"] for run in runs) for name, runs in found.items()}
    size = found["features"][0]["features_mib"]
    wall, processor = (np.median(seconds["evaluate"], axis=0) / np.median(seconds["faiss.knn"], axis=0)).tolist()
    ours, theirs = found["evaluate"][0]["scores"], found["faiss.knn"][0]["scores"]
    agree = all(abs(ours["cmc"][rank] - share) < 1e-9 for rank, share in theirs["cmc"].items())
    memory = peaks["evaluate"] / size
    for text, reached in (
        (f"time: {wall:.2f} x a bare faiss.knn elapsed, {processor:.2f} x of processor", processor <= TIME_GOAL),
        (f"peak memory: {memory:.2f} x the features of {size:.0f} MiB", memory <= MEMORY_GOAL),
        (f"CMC of FAISS's lists: {theirs['cmc']}", agree),
    ):
        click.echo(f"{text}: {'reached' if reached else 'MISSED'}")
    return {
        "seconds": {name: values[:, 0].tolist() for name, values in seconds.items()},
        "processor_seconds": {name: values[:, 1].tolist() for name, values in seconds.items()},
        "time_to_faiss": wall,
        "processor_time_to_faiss": processor,
        "time_goal": TIME_GOAL,
        "features_mib": size,
        "peak_mib": peaks,
        "peak_to_features": memory,
        "beyond_making_the_features_mib": peaks["evaluate"] - peaks["features"],
        "memory_goal": MEMORY_GOAL,
        "scores": ours,
        "cmc_of_faiss": theirs["cmc"],
        "cmc_agrees": agree,
    }


@click.command()
@click.option("--probes", default=3728, show_default=True)
@click.option("--gallery", default=157_871, show_default=True)
@click.option("--dim", default=512, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--runs", default=3, show_default=True)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path(__file__).parent / "results" / "retrieval_speed.json"
)
@click.option("--measure", "measured", type=click.Choice(list(RUNS)), hidden=True)
def main(probes: int, gallery: int, dim: int, threads: int, runs: int, out: Path, measured: str | None) -> None:
    """Compare retrieval with a bare search."""
    if measured:
        measure(measured, probes, gallery, dim)
        return
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in RUNS}
    for run in range(runs):
        for name in RUNS if run == 0 else ("evaluate", "faiss.knn"):
            found[name].append(in_a_process(name, probes, gallery, dim, threads))
    import faiss

    where = {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}
    what = {"probes": probes, "gallery": gallery, "dim": dim, "threads": threads}
    write_json(out, what | report(found) | where | {"faiss": faiss.__version__})


if __name__ == "__main__":
    main()
