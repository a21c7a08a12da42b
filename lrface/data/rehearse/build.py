"""Making rehearsal sets. Each is made beside its final folder and renamed when it is complete."""

import csv
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.crop import Settings
from lrface.data.face_list import MARKER, read_marker
from lrface.data.prepare import prepare
from lrface.data.rehearse import scface, survface, tinyface, uccs
from lrface.data.rehearse.degrade import Camera, Capture
from lrface.data.rehearse.plan import Plan, RehearsedSet
from lrface.data.rehearse.pool import Pool, describe_store, identities_of, source_name
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import locked, read_json, require_path, write_json

FORMAT = 1

_MODULES: tuple[RehearsedSet, ...] = (tinyface, uccs, survface, scface)
#: The sets that can be rehearsed, by name.
SETS: dict[str, RehearsedSet] = {module.NAME: module for module in _MODULES}


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal set that exists now.

    Attributes:
        folder: its folder.
        marker: the content of its ``REHEARSAL.json``.
        made: False if an earlier call had made it in the same way.
    """

    folder: Path
    marker: dict[str, Any]
    made: bool


def rehearse(
    source: str | Path,
    out: str | Path,
    sets: Sequence[str] = tuple(SETS),
    settings: Settings | None = None,
    landmarks: str | Path | None = None,
    seed: int = 5,
    disjoint_from: Sequence[str | Path] = (),
    camera: Camera | None = None,
    workers: int = 1,
    device: str = "cpu",
    overwrite: bool = False,
    progress: bool = True,
) -> list[Rehearsed]:
    """Make rehearsal sets. The same source, settings and seed give the same bytes.

    Within one set, each photo of the source is used once, and each person has one role: training, known in the test, or
    unknown. The sets are made independently of each other and share people.

    Args:
        source: a store made by :func:`lrface.data.prepare.prepare`, or a source from which one can be made.
        out: a data root: ``out/tinyface``, ``out/uccs``, ``out/QMUL-SurvFace``, ``out/SCface``.
        sets: which of ``SETS``.
        settings, landmarks, workers, device: for a source that is not a store yet, as ``prepare`` takes them.
        seed: determines the roles of the people and the conditions of each photo.
        disjoint_from: stores, such as the training set's; people with the same name are left out.
        camera: how photos are made small.
        overwrite: replace a rehearsal that was made differently. A folder that is not a rehearsal is never changed.
        progress: show progress bars.

    Raises:
        LrfaceError: the source cannot be used or has too few people, another folder is in the way, or the disk is full.
    """
    out, camera = Path(require_path(out)), camera or Camera()
    unknown = [name for name in sets if name not in SETS]
    if unknown:
        raise LrfaceError(f"no rehearsal of {unknown[0]!r}: choose {', '.join(SETS)}")
    modules = [SETS[name] for name in dict.fromkeys(sets)]
    others = [(path, Store(path)) for path in disjoint_from]
    asked = {
        "rehearsal": True, "format": FORMAT, "source": source_name(source), "seed": seed, "camera": camera.as_dict(),
        "disjoint_from": [{"store": source_name(path), "fingerprint": other.fingerprint} for path, other in others],
    }  # fmt: skip
    for module in modules:  # checked before the search for faces, which can take long
        _check_place(out / module.FOLDER, asked, overwrite)
    with locked(out / ".rehearse.lock"):
        store = _open(source, out, settings, landmarks, workers, device, progress)
        pool = Pool(store, seed, {name for _, other in others for name, _ in identities_of(other)})
        if not pool.images:
            raise LrfaceError(f"{source} has no people left that are not in {', '.join(map(str, disjoint_from))}")
        known = {
            "fingerprint": store.fingerprint, "alignment": describe_store(store), "people_left_out": pool.excluded,
        }  # fmt: skip
        made = [_make(module, pool, asked | known, camera, out, overwrite, progress) for module in modules]
        for leftover in out.glob(".store-*"):
            shutil.rmtree(leftover, ignore_errors=True)
    return made


def _open(
    source: str | Path, out: Path, settings: Settings | None, landmarks: str | Path | None, workers: int, device: str,
    progress: bool,
) -> Store:  # fmt: skip
    """Open the source as a store. If it is not a store, make a temporary one, which resumes after a kill."""
    if any(Path(require_path(source)).glob("shard-*-of-*")):
        if settings or landmarks:
            raise LrfaceError(f"{source} is a store, its faces are aligned: leave the detector, eyes and landmarks out")
        return Store(source)
    settings = settings or Settings()
    how = repr((str(Path(source).resolve()), settings, str(landmarks)))
    folder = out / f".store-{hashlib.sha256(how.encode('utf-8', 'replace')).hexdigest()[:12]}"
    prepare(source, folder, settings, landmarks, workers=workers, device=device, progress=progress)
    return Store(folder)


def _make(
    module: RehearsedSet, pool: Pool, recipe: dict[str, Any], camera: Camera, out: Path, overwrite: bool, progress: bool
) -> Rehearsed:
    folder, recipe = out / module.FOLDER, recipe | {"set": module.NAME}
    there = _check_place(folder, recipe, overwrite)
    if there is not None:
        return Rehearsed(folder, there, made=False)
    work, old = out / f".{module.FOLDER}.partial", out / f".{module.FOLDER}.old"
    for leftover in (work, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        plan = module.plan(pool, camera)
        captures = _capture(plan, pool, module.NAME, work, progress)
        module.write_lists(work, plan.images, captures)
        _write_people(work, plan)
        write_json(work / MARKER, recipe)  # the reader needs the marker to count the set as a rehearsal
        marker = recipe | {"counts": module.count(work), "notes": plan.notes}
        write_json(work / MARKER, marker)
        if folder.exists():
            folder.rename(old)
        work.rename(folder)
    except OSError as error:
        raise LrfaceError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        for leftover in (work, old):
            shutil.rmtree(leftover, ignore_errors=True)
    return Rehearsed(folder, read_json(folder / MARKER), made=True)


def _check_place(folder: Path, recipe: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """The marker of an existing rehearsal that was made as ``recipe`` says; None if the set has to be made."""
    if not folder.exists():
        return None
    there = read_marker(folder)
    if there is None:
        raise LrfaceError(f"{folder} is there and no rehearsal: choose another --out")
    if recipe.items() <= there.items():
        return there
    if not overwrite:
        odd = next(key for key, value in recipe.items() if there.get(key) != value)
        raise LrfaceError(f"{folder} is a rehearsal that was made otherwise ({odd}): say --overwrite to replace it")
    return None


def _capture(plan: Plan, pool: Pool, name: str, work: Path, progress: bool) -> list[Capture]:
    """Write the images. Each image depends only on the seed, the set and the photo, not on the other images."""
    from tqdm import tqdm

    for folder in {*plan.folders, *(str(Path(image.file).parent) for image in plan.images)}:
        (work / folder).mkdir(parents=True, exist_ok=True)
    captures = []
    for image in tqdm(plan.images, unit="img", desc=f"rehearse {name}", disable=not progress):
        key = f"{pool.seed}\0{name}\0{pool.paths[image.source]}".encode("utf-8", "surrogateescape")
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:16], "little"))
        capture = image.camera(pool.crop(image.source), rng, Path(image.file).suffix[1:])
        (work / image.file).write_bytes(capture.encoded)
        captures.append(capture._replace(encoded=b""))
    return captures


def _write_people(folder: Path, plan: Plan) -> None:
    """Write the identities: part and label in the set -> name in the source."""
    rows = dict.fromkeys((image.part, image.label, image.person) for image in plan.images)
    with open(folder / "identities.csv", "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["part", "label", "identity"])
        writer.writerows(rows)
