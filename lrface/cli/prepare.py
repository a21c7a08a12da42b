"""``lrface prepare``."""

import os
from collections import Counter
from typing import TYPE_CHECKING

import click

from lrface.cli.options import ANTIALIAS, DEVICE, EYES, FACE, KERNEL, LOW_SIZE, RAY, TURN, FilePath
from lrface.errors import LrfaceError

if TYPE_CHECKING:
    from lrface.data.prepare import Summary


def _parse_shard(context: click.Context, option: click.Parameter, text: str) -> tuple[int, int]:
    try:
        shard, shards = (int(part) for part in text.split("/"))
    except ValueError:
        raise LrfaceError(f"--shard {text}: write it as 3/8, the fourth of eight (shards count from 0)") from None
    return shard, shards


@click.command("prepare")
@click.argument("source", type=FilePath())
@click.option("--out", type=FilePath(), required=True, help="The store to make.")
@click.option(
    "--detector", default=None, type=click.Choice(["insightface", "centerface", "mtcnn", "dlib", "landmarks", "eyes", "none"]),
    help="How faces are found; none: the images are aligned crops. insightface downloads its pack (280 MB) at first use, "
    "mtcnn comes with lrface.  "
    "[default: insightface; none for .rec; landmarks with --landmarks]",
)  # fmt: skip
@click.option("--landmarks", type=FilePath(), default=None, help="CSV: path, then 2 eyes or 5 points.")
@EYES
@FACE
@TURN
@click.option(
    "--size", default=112, show_default=True, type=click.IntRange(16, 1024), help="Side of the aligned crops."
)
@LOW_SIZE
@KERNEL
@ANTIALIAS
@click.option(
    "--encoding", default="jpg", show_default=True, type=click.Choice(["jpg", "png"]), help="Of crops cut from photos."
)
@click.option("--quality", default=95, show_default=True, type=click.IntRange(1, 100), help="JPEG quality.")
@click.option(
    "--shard", callback=_parse_shard, default="0/1", show_default=True, help="Shard to make, i/n, counted from 0."
)
@click.option(
    "--workers",
    default=os.cpu_count() or 1,
    show_default="all cores",
    type=click.IntRange(1),
    help="Number of processes.",
)
@DEVICE
@click.option("--overwrite", is_flag=True, help="Start again instead of continuing.")
@RAY
@click.option("--shards", default=16, show_default=True, type=click.IntRange(1), help="How many shards --ray makes.")
def command(
    source: str, out: str, detector: str | None, landmarks: str | None, eyes: tuple[float, float, float, float] | None,
    face: str, turn: bool, size: int, low_size: int, kernel: str, antialias: bool, encoding: str, quality: int,
    shard: tuple[int, int], workers: int, device: str, overwrite: bool,
    ray: str | None, shards: int,
) -> None:  # fmt: skip
    """Turn SOURCE, a folder per identity or an insightface .rec, into a store for training.

    The command can be killed at any time; run it again to continue. Several machines can share the work: give each one its
    own --shard i/n, or use --ray.
    """
    from lrface.data.crop import Settings
    from lrface.data.prepare import prepare
    from lrface.data.prepare_cluster import prepare_on_ray
    from lrface.data.sources import is_record
    from lrface.faces.degrade import Degradation

    if detector is None:
        detector = "landmarks" if landmarks else "none" if is_record(source) else "insightface"
    if (detector == "landmarks") != (landmarks is not None):
        raise LrfaceError("--detector landmarks and --landmarks FILE go together")
    settings = Settings(size, detector, eyes, face, Degradation(low_size, kernel, antialias), encoding, quality, turn)
    if ray is None:
        summaries = [prepare(source, out, settings, landmarks, *shard, workers, device, overwrite)]
    elif shard != (0, 1):
        raise LrfaceError("--ray makes all shards: give --shards N instead of --shard")
    else:
        summaries = prepare_on_ray(source, out, settings, landmarks, shards, ray, device, overwrite)
    _report(summaries)


def _report(summaries: "list[Summary]") -> None:
    counts: Counter[str] = sum((Counter(summary.counts) for summary in summaries), Counter())
    listed = ", ".join(f"{count:,} {status}" for status, count in sorted(counts.items(), key=lambda item: -item[1]))
    click.echo(f"{counts.total():,} images: {listed}")
    for note in summaries[0].notes:  # the notes concern the whole folder and are the same in every shard
        click.echo(note)
    if turned := sum(summary.turned for summary in summaries):
        click.echo(f"{turned:,} of them had no upright face and were turned; the manifest says which")
    identities, single = (sum(getattr(summary, name) for summary in summaries) for name in ("identities", "single"))
    click.echo(f"{identities:,} identities, {single:,} of them with a single image")
    for summary in summaries:
        click.echo(f"fingerprint {summary.fingerprint[:16]}; look at {summary.folder / 'contact.png'}")
