"""Make a family of shipped models that share an embedding space: the range of detail of each, and the calibration.

    python tools/ship_family.py lrface --member lrface-small-16px:0 \\
        --top data/dlib.map.safetensors 18 data/dlib_resnet.onnx \\
        --top data/mobilefacenet.map.safetensors 22 data/mobilefacenet.onnx \\
        --store data/joined_store --images data/lfw_mtcnn --pairs lfw/pairsDevTrain.txt --pairs lfw/pairsDevTest.txt

The members must be shipped before (tools/ship.py). The boundaries are chosen on LFW View 1; see benchmarks/family.py. Thresholds
and probabilities are fitted for the students alone, and for each top member, with its teachers for the sharpest faces. What
tools/calibrate_looks.py measured is kept if the students are the same.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.eval.quality_tables import FAMILY_KNOTS, fit
from lrface.eval.verification import FARS
from lrface.faces.calibration import CARD_KEY
from lrface.faces.looks import LOOKS_KEY
from lrface.files import atomic_write, file_digest, read_json, write_json
from lrface.finetune.quality_samples import Source, held_out_source, listed_source, sample_qualities
from lrface.models import shipped
from lrface.models.embedder import open_embedder
from lrface.models.family import FORMAT, Family, open_family
from lrface.train.recipe import DataSection

LARGEST = 112  # side in pixels of the largest faces in the calibration


def calibrated(family: Family, sources: list[Source], faces: int, seed: int = 0) -> dict[str, Any]:
    """The card of a family: thresholds for two sharp faces, and the tables by the detail of both faces.

    Raises:
        LrfaceError: there are too few faces.
    """
    found = fit(sample_qualities(family, sources, faces, seed, LARGEST), knots=FAMILY_KNOTS)
    facts = {"sources": [{"name": source.name, **source.facts} for source in sources], "faces": faces, "seed": seed}
    calibration = replace(found, facts=facts)
    top = float(FAMILY_KNOTS[-1])
    thresholds = {f"{far:g}": float(calibration.threshold(far, top, top)) for far in FARS}
    return {"thresholds": thresholds, CARD_KEY: calibration.as_dict()}


@dataclass(frozen=True)
class Top:
    """A top member.

    Attributes:
        mapping: the map file, NAME.map.safetensors.
        detail: minimum pixels of detail of the faces that its teachers embed.
        teachers: files, in the map's order.
    """

    mapping: Path
    detail: float
    teachers: tuple[str, ...]

    def file(self, family: str) -> str:
        """The name of its map in the package."""
        return f"{family}.{self.mapping.name}"


def record_of(name: str, members: list[tuple[str, float]], tops: Sequence[Top]) -> dict[str, Any]:
    """The content of the family's file before the calibration.

    Args:
        name: of the family.
        members: model and minimum pixels of detail of each member.
        tops: the top members.

    Raises:
        LrfaceError: a member cannot be opened, or the members' embeddings differ in length.
    """
    listed, dims = [], set()
    for model, detail in members:
        embedder = open_embedder(model, threads=1)
        dims.add(embedder.dim)
        listed.append({"model": model, "fingerprint": embedder.fingerprint, "detail": detail})
    if len(dims) != 1:
        raise LrfaceError(f"the members' embeddings differ in length ({sorted(dims)}): they share no space")
    listed_tops = []
    for top in tops:
        names = [str(open_embedder(teacher, threads=1).card.get("source", teacher)) for teacher in top.teachers]
        listed_tops.append({"map": top.file(name), "detail": top.detail, "teachers": names, "card": {}})
    return {"format": FORMAT, "name": name, "dim": dims.pop(), "members": listed, "card": {}, "sharp": listed_tops}


def keep_looks(record: dict[str, Any], before: dict[str, Any] | None) -> None:
    """Keep what tools/calibrate_looks.py measured, if the family had the same students before.

    Args:
        record: of the family now; changed in place.
        before: the record that it replaces, or None.
    """
    if before is not None and before["members"] == record["members"]:
        looks = before["card"].get(CARD_KEY, {}).get(LOOKS_KEY)
        if looks is not None:
            record["card"][CARD_KEY][LOOKS_KEY] = looks


def write_family(folder: Path, name: str, record: dict[str, Any], tops: Sequence[Top]) -> list[Path]:
    """Write the family's file and maps into a folder. Returns them, the family's file first."""
    files = [folder / f"{name}.json"]
    write_json(files[0], record)
    for top in tops:
        files.append(folder / top.file(name))
        with atomic_write(files[-1]) as written:
            written.write(top.mapping.read_bytes())
    return files


def install(name: str, record: dict[str, Any], tops: Sequence[Top]) -> Path:
    """Write the family into the package, and enter its files in the listing. Maps that it had before are removed."""
    files = write_family(shipped.WEIGHTS, name, record, tops)
    for old in set(shipped.WEIGHTS.glob(f"{name}.*map.safetensors")).difference(files):
        old.unlink()
    listing = shipped.listing()
    listing["families"] = {**listing.get("families", {}), name: files[0].name}
    listing["family"] = name
    kept = {file: digest for file, digest in listing["sha256"].items() if (shipped.WEIGHTS / file).exists()}
    listing["sha256"] = kept | {file.name: file_digest(file) for file in files}
    write_json(shipped.WEIGHTS / shipped.LISTING, listing)
    return files[0]


def _member(text: str) -> tuple[str, float]:
    model, _, detail = text.rpartition(":")
    try:
        return model, float(detail)
    except ValueError:
        raise LrfaceError(f"--member {text}: write it as MODEL:PIXELS") from None


@click.command()
@click.argument("name")
@click.option("--member", "members", multiple=True, required=True, help="MODEL:PIXELS, the least detail; repeatable.")
@click.option(
    "--top", "tops", nargs=3, type=(click.Path(exists=True, dir_okay=False, path_type=Path), float, str), multiple=True,
    help="MAP PIXELS TEACHER[,TEACHER]: a top member, the least detail of its faces, its teachers in the map's order; "
    "repeatable.",
)  # fmt: skip
@click.option("--store", type=click.Path(), required=True, help="The store that the members were trained on.")
@click.option("--holdout", default=300, show_default=True, help="Identities that were held out of it.")
@click.option("--images", type=click.Path(), default=None, help="Another store, of the images that the pairs name.")
@click.option("--pairs", type=click.Path(), multiple=True, help="Lists of pairs in LFW's format, View 1's; repeatable.")
@click.option("--faces", default=12000, show_default=True, help="Embeddings of each source.")
def main(
    name: str, members: tuple[str, ...], tops: tuple[tuple[Path, float, str], ...], store: str, holdout: int,
    images: str | None, pairs: tuple[str, ...], faces: int,
) -> None:  # fmt: skip
    """Put the family NAME into the package, and make it the one that is opened when nothing is named."""
    start = time.perf_counter()
    try:
        opened = Store(store)
        section = DataSection(store=store, holdout_identities=holdout).model_dump()
        sources = [held_out_source(opened, {"recipe": {"data": section}, "data": {"fingerprint": opened.fingerprint}})]
        if images:
            sources.append(listed_source(images, pairs))
        listed = [Top(mapping, detail, tuple(teachers.split(","))) for mapping, detail, teachers in tops]
        record = record_of(name, [_member(text) for text in members], listed)
        found = shipped.find_family(name)
        before = read_json(found) if found else None
        with tempfile.TemporaryDirectory() as folder:  # the package keeps its family until the new one is whole
            staged = write_family(Path(folder), name, record, listed)[0]
            record["card"] = calibrated(open_family(staged, threads=1), sources, faces)
            for top, entry in zip(listed, record["sharp"], strict=True):
                entry["card"] = calibrated(open_family(staged, top.teachers, threads=1), sources, faces)
        keep_looks(record, before)
        path = install(name, record, listed)
    except LrfaceError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(f"{path}: calibrated in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
