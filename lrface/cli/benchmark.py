"""``lrface benchmark``."""

from pathlib import Path

import click

from lrface.cli.options import ANTIALIAS, DATA_ROOT, DEVICE, EYES, KERNEL, FilePath
from lrface.errors import LrfaceError


def _list(context: click.Context, option: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else None


def _sides(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    parts = _list(context, option, text)
    if parts is None:
        return None
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise click.BadParameter(f"{text!r}: give numbers of pixels, such as 8,16,32")
    return tuple(sorted({int(part) for part in parts}))


@click.command("benchmark")
@click.argument("more", nargs=-1, metavar="[LABEL=MODEL[,KEY=VALUE...]]...")
@click.option(
    "--models", multiple=True, metavar="LABEL=MODEL",
    help="A model to measure; repeatable, or several after one --models.  [default: the shipped model]",
)  # fmt: skip
@DATA_ROOT
@click.option(
    "--rehearsal", type=FilePath(path_type=Path), default=None,
    help="Data root with sets from `lrface data rehearse`, which replace absent sets.  [default: rehearsal in the data root]",
)  # fmt: skip
@click.option("--only", callback=_list, metavar="lfw,uccs,...", help="Sets to run.  [default: all]")
@click.option(
    "--out", default="results/benchmark", show_default=True, type=FilePath(path_type=Path), help="Folder of results."
)
@click.option("--no-faces", is_flag=True, help="Write no picture of a face of the data.")
@click.option(
    "--seeds", default=3, show_default=True, type=click.IntRange(1, 100), help="Number of seeds of each training."
)
@click.option(
    "--side", default=16, show_default=True, type=click.IntRange(1, 112), help="Low resolution of the main tables."
)
@click.option("--sides", callback=_sides, metavar="8,12,...", help="Sides of the sweep over resolutions.")
@click.option(
    "--sweep", multiple=True, metavar="LABEL", help="Label of a model for this sweep; repeatable.  [default: all]"
)
@click.option(
    "--native", callback=_sides, metavar="8,12,...",
    help="Sides of faces in photos of LFW, for end-to-end rows: detection, alignment, embedding.  [default: none]",
)  # fmt: skip
@click.option("--no-sweep", is_flag=True, help="Measure only at the low and the full resolution.")
@KERNEL
@ANTIALIAS
@click.option(
    "--flip/--single", default=True, show_default=True, help="Sum the embeddings of a face and its mirror image."
)
@click.option(
    "--lfw", type=FilePath(exists=True, path_type=Path), default=None,
    help="Store, folder of photos or pack of LFW.  [default: in the data root]",
)  # fmt: skip
@click.option(
    "--pairs", multiple=True, type=FilePath(exists=True, dir_okay=False, path_type=Path),
    help="List of pairs of --lfw; repeatable.  [default: pairs.txt beside it]",
)  # fmt: skip
@click.option(
    "--detector", default="mtcnn", show_default=True,
    type=click.Choice(["insightface", "centerface", "mtcnn", "dlib", "eyes", "none"]),
    help="How photos of LFW are aligned if there is no store of them.",
)  # fmt: skip
@EYES
@click.option(
    "--align", default="none", show_default=True, type=click.Choice(["none", "insightface", "centerface", "mtcnn", "dlib"]),
    help="How native low-resolution faces are aligned.",
)  # fmt: skip
@click.option(
    "--finetune", callback=_list, default="last", show_default=True, metavar="none,last,all",
    help="Part of a network to finetune on TinyFace's training set: the embedding layer alone, the last stage, or all of it.",
)  # fmt: skip
@click.option("--no-finetune", is_flag=True, help="Measure TinyFace without finetuning.")
@click.option(
    "--distil",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    help="Weight of the distillation loss in this finetuning.",
)
@click.option(
    "--published", type=FilePath(exists=True, file_okay=False, path_type=Path), default=None,
    help="Folder of published tables.  [default: benchmarks/published of a checkout]",
)  # fmt: skip
@click.option(
    "--ablations", multiple=True, type=FilePath(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Results of `lrface sweep` to show in the report; repeatable.",
)  # fmt: skip
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes that decode images.")
@DEVICE
def command(
    more: tuple[str, ...], models: tuple[str, ...], data_root: str, rehearsal: Path | None, only: tuple[str, ...] | None,
    out: Path, no_faces: bool, seeds: int, side: int, sides: tuple[int, ...] | None, sweep: tuple[str, ...],
    native: tuple[int, ...] | None, no_sweep: bool,
    kernel: str, antialias: bool, flip: bool, lfw: Path | None, pairs: tuple[Path, ...], detector: str,
    eyes: tuple[float, float, float, float] | None, align: str, finetune: tuple[str, ...], no_finetune: bool,
    distil: float, published: Path | None, ablations: tuple[Path, ...], workers: int, device: str,
) -> None:  # fmt: skip
    """Run every protocol on every model, and write one report.

    A finished row is never computed again. Run the same command again after a kill, or with one more model. If a data
    set is absent, its row says so and tells how to obtain it.
    """
    from lrface.models import shipped
    from lrface.suite.options import SETS, SIDES, Options
    from lrface.suite.peers import parse_models
    from lrface.suite.run import run

    beside = Path(__file__).parents[2] / "benchmarks" / "published"
    root = Path(data_root)
    usual = root / "rehearsal"
    options = Options(
        tuple(parse_models([*models, *more] or [shipped.default()])), root, out, only or SETS, not no_faces,
        seeds, side, sides or SIDES, kernel, antialias, flip, lfw, pairs, detector, eyes, align,
        () if no_finetune else finetune, distil,
        published or (beside if beside.is_dir() else None), () if no_sweep else sweep or None, native or (),
        rehearsal or (usual if usual.is_dir() else None), ablations, device, workers,
    )  # fmt: skip
    results = run(options, lambda text: click.echo(text, err=True))
    states = [row["status"] for row in results["rows"]]
    failed = states.count("failed")
    click.echo(
        f"{states.count('done')} rows done, {states.count('not run')} not run, {failed} failed, "
        f"{results['computed']} computed now: {out / 'report.html'}"
    )
    if failed:
        raise LrfaceError(f"{failed} rows failed: the report says why; the same command tries them again")
