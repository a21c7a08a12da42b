"""``lrface sweep``."""

from pathlib import Path

import click

from lrface.cli.options import DATA_ROOT, FilePath
from lrface.errors import LrfaceError


def _seeds(context: click.Context, option: click.Parameter, text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise LrfaceError(f"--seeds {text}: give numbers, such as 5,6,7")
    return [int(part) for part in parts]


@click.command("sweep")
@click.argument("files", nargs=-1, required=True, metavar="SWEEP...", type=FilePath())
@click.option("--out", default="runs", show_default=True, type=FilePath(path_type=Path), help="Results go to OUT/NAME.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Number of runs at the same time.")
@click.option(
    "--device", "devices", multiple=True, default=("auto",), show_default=True,
    help="As for `lrface train`; give it several times to spread the runs: --jobs 2 --device cuda:0 --device cuda:1.",
)  # fmt: skip
@click.option("--recipe", default=None, type=FilePath(path_type=Path), help="Another base recipe than the sweep's own.")
@click.option("--seeds", callback=_seeds, default=None, metavar="5,6,...", help="Other seeds than the sweep's own.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key in all runs; repeatable.")
@click.option(
    "--only", multiple=True, metavar="KEY=VALUE",
    help="Train only the runs with this value, such as teacher.network=resnet56; repeatable. The table shows all runs.",
)  # fmt: skip
@DATA_ROOT
def command(
    files: tuple[str, ...], out: Path, jobs: int, devices: tuple[str, ...], recipe: Path | None, seeds: list[int] | None,
    overrides: tuple[str, ...], only: tuple[str, ...], data_root: str,
) -> None:  # fmt: skip
    """Train every point of each SWEEP file with every seed, and write a table and a curve for each file.

    After Ctrl-C or a kill, run the same command again: finished runs are not repeated. A failed run gets a row in the
    table. The others are still run, and the exit status is then 2.
    """
    from lrface.sweep.run import run_sweep
    from lrface.sweep.spec import SweepSpec, load_sweep
    from lrface.train.schema import parse

    specs = [(Path(file), load_sweep(file)) for file in files]  # check all files before the first run
    failed = 0
    for file, spec in specs:
        if seeds:
            spec = parse(SweepSpec, spec.model_dump() | {"seeds": seeds}, "--seeds")
        base = recipe or file.parent / spec.recipe
        folder = out / (f"{spec.name}-{recipe.stem}" if recipe else spec.name)
        results = run_sweep(spec, base, folder, data_root, jobs, devices, overrides, only)
        bad = sum(run["status"] == "failed" for run in results["runs"])
        done = sum(run["status"] == "finished" for run in results["runs"])
        failed += bad
        click.echo(f"{spec.name}: {done} of {len(results['runs'])} runs finished, {bad} failed: {folder / 'table.md'}")
    if failed:
        raise LrfaceError(f"{failed} runs failed: the tables say why; the same command tries them again")
