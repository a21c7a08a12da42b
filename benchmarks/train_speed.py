"""Cost of training compared with the bare network: the full step with cached teacher outputs, and the share of CRRCD.

Three measurements take turns, step by step, so that changes of the machine affect all of them: the network alone on one fixed
batch in memory (forward, backward, SGD); the full training step of `lrface train` with CRRCD; the same without CRRCD.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import torch

from lrface.data import synthetic
from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.store import Store
from lrface.files import write_json
from lrface.models import create
from lrface.models.preprocessing import Preprocessing
from lrface.train.batches import Batches, LowFaces, TeacherTargets, normalise
from lrface.train.log import RunLog
from lrface.train.loop import Loop
from lrface.train.objective import Objective
from lrface.train.recipe import LossSection, OptimSection, Recipe, parse_recipe
from lrface.train.run import make_fabric
from lrface.train.split import split_store
from lrface.version import code_version

TEACHER_DIM = 512


def bare_step(recipe: Recipe) -> Callable[[], None]:
    """A step of the network alone."""
    network = create(recipe.model.name, **recipe.model.kw).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), 0.01, recipe.optim.momentum, weight_decay=recipe.optim.weight_decay
    )
    batch = normalise(torch.randint(256, (recipe.optim.batch_size, 3, 16, 16), dtype=torch.uint8))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        network(batch).square().mean().backward()
        optimizer.step()

    return step


def whole_step(recipe: Recipe, store: Store, folder: Path) -> Callable[[], None]:
    """A full training step of `lrface train`: data, network, losses, optimizers, queue and log."""
    fabric = make_fabric("cpu", "32")
    split = split_store(store, recipe.data)
    cached = np.random.default_rng(0).standard_normal((2, len(store), TEACHER_DIM)).astype(np.float32)
    objective = Objective(
        create(recipe.model.name, **recipe.model.kw), recipe.loss, split.classes, len(split.train), TEACHER_DIM
    )
    targets = TeacherTargets(cached, None, split, fabric.device)
    batches = Batches(
        LowFaces(store, split, fabric.device), targets, None, split, recipe.augment, 16,
        recipe.optim.batch_size, recipe.seed, 0, 1, fabric.device,
    )  # fmt: skip
    preprocessing = Preprocessing(16, degradation=store.degradation)
    loop = Loop(recipe, fabric, objective, batches, preprocessing, None, store.fingerprint, folder)
    loop.module.train()
    log = RunLog(folder, 1, 0, 0, active=False)
    waiting = (batch for epoch in range(10_000) for batch in batches.epoch(epoch))
    return lambda: loop._step(next(waiting), log)


def recipe_with(losses: LossSection, batch: int, width: int) -> Recipe:
    """The student's recipe with the given losses."""
    content = {
        "name": "speed",
        "data": {"store": "store"},
        "teacher": {"model": "none"},
        "model": {"kw": {"width": width}},
    }
    optim = OptimSection(batch_size=batch).model_dump()
    return parse_recipe(content | {"loss": losses.model_dump(), "optim": optim}, "train_speed")


@click.command()
@click.option("--steps", default=20, show_default=True, help="Counted steps of each.")
@click.option("--batch", default=96, show_default=True)
@click.option("--width", default=64, show_default=True, help="Width of the student; 64 is ResNet18.")
@click.option("--identities", default=150, show_default=True, help="Synthetic people, 10 faces each.")
@click.option("--threads", default=torch.get_num_threads(), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Write the figures to this JSON file.")
def main(steps: int, batch: int, width: int, identities: int, threads: int, out: Path | None) -> None:
    """Time the training step against the bare network."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        synthetic.generate(folder / "faces", identities, 10, seed=0, progress=False)
        prepare(folder / "faces", folder / "store", Settings(detector="none"), progress=False)
        store = Store(folder / "store")
        cosine = {"cosine": {"weight": 1.0}}
        with_crrcd = recipe_with(LossSection.model_validate(cosine | {"crrcd": {}}), batch, width)
        without = recipe_with(LossSection.model_validate(cosine), batch, width)
        runs = {
            "network": bare_step(with_crrcd),
            "step with CRRCD": whole_step(with_crrcd, store, folder),
            "step without CRRCD": whole_step(without, store, folder),
        }
        times: dict[str, list[float]] = {name: [] for name in runs}
        for number in range(steps + 8):  # the first steps fill the queue and warm the caches
            for name, step in runs.items():
                start = time.perf_counter()
                step()
                if number >= 8:
                    times[name].append(time.perf_counter() - start)
    medians = {name: 1000 * statistics.median(values) for name, values in times.items()}
    crrcd = medians["step with CRRCD"] - medians["step without CRRCD"]
    figures = {
        "ms": medians,
        "rate without CRRCD / rate of the network": medians["network"] / medians["step without CRRCD"],
        "CRRCD / network": crrcd / medians["network"],
    }
    for name, value in medians.items():
        click.echo(f"{name:<20} {value:8.1f} ms  {1000 * batch / value:7.1f} img/s")
    click.echo(
        f"rate of the step without CRRCD: {100 * medians['network'] / medians['step without CRRCD']:.1f} % of the network's"
    )
    click.echo(f"CRRCD adds {100 * crrcd / medians['network']:.1f} % of the network's own cost")
    if out:
        settings = {"batch": batch, "width": width, "threads": threads, "steps": steps}
        write_json(out, figures | settings | {"code": code_version()})


if __name__ == "__main__":
    main()
