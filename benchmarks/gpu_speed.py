"""How fast a packed training runs, against its network alone, and what that means for a large set.

    python benchmarks/gpu_speed.py PACK --out speed.json

Two things take turns, a block of steps each, so that a drifting machine is the same for both: the network on one fixed
batch (forward, backward, SGD, in the same precision, compiled in the same way), and the training loop as `lrface train`
runs it. This is done for each way of compiling, with CRRCD and without, and for each size of batch. Works on a CPU too;
`--choose` only finds out which way of compiling trains fastest here.
"""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch

from lrface.data.packed import PackedStore
from lrface.errors import LrfaceError
from lrface.files import write_json
from lrface.losses.terms import needs_logits
from lrface.train.batches import normalise
from lrface.train.log import RunLog
from lrface.train.loop import Loop
from lrface.train.recipe import CRRCDSection, Recipe, parse_recipe
from lrface.train.run import build, compiles, make_fabric, open_faces
from lrface.train.split import Split, split_store
from lrface.version import code_version, hardware

#: The paper's training set and its epochs: CASIA-WebFace.
FACES, EPOCHS = 490_623, 35
GOAL = 0.95
WAYS: dict[str, Any] = {"false": False, "true": True, "graphs": "graphs"}


@dataclass(frozen=True)
class Setup:
    """A pack, opened once."""

    pack: Path
    store: PackedStore
    split: Split
    device: str
    steps: int
    turns: int


def change(recipe: Recipe, batch: int, way: Any, crrcd: bool) -> Recipe:
    """The recipe with another batch, way of compiling, and with or without CRRCD."""
    content = recipe.model_dump(mode="json")
    content["optim"]["batch_size"] = batch
    content["compile"] = way
    section = content["loss"]["crrcd"] or CRRCDSection().model_dump(mode="json")
    content["loss"]["crrcd"] = section if crrcd else None
    return parse_recipe(content, "gpu_speed")


def bare_step(loop: Loop, recipe: Recipe) -> Callable[[], None]:
    """The loop's network, a copy of it, on one fixed batch."""
    fabric, size = loop.fabric, loop.preprocessing.input_size
    network = copy.deepcopy(loop.objective.student)
    graphs = recipe.compile == "graphs" and fabric.device.type == "cuda"
    call: Any = network
    if compiles(recipe, fabric.device):
        call = torch.compile(network, dynamic=False, mode="reduce-overhead" if graphs else None)
    section = recipe.optim
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, section.momentum, weight_decay=section.weight_decay, nesterov=section.nesterov
    )
    pixels = torch.randint(256, (section.batch_size, 3, size, size), dtype=torch.uint8)
    batch = normalise(pixels.to(fabric.device)).contiguous(memory_format=loop.objective.layout)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with fabric.autocast():
            value = call(batch).float().square().mean()
        value.backward()
        optimizer.step()

    return step


def loop_step(loop: Loop, folder: Path) -> Callable[[], None]:
    """A step of training: views, targets, network, losses, optimizers, queue."""
    loop.module.train()
    log = RunLog(folder, 1, 0, 0, active=False)
    waiting = (batch for epoch in range(1_000_000) for batch in loop.batches.epoch(epoch))
    return lambda: loop._step(next(waiting), log)


def timed(step: Callable[[], None], steps: int, cuda: bool) -> float:
    """Seconds of so many steps, the device's work included."""
    wait = torch.cuda.synchronize if cuda else nullcontext
    wait()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    wait()
    return time.perf_counter() - start


def measure(setup: Setup, recipe: Recipe) -> dict[str, Any]:
    """Images a second of the network alone and of the loop; medians over the turns."""
    fabric = make_fabric(setup.device, recipe.precision)
    cuda = fabric.device.type == "cuda"
    with tempfile.TemporaryDirectory() as folder:
        loop = build(recipe, fabric, setup.store, setup.split, setup.pack, Path(folder))
        runs = {"network": bare_step(loop, recipe), "loop": loop_step(loop, Path(folder))}
        warm = {name: timed(step, max(setup.steps // 4, 4), cuda) for name, step in runs.items()}
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(setup.turns):
            for name, step in runs.items():
                rates[name].append(setup.steps * recipe.optim.batch_size / timed(step, setup.steps, cuda))
    found = {name: statistics.median(values) for name, values in rates.items()}
    return found | {"share": found["loop"] / found["network"], "first_steps_seconds": warm}


def describe(row: dict[str, Any]) -> str:
    """A line of the table."""
    name = f"batch {row['batch']:<5} compile={row['compile']!s:<7} CRRCD {'yes' if row['crrcd'] else 'no ':<4}"
    if "failed" in row:
        return f"{name} failed: {row['failed']}"
    return (
        f"{name} network {row['network']:9.0f} img/s  loop {row['loop']:9.0f} img/s  {100 * row['share']:5.1f} %  "
        f"{row['minutes']:8.1f} min for {EPOCHS} epochs of {FACES:,} faces"
    )


def run_all(
    setup: Setup, recipe: Recipe, batches: tuple[int, ...], ways: tuple[Any, ...], both: bool
) -> list[dict[str, Any]]:
    """A row for each way; one that a machine cannot do says why."""
    rows = []
    logits = recipe.loss.kd is not None or needs_logits(recipe.loss.methods)
    with_crrcd = [recipe.loss.crrcd is not None]
    if both and recipe.teacher is not None:
        with_crrcd = [True, False] if recipe.loss.cosine or recipe.loss.classification or logits else [True]
    for batch in batches or (recipe.optim.batch_size,):
        for way in ways:
            for crrcd in with_crrcd:
                row: dict[str, Any] = {"batch": batch, "compile": way, "crrcd": crrcd}
                try:
                    row |= measure(setup, change(recipe, batch, way, crrcd))
                    row["minutes"] = EPOCHS * FACES / row["loop"] / 60
                except LrfaceError:
                    raise
                except Exception as error:  # a compiler that is not there, memory that is too small: the others go on
                    row["failed"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                click.echo(describe(row))
                rows.append(row)
    return rows


@click.command()
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("--device", default="auto", show_default=True)
@click.option("--batch", "batches", multiple=True, type=click.IntRange(2), help="Repeatable.  [default: the recipe's]")
@click.option(
    "--way", "ways", multiple=True, type=click.Choice(list(WAYS)), help="To compile; repeatable.  [default: all]"
)
@click.option("--steps", default=50, show_default=True, help="Of a block.")
@click.option("--turns", default=5, show_default=True, help="Blocks of each.")
@click.option("--choose", is_flag=True, help="Only with the recipe's own losses; print the fastest way for --set.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write the figures to this JSON file.")
def main(
    pack: Path,
    device: str,
    batches: tuple[int, ...],
    ways: tuple[str, ...],
    steps: int,
    turns: int,
    choose: bool,
    out: Path | None,
) -> None:
    """Measure the training of PACK on this machine."""
    store = PackedStore(pack)
    recipe = parse_recipe(store.facts["recipe"], str(pack))
    open_faces(recipe, pack)
    setup = Setup(pack, store, split_store(store, recipe.data), device, steps, turns)
    rows = run_all(setup, recipe, batches, tuple(WAYS[way] for way in ways or WAYS), both=not choose)
    good = [row for row in rows if "loop" in row]
    fastest = max(good, key=lambda row: row["loop"]) if good else None
    if fastest is not None:
        reached = max(row["share"] for row in good)
        click.echo(f"the loop reaches up to {100 * reached:.1f} % of its network's rate (goal {100 * GOAL:.0f} %)")
        click.echo(f"fastest: compile={str(fastest['compile']).lower()}")
    if out:
        kind = "cuda" if device == "auto" and torch.cuda.is_available() else device
        facts = {"hardware": hardware(kind), "torch": torch.__version__, "threads": torch.get_num_threads()}
        write_json(
            out, facts | {"pack": recipe.name, "steps": steps, "turns": turns, "rows": rows, "code": code_version()}
        )


if __name__ == "__main__":
    main()
