"""Measure galleries of 1,000, 100,000 and 1,000,000 embeddings: speed of growth, start and search, size, and recall.

The people are made up (``gallery_people.py``), with ten faces each. Everything goes through
:class:`lrface.recognition.gallery.Gallery`; only the embedding of images is left out. Each measurement runs in its own
process.

``--compare N`` compares alternatives for the approximate index instead, on N such embeddings: inverted lists, a graph
(HNSW), and product quantisation with and without a rotation.

    python benchmarks/gallery.py --sizes 1000 --sizes 100000
    python benchmarks/gallery.py --compare 50000
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from gallery_people import DIM, PEOPLE, TOP, IndexTimer, encoder, faces, nearest_people, queries, recall

from lrface.files import read_json, write_json
from lrface.recognition.gallery import Gallery
from lrface.recognition.gallery.index import load_faiss
from lrface.recognition.gallery.recall import Nearest
from lrface.version import code_version

EACH = 10
PART = PEOPLE * EACH
SINGLE = 50
RESULTS = Path(__file__).parent / "results" / "gallery.json"


def all_faces(count: int) -> Iterator[tuple[int, np.ndarray, list[str]]]:
    """The faces of the gallery, one part at a time: number of the part, embeddings, names."""
    for part in range(count // PART):
        yield part, *faces(part, EACH, seed=6)


def grow(folder: Path, count: int) -> dict[str, Any]:
    """Measure the growth of a gallery. The last faces are added one at a time."""
    adding, computing, single = 0.0, 0.0, list[float]()
    with Gallery.open(folder, encoder(), notify=lambda line: click.echo(line, err=True)) as gallery:
        index = IndexTimer(gallery)
        for part, rows, names in all_faces(count):
            last = SINGLE if part == count // PART - 1 else 0
            bulk = len(rows) - last
            sources = [f"{part}/{number}" for number in range(len(rows))]
            start, processor = time.perf_counter(), time.process_time()
            gallery.add_embeddings(names[:bulk], rows[:bulk], sources[:bulk])
            adding += time.perf_counter() - start
            computing += time.process_time() - processor
            for number in range(bulk, len(rows)):
                start = time.perf_counter()
                gallery.add_embeddings(
                    names[number : number + 1], rows[number : number + 1], sources[number : number + 1]
                )
                single.append(time.perf_counter() - start)
        info = gallery.info()
    return {
        "add_per_s": (count - SINGLE) / adding,
        "add_per_cpu_s": (count - SINGLE) / computing,
        "index_s": index.seconds,
        "add_one_ms": 1e3 * float(np.median(single)),
        "disk_mb": info["bytes"] / 1e6,
        "index": info["index"],
    }


def ask(folder: Path, count: int) -> dict[str, Any]:
    """Measure the opening of a gallery and the search, in a new process."""
    rows, who = queries(count // PART)
    model = encoder()
    load_faiss()
    before = memory()
    start, processor = time.perf_counter(), time.process_time()
    gallery = Gallery.open(folder, model, create=False)
    answer = gallery.search_embedding(rows[0], TOP)
    started, computed = time.perf_counter() - start, time.process_time() - processor
    seconds, computing, answers = [], [], []
    for row in rows:
        start, processor = time.perf_counter(), time.process_time()
        answer = gallery.search_embedding(row, TOP)
        seconds.append(time.perf_counter() - start)
        computing.append(time.process_time() - processor)
        answers.append([match.name for match in answer.matches])
    after = memory()
    gallery.close()
    first, five = recall(answers, nearest_people(rows, (part[1:] for part in all_faces(count)), EACH))
    return {
        "method": answer.method,
        "start_ms": 1e3 * started,
        "start_cpu_ms": 1e3 * computed,
        "search_ms": 1e3 * float(np.median(seconds)),
        "search_cpu_ms": 1e3 * float(np.median(computing)),
        "search_ms_95": 1e3 * float(np.quantile(seconds, 0.95)),
        "recall_person_1": first,
        "recall_person_5": five,
        "right_person": float(np.mean([got[0] == name for got, name in zip(answers, who, strict=True)])),
        "process_mib": after,
        "gallery_mib": {key: after[key] - before[key] for key in after},
    }


def memory() -> dict[str, float]:
    """Memory of this process in MiB: its own, and that of mapped files, which it may share."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) / 1024 for name, key in (("own", "RssAnon"), ("mapped", "RssFile"))}


def alternatives(count: int) -> list[dict[str, Any]]:
    """Build time, size, search time and recall of kinds of index that could propose candidates."""
    faiss = load_faiss()
    rows = np.concatenate([found for _, found, _ in all_faces(count)])
    probes, _ = queries(count // PART)
    nearest = Nearest(probes, 10)
    nearest.see(np.arange(count), rows)
    lists = 1 << round(np.log2(4 * count**0.5))
    candidates: dict[str, tuple[str, Callable[[Any], list[tuple[str, int]]], str]] = {
        "exact, float16": ("SQfp16", lambda index: [("", 0)], ""),
        "inverted lists, float16": (
            f"IVF{lists},SQfp16",
            lambda index: [("nprobe", n) for n in (16, 64, 256)],
            "nprobe",
        ),
        "HNSW, float16": ("HNSW32_SQfp16", lambda index: [("efSearch", n) for n in (64, 256)], "efSearch"),
        "4-bit product quantisation": (f"PQ{DIM // 4}x4fs", lambda index: [("depth", n) for n in (256, 512, 1024)], ""),
        "the same, rotated": (f"RR{DIM},PQ{DIM // 4}x4fs", lambda index: [("depth", n) for n in (256, 512, 1024)], ""),
    }
    results = []
    for name, (factory, settings, parameter) in candidates.items():
        index = faiss.index_factory(DIM, factory, faiss.METRIC_INNER_PRODUCT)
        start = time.process_time()
        index.train(rows)
        index.add(rows)
        built = time.process_time() - start
        size = len(faiss.serialize_index(index)) / count
        for key, value in settings(index):
            if parameter:
                faiss.ParameterSpace().set_index_parameter(index, parameter, value)
            depth = value if key == "depth" else 10
            seconds, found = [], []
            for probe, wanted in zip(probes, nearest.ids, strict=True):
                start = time.process_time()
                proposed = index.search(probe[None], depth)[1][0]
                seconds.append(time.process_time() - start)
                found.append(np.isin(wanted, proposed))
            hits = np.stack(found)
            results.append(
                {
                    "index": name,
                    "setting": f"{key} {value}".strip() if key else "",
                    "build_cpu_s": built,
                    "bytes_per_face": size,
                    "search_cpu_ms": 1e3 * float(np.median(seconds)),
                    "recall_1": float(hits[:, 0].mean()),
                    "recall_10": float(hits.mean()),
                }
            )
            click.echo(json.dumps(results[-1]), err=True)
        del index
    return results


def table(results: dict[str, Any]) -> str:
    """All results as Markdown."""
    lines = [
        "# Galleries",
        "",
        f"{DIM}-d embeddings in float16, {EACH} a person, made up by `gallery_people.py`; {results['cores']} cores.",
    ]
    if results["sizes"]:
        lines += [
            "Times are elapsed ones on a machine that others use, too, and in brackets those of the processor.",
            "",
            "| faces | search | median search, ms | people found: nearest / 5 nearest, of exact | add, faces/s | add one, ms | "
            "first answer, ms | memory, MiB own + mapped | disk, MB |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
    for size, row in sorted(results["sizes"].items(), key=lambda item: int(item[0])):
        taken = row["gallery_mib"]
        lines.append(
            f"| {int(size):,} | {row['method']} | {row['search_ms']:.1f} ({row['search_cpu_ms']:.1f}) | "
            f"{row['recall_person_1']:.3f} / {row['recall_person_5']:.3f} | "
            f"{row['add_per_s']:,.0f} ({row['add_per_cpu_s']:,.0f}) | {row['add_one_ms']:.1f} | "
            f"{row['start_ms']:.0f} ({row['start_cpu_ms']:.0f}) | {taken['own']:.0f} + {taken['mapped']:.0f} | "
            f"{row['disk_mb']:,.0f} |"
        )
    for size, rows in results["compare"].items():
        lines += [
            "",
            f"What could propose the faces that are then compared exactly, on {int(size):,} of the same embeddings, one "
            "thread, processor time:",
            "",
            "| index | setting | build, s | bytes a face | search, ms | nearest found | ten nearest found |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['index']} | {row['setting']} | {row['build_cpu_s']:.1f} | {row['bytes_per_face']:,.0f} | "
            f"{row['search_cpu_ms']:.2f} | {row['recall_1']:.3f} | {row['recall_10']:.3f} |"
            for row in rows
        ]
    return "\n".join(lines) + "\n"


def fresh(kind: str, folder: Path, count: int) -> dict[str, Any]:
    """Run one measurement in its own process."""
    command = [sys.executable, __file__, "--measure", kind, str(folder), str(count)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    measured: dict[str, Any] = json.loads(output)
    return measured


@click.command()
@click.option("--sizes", multiple=True, type=int, help="Numbers of faces, in thousands; repeatable.")
@click.option("--compare", default=0, help="Number of faces on which to compare kinds of index.")
@click.option(
    "--scratch", type=click.Path(path_type=Path), default=None, help="Where the galleries go; a temporary folder."
)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS)
@click.option("--measure", "measured", nargs=3, hidden=True)
def main(
    sizes: tuple[int, ...], compare: int, scratch: Path | None, out: Path, measured: tuple[str, str, str] | None
) -> None:
    """Measure, and add the figures to the results."""
    if measured:
        kind, place, count = measured
        click.echo(json.dumps({"grow": grow, "ask": ask}[kind](Path(place), int(count))))
        return
    results = read_json(out) if out.exists() else {"sizes": {}, "compare": {}}
    for size in sizes:
        folder = Path(tempfile.mkdtemp(dir=scratch))
        try:
            results["sizes"][str(size)] = fresh("grow", folder / "gallery", size) | fresh(
                "ask", folder / "gallery", size
            )
        finally:
            shutil.rmtree(folder)
    if compare:
        load_faiss().omp_set_num_threads(1)
        results["compare"] = {str(compare): alternatives(compare)}
    results |= {"cores": os.cpu_count(), "python": platform.python_version(), "faiss": load_faiss().__version__}
    results["code"] = code_version()
    write_json(out, results)
    out.with_suffix(".md").write_text(table(results))
    click.echo(table(results))


if __name__ == "__main__":
    main()
