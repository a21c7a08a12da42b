"""Latency of a face: milliseconds on one thread, for batches of 1 and 64 faces, and megabytes on disk.

python benchmarks/latency.py --peer FaceNet-CASIA=facenet_casia.onnx --peer "dlib ResNet=dlib_resnet.onnx" \\
    --out benchmarks/results/latency

Our models take 16 px faces directly. Peers get the same faces upsampled to 112, 150 or 160 px. The time is that of
``Embedder.embed``, from uint8 pixels to one embedding without the mirror image, with the upsampling. All models take
turns in every round, so that changes of the machine affect all of them. The figures are medians over rounds. The main
figure is the processor time: it equals the elapsed time on an idle machine, and depends little on other programs on a
busy one. The elapsed time is printed next to it, and the JSON file has both for every round. A shipped model that does
not exist yet, and topologies without free weights, run with random weights, which does not change the time.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import torch

from lrface.errors import LrfaceError
from lrface.export.graph import set_card, trace
from lrface.export.linked import write_graph
from lrface.export.parity import drawn_faces
from lrface.export.quantize import quantize
from lrface.faces.degrade import Degradation
from lrface.files import atomic_write, write_json
from lrface.models import create, save_model, shipped
from lrface.models.embedder import GRAPH_SUFFIX, Embedder, open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.version import code_version, hardware

SIDE = 16
BATCHES = (1, 64)
#: Minimum time for single faces in a round. One face takes so little time that a round embeds many.
SECONDS_OF_SINGLES = 0.15
OURS = {"lrface-r18-16px": "resnet18", "lrface-small-16px": "resnet16"}
TOPOLOGIES = {"IResNet-50": "iresnet50", "MobileFaceNet": "mobilefacenet"}
BASE = "FaceNet-CASIA"
PACKAGES = ("onnxruntime", "openvino", "torch")


@dataclass
class Row:
    """One model in one runtime, with its wall and processor times in milliseconds per face, by batch size and round."""

    name: str
    precision: str
    runtime: str
    embedder: Embedder
    megabytes: float
    weights: str
    wall: dict[int, list[float]] = field(default_factory=lambda: {batch: [] for batch in BATCHES})
    processor: dict[int, list[float]] = field(default_factory=lambda: {batch: [] for batch in BATCHES})

    def clock(self, faces: Sequence[np.ndarray]) -> None:
        """Measure one round: single faces for a while, then one batch of all faces."""
        times = [self._one(faces[:1])]
        while sum(wall for wall, _ in times) < SECONDS_OF_SINGLES or len(times) < 3:
            times.append(self._one(faces[:1]))
        self._note(1, times)
        self._note(len(faces), [self._one(faces)])

    def _one(self, faces: Sequence[np.ndarray]) -> tuple[float, float]:
        wall, processor = time.perf_counter(), time.process_time()
        self.embedder.embed(faces, batch_size=len(faces))
        return time.perf_counter() - wall, time.process_time() - processor

    def _note(self, batch: int, times: list[tuple[float, float]]) -> None:
        for kept, column in zip((self.wall, self.processor), zip(*times, strict=True), strict=True):
            kept[batch].append(1000 * statistics.median(column) / batch)


def our_rows(folder: Path, runtimes: Sequence[str]) -> list[Row]:
    """Both of our models in every runtime, float32 and int8. Torch has no int8."""
    rows = []
    for name, architecture in OURS.items():
        path = shipped.find(name) or _random_model(name, architecture, folder)
        int8 = shipped.find(f"{name}-int8") or _random_int8(path, folder)
        of_full, of_int8 = ("random" if folder in file.parents else "shipped" for file in (path, int8))
        graph = path.with_name(path.stem + GRAPH_SUFFIX)
        for runtime in runtimes:
            size = _megabytes(path, *([graph] if runtime != "torch" else []))
            rows.append(_row(name, "float32", runtime, path, size, of_full))
            if runtime != "torch":
                rows.append(_row(name, "int8", runtime, int8, _megabytes(int8), of_int8))
    return rows


def peer_rows(peers: Sequence[tuple[str, Path]], folder: Path) -> list[Row]:
    """The peers' files and the topologies, in ONNX Runtime."""
    files = [(name, path, "trained") for name, path in peers]
    for name, architecture in TOPOLOGIES.items():
        torch.manual_seed(0)
        module = create(architecture).eval()
        size = int(module.input_size)  # type: ignore[arg-type]
        files.append((name, _save(trace(module, size), Preprocessing(size), folder / f"{architecture}.onnx"), "random"))
    return [_row(name, "float32", "onnxruntime", path, _megabytes(path), kind) for name, path, kind in files]


def report(rows: list[Row]) -> list[dict[str, Any]]:
    """The figures as values for JSON. The ratios compare with FaceNet in ONNX Runtime."""
    base = next((row for row in rows if row.name == BASE), None)
    figures = []
    for row in rows:
        entry: dict[str, Any] = {
            "model": row.name, "precision": row.precision, "runtime": row.runtime, "weights": row.weights,
            "input": row.embedder.preprocessing.input_size, "megabytes": row.megabytes,
        }  # fmt: skip
        for batch in BATCHES:
            milliseconds = statistics.median(row.processor[batch])
            entry[f"ms_batch_{batch}"] = milliseconds
            entry[f"wall_ms_batch_{batch}"] = statistics.median(row.wall[batch])
            entry[f"faster_batch_{batch}"] = statistics.median(base.processor[batch]) / milliseconds if base else None
            entry[f"rounds_batch_{batch}"] = {"processor": row.processor[batch], "wall": row.wall[batch]}
        figures.append(entry)
    return figures


def table(figures: list[dict[str, Any]], facts: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"One thread, {facts['machine']}; {facts['rounds']} rounds, medians; load average {facts['load'][0]:.1f} before "
        f"and {facts['load'][1]:.1f} after. Milliseconds of processor time per face, without the mirror image.",
        "",
        "| model | precision | runtime | input | MB | ms, batch 1 | by the wall clock | ms, batch 64 "
        f"| times faster than {BASE}: batch 1 | batch 64 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in figures:
        faster = " | ".join(
            "-" if row[f"faster_batch_{b}"] is None else f"{row[f'faster_batch_{b}']:.1f}" for b in BATCHES
        )
        mark = " (random weights)" if row["weights"] == "random" else ""
        lines.append(
            f"| {row['model']}{mark} | {row['precision']} | {row['runtime']} | {row['input']} px | {row['megabytes']:.1f} "
            f"| {row['ms_batch_1']:.2f} | {row['wall_ms_batch_1']:.2f} | {row['ms_batch_64']:.2f} | {faster} |"
        )
    return "\n".join(lines) + "\n"


def _row(name: str, precision: str, runtime: str, path: Path, megabytes: float, weights: str) -> Row:
    return Row(name, precision, runtime, open_embedder(path, threads=1, runtime=runtime), megabytes, weights)


def _random_model(name: str, architecture: str, folder: Path) -> Path:
    torch.manual_seed(0)
    path = folder / f"{name}.safetensors"
    preprocessing = Preprocessing(SIDE, degradation=Degradation(SIDE))
    save_model(path, create(architecture).eval(), {"preprocessing": preprocessing.as_dict()}, half=True)
    write_graph(path)
    return path


def _random_int8(path: Path, folder: Path) -> Path:
    """An int8 model for timing only: its ranges are those of synthetic faces."""
    embedder = open_embedder(path, runtime="torch")
    preprocessing = embedder.preprocessing
    batch = preprocessing.batch(np.stack([preprocessing.fit(face) for face in drawn_faces()]))
    proto = trace(embedder.network.module, preprocessing.input_size)  # type: ignore[attr-defined]
    return _save(quantize(proto, [batch]), preprocessing, folder / f"{path.stem}-int8.onnx")


def _save(proto: Any, preprocessing: Preprocessing, path: Path) -> Path:
    set_card(proto, {"preprocessing": preprocessing.as_dict()})
    path.write_bytes(proto.SerializeToString())
    return path


def _megabytes(*paths: Path) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _parse_peer(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[tuple[str, Path]]:
    peers = []
    for text in texts:
        name, _, path = text.partition("=")
        if not Path(path).is_file():
            raise click.BadParameter(f"{text}: write NAME=FILE")
        peers.append((name, Path(path)))
    return peers


@click.command()
@click.option(
    "--peer", "peers", multiple=True, callback=_parse_peer, help=f"NAME=FILE.onnx; {BASE}=... is compared with."
)
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(1))
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write OUT.json and OUT.md.")
def main(peers: list[tuple[str, Path]], rounds: int, out: Path | None) -> None:
    """Time our models and the peers in one run."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    load = [os.getloadavg()[0]]
    runtimes = [name for name in PACKAGES if _installed(name)]
    faces = [Degradation(SIDE)(face) for face in drawn_faces(max(BATCHES))]
    with tempfile.TemporaryDirectory() as folder:
        try:
            rows = our_rows(Path(folder), runtimes) + peer_rows(peers, Path(folder))
        except LrfaceError as error:
            raise click.ClickException(str(error)) from error
        for row in rows:
            row.embedder.embed(faces[:2])  # the first call allocates memory
        for number in range(rounds):
            click.echo(f"round {number + 1} of {rounds}", err=True)
            for row in rows:
                row.clock(faces)
    facts = {
        "machine": hardware(), "rounds": rounds, "load": [*load, os.getloadavg()[0]], "code": code_version(),
        "packages": {name: _installed(name) for name in PACKAGES},
    }  # fmt: skip
    figures = report(rows)
    text = table(figures, facts)
    click.echo(text)
    if out:
        write_json(out.with_suffix(".json"), facts | {"rows": figures})
        with atomic_write(out.with_suffix(".md"), "w") as file:
            file.write(text)


if __name__ == "__main__":
    main()
