"""``lrface eval``."""

from pathlib import Path
from typing import Any

import click

from lrface.cli.options import ANTIALIAS, DEVICE, EYES, FACE, KERNEL, MODEL, RUNTIME, THREADS, FilePath, check_model
from lrface.errors import LrfaceError


@click.group("eval")
def command() -> None:
    """Measure the accuracy of a model."""


@command.command("lfw")
@MODEL
@click.option("--images", type=FilePath(), default=None, help="Folder NAME/NAME_0001.jpg, or a store made of it.")
@click.option("--pairs", type=FilePath(), multiple=True, help="pairs.txt, over --images; repeatable.")
@click.option(
    "--bin",
    "pack",
    type=FilePath(),
    default=None,
    help="Verification pack such as lfw.bin, instead of --images, --pairs.",
)
@click.option(
    "--detector", default="insightface", show_default=True,
    type=click.Choice(["insightface", "centerface", "mtcnn", "dlib", "eyes", "none"]),
    help="How faces are found in a folder of images.",
)  # fmt: skip
@EYES
@FACE
@click.option(
    "--side",
    "sides",
    type=click.IntRange(1, 112),
    multiple=True,
    help="Low-resolution side; repeatable.  [default: the model's own]",
)
@KERNEL
@ANTIALIAS
@click.option(
    "--mode",
    "modes",
    type=click.Choice(["lr-lr", "hr-lr", "hr-hr"]),
    multiple=True,
    default=["lr-lr"],
    show_default=True,
    help="Which images of a pair are reduced; repeatable.",
)
@click.option(
    "--native", type=click.IntRange(4, 112), multiple=True, metavar="SIDE",
    help="Measure end to end: reduce each photo until its crop has SIDE pixels, then detect, align and embed; repeatable. "
    "--detector finds the face in the full photo; the detector auto finds it in the reduced one.",
)  # fmt: skip
@click.option(
    "--hr-model",
    default=None,
    callback=check_model,
    help="Model of the high-resolution side in hr-lr, e.g. the teacher.",
)
@click.option("--thresholds", type=click.Choice(["grid", "exact"]), default="grid", show_default=True)
@click.option("--json", "json_file", type=FilePath(), default=None, help="Write the rows to this file too.")
@DEVICE
@RUNTIME
@THREADS
def lfw(
    model: str | None, images: str | None, pairs: tuple[str, ...], pack: str | None, detector: str,
    eyes: tuple[float, float, float, float] | None, face: str, sides: tuple[int, ...], kernel: str, antialias: bool,
    modes: tuple[str, ...], native: tuple[int, ...], hr_model: str | None, thresholds: str, json_file: str | None, device: str,
    runtime: str, threads: int | None,
) -> None:  # fmt: skip
    """Verification on LFW, or on any set in its format: ten folds, accuracy, AUC, EER, TAR at FAR."""
    from lrface.data.crop import Settings
    from lrface.data.sets import pair_set
    from lrface.eval.lfw import check_comparable, table, verify_pairs
    from lrface.faces.degrade import Degradation
    from lrface.files import write_json
    from lrface.models import shipped
    from lrface.models.embedder import open_embedder
    from lrface.version import code_version

    if (pack is None) == (images is None) or (images is not None and not pairs):
        raise LrfaceError("give either --bin PACK, or --images FOLDER with --pairs FILE")
    if native and images is None:
        raise LrfaceError("--native reduces whole photos: give --images FOLDER with --pairs FILE")
    embedder = open_embedder(model, device, threads, runtime=runtime)
    if native:
        _native(embedder, str(images), pairs, detector, native, model, json_file)
        return
    other = open_embedder(hr_model, device, threads, runtime=runtime) if hr_model else None
    if other is not None:
        check_comparable(other, embedder)  # check before the photos are aligned, which takes time
    if pack is not None:
        chosen = pair_set.from_bin(pack)
    elif any(Path(str(images)).glob("shard-*-of-*")):
        chosen = pair_set.from_store(str(images), pairs)
    else:
        chosen = pair_set.from_folder(str(images), pairs, Settings(detector=detector, eyes=eyes, face=face), device)
    chosen_sides: list[Degradation | None] = [Degradation(side, kernel, antialias) for side in sides]
    low = chosen_sides or [embedder.preprocessing.degradation]
    rows = [
        verify_pairs(embedder, chosen, degradation, mode, other, thresholds, progress=True)  # type: ignore[arg-type]
        for mode in modes
        for degradation in (low if mode != "hr-hr" else [None])
    ]
    click.echo(f"alignment: {chosen.alignment}")
    click.echo(table(rows))
    if json_file:
        facts = {"model": model or shipped.default(), "fingerprint": embedder.fingerprint, "hr_model": hr_model}
        write_json(json_file, facts | {"code": code_version(), "rows": [row.as_dict() for row in rows]})


def _native(
    embedder: Any, images: str, lists: tuple[str, ...], detector: str, sides: tuple[int, ...], model: str | None,
    json_file: str | None,
) -> None:  # fmt: skip
    """Measure a model end to end on reduced photos. Print the table, and write it as JSON."""
    from lrface.data.sets.pair_set import listed_pairs
    from lrface.eval.native import table, true_landmarks, verify_native
    from lrface.faces.detect import DETECTORS, create_detector
    from lrface.files import write_json
    from lrface.models import shipped
    from lrface.version import code_version

    if detector not in DETECTORS:
        raise LrfaceError(f"--native finds faces: --detector {detector} does not; choose one of {', '.join(DETECTORS)}")
    pairs = listed_pairs(lists)
    known = true_landmarks(images, pairs, create_detector(detector))
    finder = create_detector("auto")
    rows = [verify_native(embedder, finder, images, pairs, known, side) for side in sides]
    click.echo(table(rows))
    if json_file:
        facts = {"model": model or shipped.default(), "fingerprint": embedder.fingerprint, "landmarks": detector}
        write_json(json_file, facts | {"code": code_version(), "rows": [row.as_dict() for row in rows]})
