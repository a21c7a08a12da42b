"""Memory of the classifier's head by identities and processes: whole, and split (``loss.classification.split``).

A training step of an ArcFace head of 512 numbers in float32 with SGD, over a batch of 1,024 faces in all, without a network,
by gloo on the CPU; after one of a face a process, so that the momentum is there. Of each process the highest resident memory
is taken, less what it held before the head was made. ``--share-of N`` measures one process alone with the classes that it has
of N: of heads that do not fit on one machine the share can be measured, without the exchange with others.

    python benchmarks/split_memory.py --classes 100000 --processes 4
    python benchmarks/split_memory.py --classes 2000000 --share-of 8
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from lrface.files import write_json
from lrface.version import code_version

DIM, BATCH = 512, 1024
RESULTS = Path(__file__).parent / "results" / "split_memory.json"
GIB = 1 << 30


def resident(peak: bool) -> int:
    """Bytes of this process: now, or at most since :func:`forget_peak`."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(wanted):
            return 1024 * int(line.split()[1])
    raise RuntimeError("/proc/self/status does not tell")


def forget_peak() -> None:
    """The highest memory is counted from here on."""
    Path("/proc/self/clear_refs").write_text("5")


def work(rank: int, world: int, classes: int, meeting: str, out: str) -> None:
    """One process: measure, and write bytes to ``out``."""
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=world)
    _train(rank, world, 64 * world)  # so that the libraries' own buffers are there
    before = resident(peak=False)
    forget_peak()
    _train(rank, world, classes)
    Path(out, str(rank)).write_text(json.dumps({"before": before, "peak": resident(peak=True)}))
    dist.barrier()
    dist.destroy_process_group()


def _train(rank: int, world: int, classes: int) -> None:
    import torch

    from lrface.losses.margin import ArcFace
    from lrface.losses.split_margin import SplitMargin

    torch.manual_seed(0)
    whole = ArcFace(classes, DIM)
    head: torch.nn.Module = SplitMargin(whole) if world > 1 else whole
    optimiser = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
    generator = torch.Generator().manual_seed(rank)
    for count in (1, BATCH // world):
        rows = torch.randn(count, DIM, generator=generator, requires_grad=True)
        labels = torch.randint(classes, (count,), generator=generator)
        optimiser.zero_grad()
        head(rows, labels).backward()
        optimiser.step()


def measure(classes: int, processes: int) -> dict[str, Any]:
    """The most that any of the processes took beyond what it held before, in GiB."""
    import torch.multiprocessing as mp

    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, (processes, classes, f"{folder}/meeting", folder), nprocs=processes)
        found = [json.loads(Path(folder, str(rank)).read_text()) for rank in range(processes)]
    took = max(each["peak"] - each["before"] for each in found)
    return {"gib": round(took / GIB, 3), "before_gib": round(found[0]["before"] / GIB, 3)}


@click.command()
@click.option("--classes", "all_classes", multiple=True, type=int, required=True)
@click.option("--processes", "all_processes", multiple=True, type=int, default=(1,), show_default=True)
@click.option("--share-of", type=int, default=None, help="One process alone, with its share of so many.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, show_default=True)
def main(all_classes: tuple[int, ...], all_processes: tuple[int, ...], share_of: int | None, out: Path) -> None:
    """Measure, and add to the results."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = json.loads(out.read_text())["rows"] if out.exists() else []
    for classes in all_classes:
        for processes in (1,) if share_of else all_processes:
            row = {"classes": classes, "processes": share_of or processes, "alone": share_of is not None}
            row |= measure(-(-classes // share_of) if share_of else classes, processes)
            print(row, file=sys.stderr, flush=True)
            rows = [each for each in rows if any(each[key] != row[key] for key in ("classes", "processes", "alone"))]
            rows.append(row)
            facts = {
                "code": code_version(),
                "dim": DIM,
                "batch": BATCH,
                "dtype": "float32",
                "optimiser": "SGD, momentum",
            }
            write_json(out, facts | {"rows": sorted(rows, key=lambda each: (each["classes"], each["processes"]))})


if __name__ == "__main__":
    main()
