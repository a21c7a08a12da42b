"""Packing a training: all that a recipe reads, in parts that can be carried to another machine. See :mod:`lrface.data.packed`."""

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import yaml
from PIL import Image

from lrface.data.pack_writer import HEADER, PART_BYTES, PartWriter
from lrface.data.packed import FORMAT, PackedStore
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.faces.degrade import resize
from lrface.files import atomic_write, require_path
from lrface.models import create, shipped
from lrface.train.preflight import check_data, check_initial, preprocessing_of
from lrface.train.recipe import Recipe
from lrface.train.split import Split, split_store
from lrface.train.teach import Lesson, own_classifier, prepare_lesson
from lrface.train.validation import validation_pairs

#: Images that are encoded together, and the least that a part holds.
GROUP = 64
#: Of the crops, one in so many is decoded again to measure what its compression loses.
MEASURED = 16

Targets = Literal["float32", "float16", "int8"]


@dataclass(frozen=True)
class PackSettings:
    """How a training is packed.

    Attributes:
        targets: how the teacher's targets are stored. int8: 127 steps to either side of zero, with a scale for each face.
        quality: of JPEG, for crops that are made smaller than the store's; 100 means PNG, without loss. Crops of the
            store's own size stay as they are encoded.
        part_bytes: the largest part.
    """

    targets: Targets = "float16"
    quality: int = 95
    part_bytes: int = PART_BYTES


def make_pack(
    recipe: Recipe, out: str | Path, data_root: str | Path = ".", settings: PackSettings | None = None,
    device: str = "cpu", progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Pack what a recipe's training reads. Killed, the same call goes on after the last whole part.

    Args:
        recipe: what is to be trained; its seed, losses, epochs and batches can still be changed there.
        out: the pack's folder.
        data_root: what the recipe's paths are relative to.
        settings: how to store it.
        device: where teachers run whose embeddings are not in the store's cache yet.
        progress: show a bar.

    Returns:
        What ``pack.json`` says: ``parts``, ``bytes``, and ``loss``: ``cosine`` between exact and stored targets (mean,
        min) and ``psnr`` of the crops in decibels, where something is lost.

    Raises:
        LrfaceError: the recipe cannot be trained as it is, or asks its teacher in every step; ``out`` holds another pack or
            cannot be written; or one image alone is larger than a part.
    """
    out, root, settings = Path(require_path(out)), Path(require_path(data_root)), settings or PackSettings()
    if recipe.teacher and not recipe.teacher.cached:
        raise LrfaceError(
            "teacher.cached: false asks the teacher in every step, and a pack has no teacher: set it to true"
        )
    store = Store(root / recipe.data.store, recipe.data.low_size)
    split = split_store(store, recipe.data)
    with torch.random.fork_rng(devices=[]):
        student = create(recipe.model.name, **recipe.model.kw)
        check_data(recipe, store, split, student, root)
        check_initial(recipe, root)
        lesson = prepare_lesson(recipe, device, store, split, root, student)
    dim = int(student.embedding_dim)  # type: ignore[arg-type]
    facts = _facts(recipe, store, split, settings, dim)
    writer = PartWriter(out, facts, settings.part_bytes)
    with writer.bar(len(split.train) + len(split.holdout), progress) as bar:
        _write_images(writer, recipe, store, split, lesson, settings, bar)
    _write_rest(writer, recipe, store, split, root)
    with atomic_write(out / "recipe.yaml", "w") as file:
        yaml.safe_dump(recipe.model_dump(mode="json"), file, sort_keys=False)
    return writer.finish()


def made_for(recipe: Recipe) -> dict[str, Any]:
    """The parts of a recipe that a pack depends on: with others than these the same pack would not do."""
    high = recipe.data.resolution == "high"
    return {
        "data": recipe.data.model_dump(mode="json", exclude={"workers"}),
        "teacher": recipe.teacher.model_dump(mode="json") if recipe.teacher else None,
        "validation": recipe.validation.model_dump(mode="json", include={"images", "pairs"}),
        "initial": recipe.model.initial,
        "source_size": None if high or recipe.augment.only_flips else recipe.augment.source_size,
    }


def check_made_for(recipe: Recipe, packed: PackedStore) -> None:
    """Raise LrfaceError if the pack lacks something that the recipe reads, or holds it otherwise."""
    known, wanted = packed.facts["made_for"], made_for(recipe)
    odd = [key for key in ("data", "validation") if known[key] != wanted[key]]
    odd += [
        key for key in ("teacher", "initial", "source_size") if wanted[key] is not None and known[key] != wanted[key]
    ]
    if odd:
        names = {"initial": "model.initial", "source_size": "augment.source_size"}
        raise LrfaceError(
            f"{packed.path} was packed for another recipe: {', '.join(names.get(key, key) for key in odd)} of this one "
            "asks for what it does not hold; train with its own recipe.yaml, or pack anew"
        )


def _facts(recipe: Recipe, store: Store, split: Split, settings: PackSettings, dim: int) -> dict[str, Any]:
    content = made_for(recipe)
    return {
        "format": FORMAT,
        "complete": False,
        "recipe": recipe.model_dump(mode="json"),
        "made_for": content | {"embedding_dim": dim},
        "settings": vars(settings),
        "images": len(split.train),
        "holdout": len(split.holdout),
        "crop_side": content["source_size"],
        "store": {
            "fingerprint": store.fingerprint,
            "identities": store.identities,
            "settings": store.settings,
            "degradation": store.degradation.as_dict(),
        },
        "pairs": None,
        "loss": {},
        "parts": [],
    }


def _write_images(
    writer: PartWriter,
    recipe: Recipe,
    store: Store,
    split: Split,
    lesson: Lesson | None,
    settings: PackSettings,
    bar: Any,
) -> None:
    """The training images in their order, then those held out, a part as soon as it is full."""
    images = np.concatenate([split.train, split.holdout])
    taught = None if lesson is None else lesson.cached
    waiting: list[dict[str, np.ndarray]] = []
    size = 0
    for group in _groups(images[writer.done :], store, recipe, len(split.train) - writer.done, taught, settings):
        bytes_here = sum(array.nbytes for array in group.values())
        if bytes_here > writer.part_bytes - HEADER:
            raise LrfaceError(f"a part of {writer.part_bytes:,} bytes does not hold {GROUP} faces: allow larger parts")
        if size + bytes_here > writer.part_bytes - HEADER:
            _write_group(writer, waiting)
            waiting, size = [], 0
        waiting.append(group)
        size += bytes_here
        bar.update(len(group["image"]))
    if waiting:
        _write_group(writer, waiting)


def _write_group(writer: PartWriter, waiting: list[dict[str, np.ndarray]]) -> None:
    joined = {key: np.concatenate([group[key] for group in waiting]) for key in waiting[0]}
    measured: dict[str, Any] = {"images": len(joined["image"])}
    cosines, errors = joined.pop("cosines", np.empty(0)), joined.pop("errors", np.empty(0))
    if len(cosines):
        measured["cosine"] = {"mean": float(cosines.mean()), "min": float(cosines.min()), "faces": len(cosines)}
    if len(errors):
        measured["error"] = float(errors.mean())
    writer.add(joined, measured)


def _groups(
    images: np.ndarray, store: Store, recipe: Recipe, train: int, taught: np.ndarray | None, settings: PackSettings
) -> Iterator[dict[str, np.ndarray]]:
    """``GROUP`` images at a time: arrays of a part, with the ``cosines`` and ``errors`` of what is lost."""
    high = recipe.data.resolution == "high"
    side = made_for(recipe)["source_size"]
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(images), GROUP):
            chosen = images[start : start + GROUP]
            group: dict[str, np.ndarray] = {"image": chosen.astype(np.int64), "low": store.low(chosen)}
            if high or side is not None:
                needed = [
                    high or start + place < train for place in range(len(chosen))
                ]  # nobody augments those held out
                group |= _crops(store, chosen, needed, side, settings.quality, pool)
            if taught is not None:
                views = taught[: 1 + recipe.teacher.flips] if recipe.teacher else taught
                rows = np.ascontiguousarray(views[:, chosen].transpose(1, 0, 2), np.float32)
                group |= _stored_targets(rows, settings.targets)
                learnt = max(min(train - start, len(chosen)), 0)
                group["cosines"] = group["cosines"][:learnt].ravel()
            yield group


def _crops(
    store: Store, images: np.ndarray, needed: list[bool], side: int | None, quality: int, pool: ThreadPoolExecutor
) -> dict[str, np.ndarray]:
    """Encoded crops one after the other, and how many bytes each has: none where it is not needed."""

    def encode(image: int, wanted: bool) -> tuple[bytes, float | None]:
        if not wanted:
            return b"", None
        if side is None or side == store.size:
            return store.encoded(image), None
        pixels = resize(store.crop(image), side)
        buffer = io.BytesIO()
        if quality == 100:
            Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
            return buffer.getvalue(), None
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0, optimize=True)
        if image % MEASURED:
            return buffer.getvalue(), None
        with Image.open(buffer) as again:
            error = float(np.square(np.asarray(again, np.float64) - pixels).mean())
        return buffer.getvalue(), error

    found = list(pool.map(encode, images.tolist(), needed))
    lengths = np.array([len(data) for data, _ in found], np.int64)
    content = np.frombuffer(b"".join(data for data, _ in found), np.uint8)
    errors = np.array([error for _, error in found if error is not None])
    return {"crops": content, "crop_bytes": lengths, "errors": errors}


def _stored_targets(rows: np.ndarray, kind: Targets) -> dict[str, np.ndarray]:
    """float32 ``[n, views, dim]`` as it is stored, and the ``cosines`` ``[n, views]`` of that to the exact ones."""
    result: dict[str, np.ndarray] = {}
    if kind == "int8":
        scale = np.maximum(np.abs(rows).max(-1), 1e-12) / np.float32(127)
        result = {"target": np.rint(rows / scale[..., None]).astype(np.int8), "scale": scale.astype(np.float32)}
        again = result["target"].astype(np.float64) * result["scale"][..., None]
    else:
        result = {"target": rows.astype(kind)}
        again = result["target"].astype(np.float64)
    exact = rows.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=-1) * np.linalg.norm(again, axis=-1)
    cosines = np.einsum("nvd,nvd->nv", exact, again) / np.maximum(lengths, 1e-30)
    return result | {"cosines": cosines}


def _write_rest(writer: PartWriter, recipe: Recipe, store: Store, split: Split, root: Path) -> None:
    """Labels, the teacher's classifier, validation pairs of other images, and the weights to begin with."""
    writer.add_rows("label", store.labels.astype(np.int32))
    if recipe.teacher is not None:
        classifier = own_classifier(recipe, store, split, root)
        if classifier is not None:
            writer.add_rows("classifier", classifier.numpy())
    if recipe.validation.images:
        pairs = validation_pairs(recipe, store, split, root)
        assert pairs is not None
        fit = preprocessing_of(recipe, store).fit  # the model would do the same with the larger crops
        writer.facts["pairs"] = {"name": pairs.name, "alignment": pairs.alignment}
        writer.add_rows("pair_image", np.stack([fit(image) for image in pairs.images]))
        writer.add_rows("pair_a", np.asarray(pairs.a, np.int64))
        writer.add_rows("pair_b", np.asarray(pairs.b, np.int64))
        writer.add_rows("pair_same", np.asarray(pairs.same, np.bool_))
    if recipe.model.initial:
        path = shipped.find(recipe.model.initial) or root / recipe.model.initial
        writer.add_rows("initial", np.frombuffer(path.read_bytes(), np.uint8))
