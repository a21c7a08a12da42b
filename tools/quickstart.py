"""All steps of lrface in minutes: draw faces, prepare them, train a teacher and two 16-pixel students, and compare these.

The faces are drawn by lrface.data.synthetic and show no real person. The numbers show that the parts work together; they
say nothing about real faces. After a kill, run the same command again to continue.
"""

import sys
from pathlib import Path

import click
import numpy as np

from lrface.data import synthetic
from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.sets.pair_set import PairSet
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.eval.lfw import Row, verify_pairs
from lrface.faces.degrade import Degradation
from lrface.files import write_json
from lrface.models.embedder import open_embedder
from lrface.train.recipe import load_recipe
from lrface.train.run import train
from lrface.train.split import draw_pairs
from lrface.version import code_version

RECIPES = Path(__file__).parent.parent / "recipes"
TRAIN_IDENTITIES, TRAIN_IMAGES = 220, 20
TEST_IDENTITIES, TEST_IMAGES = 60, 12
TEST_PAIRS = 2000  # of each kind
PLAIN = ("loss.kd=null", "loss.crrcd=null")


def draw_and_prepare(out: Path, workers: int) -> None:
    """Make two stores of synthetic faces, ``train`` and ``test``, without a common identity."""
    sets = (("train", 0, TRAIN_IDENTITIES, TRAIN_IMAGES), ("test", TRAIN_IDENTITIES, TEST_IDENTITIES, TEST_IMAGES))
    for name, first, identities, images in sets:
        folder = out / "faces" / name
        synthetic.generate(folder, identities, images, seed=0, first_identity=first, workers=workers)
        prepare(folder, out / name, Settings(detector="none"), workers=workers)


def run_recipe(name: str, folder: Path, out: Path, seed: int, overrides: tuple[str, ...] = ()) -> Path:
    """Train a recipe, unless that has been done. Returns the model file."""
    model = folder / "model.safetensors"
    if not model.exists():
        recipe = load_recipe(RECIPES / f"{name}.yaml", (*overrides, f"seed={seed}"))
        if not train(recipe, folder, out, device="cpu", resume=(folder / "last.ckpt").exists()).finished:
            raise click.Abort
    return model


def test_pairs(out: Path) -> PairSet:
    """Pairs of identities that no model was trained on."""
    store = Store(out / "test")
    a, b, same = draw_pairs(store.labels, TEST_PAIRS, seed=1)
    return PairSet([store.crop(i) for i in range(len(store))], a, b, same, "unseen drawn identities", "as drawn")


def measure(out: Path, teacher: Path, plain: Path, distilled: Path) -> dict[str, Row]:
    """Measure the teacher and the students on the same pairs."""
    pairs, low = test_pairs(out), Degradation()
    return {
        "teacher, full resolution": verify_pairs(open_embedder(teacher), pairs, mode="hr-hr"),
        "teacher, fed 16 px": verify_pairs(open_embedder(teacher), pairs, low),
        "student, no distillation": verify_pairs(open_embedder(plain), pairs, low),
        "student, CRRCD": verify_pairs(open_embedder(distilled), pairs, low),
    }


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("quickstart"), show_default=True)
@click.option(
    "--seed", "seeds", type=int, multiple=True, default=[5], show_default=True, help="Seed of the students; repeatable."
)
@click.option("--workers", default=2, show_default=True, help="Processes that draw and prepare.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=None, help="Write the figures to this JSON file too."
)
def main(out: Path, seeds: tuple[int, ...], workers: int, results: Path | None) -> None:
    """Draw faces, train a teacher and two 16-pixel students, and compare the students on unseen identities."""
    click.echo("These faces are drawn, not photographed: the figures below say nothing about real faces.")
    try:
        draw_and_prepare(out, workers)
        teacher = run_recipe("quickstart_teacher", out / "teacher", out, 5)
        scores: dict[str, list[Row]] = {}
        for seed in seeds:
            plain = run_recipe("quickstart", out / f"plain-{seed}", out, seed, PLAIN)
            distilled = run_recipe("quickstart", out / f"crrcd-{seed}", out, seed)
            for name, row in measure(out, teacher, plain, distilled).items():
                scores.setdefault(name, []).append(row)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    report(scores, seeds, results or out / "results.json")
    click.echo(f"try it: lrface verify --detector none --model {out / f'crrcd-{seeds[0]}' / 'model.safetensors'} \\")
    faces = sorted((out / "faces" / "test").glob("*/*.jpg"))
    click.echo(f"    {faces[0]} {faces[1]}")


def report(scores: dict[str, list[Row]], seeds: tuple[int, ...], results: Path) -> None:
    """Print the table, and write it as JSON."""
    width = max(map(len, scores))
    click.echo(
        f"\n{2 * TEST_PAIRS} pairs of {TEST_IDENTITIES} unseen drawn identities, seeds {', '.join(map(str, seeds))}:"
    )
    for name, rows in scores.items():
        accuracies = [100 * row.result.accuracy for row in rows]
        spread = f" ± {np.std(accuracies, ddof=1):.2f} over seeds" if len(rows) > 1 else ""
        auc = np.mean([row.result.auc for row in rows])
        click.echo(f"  {name:<{width}}  accuracy {np.mean(accuracies):5.2f} %{spread}   AUC {auc:.4f}")
    written = {name: [row.as_dict() for row in found] for name, found in scores.items()}
    write_json(results, {"faces": "drawn", "seeds": seeds, "code": code_version(), "rows": written})
    click.echo(f"written to {results}")


if __name__ == "__main__":
    main()
