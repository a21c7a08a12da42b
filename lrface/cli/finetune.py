"""``lrface finetune``."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from lrface.cli.options import DEVICE, ENCODER_DETECTOR, FACE, MODEL, TURN, FilePath, check_model
from lrface.errors import LrfaceError

if TYPE_CHECKING:
    from lrface.finetune.cross_validation import CrossValidation
    from lrface.finetune.finetune_data import FinetuneData
    from lrface.finetune.labelled_images import KnownFaces
    from lrface.finetune.unfreeze import BackboneSettings
    from lrface.models.embedder import Embedder


@click.command("finetune")
@click.argument("data", type=FilePath())
@click.option("--out", type=FilePath(), default="people.safetensors", show_default=True, help="File to write.")
@click.option(
    "--as", "kind", type=click.Choice(["classifier", "model"]), default=None,
    help="classifier: recognises the people of DATA, for `lrface identify`. model: computes embeddings, adapted to "
    "faces of this kind; it does not know the people.  [default: classifier; model for TinyFace]",
)  # fmt: skip
@MODEL
@click.option(
    "--unfreeze", type=click.Choice(["none", "last", "all"]), default=None,
    help="Part of the network to finetune: none (for a model: its embedding layer), its last stage, or all of it.  "
    "[default: none for a classifier, last for a model]",
)  # fmt: skip
@click.option(
    "--epochs", type=click.IntRange(0), default=None,
    help="Epochs (with a frozen network: of the layer).  [default: 10 or more, by the number of images; 30 for the layer]",
)  # fmt: skip
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=None, help="Learning rate.  [default: 0.003]")
@click.option(
    "--batch-size", type=click.IntRange(2), default=64, show_default=True, help="Batch size of the network's training."
)
@click.option(
    "--distil", type=click.FloatRange(0), default=10.0, show_default=True,
    help="Weight of the distillation loss while the network is finetuned: it keeps the embeddings near those of the "
    "original network (cosine). 0: no distillation.",
)  # fmt: skip
@click.option(
    "--teacher",
    default=None,
    callback=check_model,
    help="Model to distil from instead of the original; with --as model.",
)
@click.option(
    "--val", "share", type=click.FloatRange(0, 0.5, min_open=True), default=None,
    help="Share that is held out to calibrate thresholds: share of each person's images (cross-validation, if the "
    "network is frozen), or for a model, share of the people.  [default: 0.2; 0.1 for a model]",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=5, show_default=True, help="Seed of all random choices.")
@ENCODER_DETECTOR
@FACE
@TURN
@DEVICE
@click.option(
    "--resume", is_flag=True, help="Continue from the last checkpoint in OUT.run/, if the network is finetuned."
)
def command(
    data: str, out: str, kind: str | None, model: str | None, unfreeze: str | None, epochs: int | None,
    lr: float | None, batch_size: int, distil: float, teacher: str | None, share: float | None, seed: int,
    detector: str, face: str, turn: bool, device: str, resume: bool,
) -> None:  # fmt: skip
    """Finetune a model on the people of DATA: a folder of images for each person, a store, UCCS, or TinyFace.

    A classifier answers "unknown" if a face's similarity is below a threshold. The threshold is calibrated on DATA by
    cross-validation: some people are left out in turn, and serve as strangers to a classifier of the others.

    Images that cannot be used are named, counted and skipped. Ctrl-C leaves a run that --resume continues. With a frozen
    network the training takes seconds and cannot be resumed.
    """
    from lrface.finetune.finetune_data import open_data

    embedder, source = _open(model, device)
    opened = open_data(data, embedder, detector, face, device, turn)
    kind = kind or ("model" if opened.kind == "tinyface" else "classifier")
    unfreeze = unfreeze or ("none" if kind == "classifier" else "last")
    if kind == "classifier" and teacher:
        raise LrfaceError("--teacher is for --as model: a classifier stays near the model itself")
    for note in opened.notes:
        click.echo(f"note: {note}", err=True)
    given = {"epochs": epochs, "lr": lr}
    options = {"unfreeze": unfreeze, "batch_size": batch_size, "distil": distil, "seed": seed, **given}
    if kind == "model":
        _make_model(embedder, source, opened, out, _backbone(**options), share, teacher, device, resume)
    elif unfreeze == "none":
        _make_classifier(embedder, source, opened, out, None, given, share, seed, device, resume)
    else:
        _make_classifier(embedder, source, opened, out, _backbone(**options), {}, share, seed, device, resume)


def _open(model: str | None, device: str) -> "tuple[Embedder, str]":
    from lrface.finetune.unfreeze import open_backbone
    from lrface.models import shipped

    return open_backbone(model, device), model or shipped.default()


def _backbone(**given: Any) -> "BackboneSettings":
    from lrface.finetune.unfreeze import BackboneSettings

    if given["epochs"] == 0:
        raise LrfaceError("--epochs 0 finetunes nothing: give 1 or more")
    return BackboneSettings(**{key: value for key, value in given.items() if value is not None})


def _make_classifier(
    embedder: "Embedder", source: str, data: "FinetuneData", out: str, backbone: "BackboneSettings | None",
    layer: dict[str, Any], share: float | None, seed: int, device: str, resume: bool,
) -> None:  # fmt: skip
    from lrface.finetune.run import ClassifierSettings, make_classifier
    from lrface.finetune.softmax_layer import LayerSettings

    settings = ClassifierSettings(
        LayerSettings(**{key: value for key, value in layer.items() if value is not None}), share or 0.2, seed, backbone
    )
    made = make_classifier(embedder, source, data.people, out, settings, data.test, device, resume)
    if made is None:
        raise click.Abort
    _tell_faces(made.faces)
    if made.before:
        click.echo(
            f"with the network as it was, {100 * made.before.top1:.1f} % of the held-out images are nearest to the right one"
        )
    _tell_check(made.check)
    if made.test:
        top = ", ".join(f"top-{k} {100 * share:.2f} %" for k, share in made.test.top.items())
        click.echo(f"{made.test.images:,} test images: {top}")
    click.echo(f"classifier: {made.path}")


def _make_model(
    embedder: "Embedder", source: str, data: "FinetuneData", out: str, settings: "BackboneSettings",
    share: float | None, teacher: str | None, device: str, resume: bool,
) -> None:  # fmt: skip
    from lrface.finetune.run import make_model
    from lrface.models.embedder import open_embedder

    other = (teacher, open_embedder(teacher, device)) if teacher else None
    made = make_model(embedder, source, data.people, out, settings, share or 0.1, other, device, resume)
    if made is None:
        raise click.Abort
    _tell_faces(made.faces)
    if made.history:
        before, best = made.history[0]["accuracy"], made.history[made.epoch]["accuracy"]
        figures = f"{100 * before:.2f} % right before, {100 * best:.2f} % at the best epoch, {made.epoch}"
        click.echo(f"pairs of {made.held_people} held-out people: {figures}")
        if made.epoch == 0:
            click.echo("no epoch does better than the model as it was: the file holds it unchanged")
    else:
        click.echo("too few people to hold any out: the last epoch counts, and the model has no thresholds")
    click.echo(f"model: {made.path}")


def _tell_faces(faces: "KnownFaces") -> None:
    for path, reason in faces.refused:
        click.echo(f"left out {path}: {reason}", err=True)
    for name in faces.lost:
        click.echo(f"left out {name}: no image of theirs can be used", err=True)
    for note in faces.notes:
        click.echo(f"note: {note}", err=True)
    single = sum(count == 1 for count in Counter(faces.labels.tolist()).values())
    alone = f", {single:,} of them with one image, which is learnt and not held out" if single else ""
    click.echo(f"{len(faces.labels):,} images of {len(faces.names):,} people, {len(faces.refused):,} left out{alone}")


def _tell_check(check: "CrossValidation") -> None:
    click.echo(f"held out: {check.images:,} images of known people, {100 * check.top1:.1f} % nearest to the right one")
    click.echo(f"{check.strangers:,} images of strangers; of the known people then")
    click.echo(f"{'strangers named':>15}  {'threshold':>9}  {'right':>7}  {'wrong':>7}  {'unknown':>7}")
    for rate, threshold in check.thresholds.items():
        shares = "  ".join(f"{100 * share:6.1f}%" for share in check.outcomes[rate].values())
        click.echo(f"{100 * float(rate):14g}%  {threshold:9.4f}  {shares}")
