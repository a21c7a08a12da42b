"""Photos or records -> a store. Detects, aligns and degrades faces in parallel; resumable; in one shard or many."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data import store
from lrface.data.contact_sheet import write_contact_sheet
from lrface.data.crop import Settings
from lrface.data.folders import Passed
from lrface.data.journal import ShardWriter, check_same
from lrface.data.sources import Item, Share, Source, open_source, take_share
from lrface.data.workers import crop_chunks
from lrface.errors import LrfaceError
from lrface.files import atomic_write, file_digest, require_path, write_json

#: Number of images in one unit of work. Detection is slow, and units in progress are lost if the process is killed.
CHUNK = 256
DETECTION_CHUNK = 32


@dataclass(frozen=True)
class Summary:
    """The outcomes of the images of one shard.

    Attributes:
        folder: the shard.
        counts: status -> number of images. The sum is the number of images in the shard's part of the source. The first
            shard also counts ``left out``: images that are in no identity's folder, and linked folders.
        identities: number of identities with at least one image in the store.
        single: number of identities with exactly one image.
        fingerprint: digest of the labels and crops.
        turned: number of images whose face was found after turning the image; the manifest says which.
        notes: other contents of the source, on the first shard: hidden and system files and folders, other files.
    """

    folder: Path
    counts: dict[str, int]
    identities: int
    single: int
    fingerprint: str
    turned: int = 0
    notes: tuple[str, ...] = ()


def prepare(
    source: str | Path,
    out: str | Path,
    settings: Settings,
    landmarks: str | Path | None = None,
    shard: int = 0,
    shards: int = 1,
    workers: int = 1,
    device: str = "cpu",
    overwrite: bool = False,
    progress: bool = True,
) -> Summary:
    """Make one shard of a store from a source. If the process is killed, the same call resumes the work.

    Args:
        source: see :func:`lrface.data.sources.open_source`.
        out: the store's folder. Different machines may write its shards at the same time.
        settings: how faces are found, cut and reduced.
        landmarks: CSV file; required with ``settings.detector == "landmarks"``, forbidden otherwise.
        shard, shards: which part of the source, counted from 0, of how many.
        workers: number of processes. 1 works in this process. More are spawned: the calling script then needs the usual
            ``if __name__ == "__main__":``.
        device: of the detector.
        overwrite: start the shard again.
        progress: show a progress bar with rate and remaining time.

    Raises:
        LrfaceError: the source or the settings are wrong, no image could be used, a worker died, or the disk is full.
    """
    if not 0 <= shard < shards:
        raise LrfaceError(f"there is no shard {shard} of {shards}: shards count from 0 to {shards - 1}")
    if workers < 1:
        raise LrfaceError(f"{workers} workers can do nothing: at least 1 is needed")
    images = _open(source, out, settings, landmarks)
    share = take_share(images, shard, shards)
    header = {
        "format": store.FORMAT,
        "settings": settings.as_dict(),
        "listing": share.listing,
        "landmarks": file_digest(landmarks) if landmarks else None,
    }
    header = json.loads(json.dumps(header))  # makes it comparable with headers read from JSON
    folder = store.shard_folder(out, shard, shards)
    origin = {"source": str(images.root), "shard": shard, "shards": shards}
    try:
        if overwrite and folder.exists():
            shutil.rmtree(folder)
        if (folder / store.SHARD_FILE).exists():
            check_same(header, store.read_shard(folder), folder)
            return _summary(folder)
        with closing(ShardWriter(folder, settings.degradation.size, header)) as writer:
            _fill(writer, images, share, settings, workers, device, progress)
            _finish(writer, settings, header | origin, Passed() if shard else images.passed())
        return _summary(folder)
    except BrokenProcessPool as error:
        raise LrfaceError(
            "a worker process died, most likely for want of memory: repeat the command with fewer --workers, it goes on"
        ) from error
    except OSError as error:
        raise LrfaceError(f"cannot write {folder}: {error.strerror or error}; repeat the command to go on") from error


def _open(source: str | Path, out: str | Path, settings: Settings, landmarks: str | Path | None) -> Source:
    if (settings.detector == "landmarks") != (landmarks is not None):
        raise LrfaceError("a landmarks file goes with the detector 'landmarks': give both or neither")
    images = open_source(source, landmarks)
    if images.root.is_dir() and Path(require_path(out)).resolve().is_relative_to(images.root.resolve()):
        raise LrfaceError(f"the store {out} must not lie in its source {source}: it would be taken for an identity")
    return images


def _fill(
    writer: ShardWriter, source: Source, share: Share, settings: Settings, workers: int, device: str, progress: bool
) -> None:
    from tqdm import tqdm

    items = islice(source.items(share.first, share.stop), writer.rows, None)
    chunks = _chunks(items, DETECTION_CHUNK if settings.detects else CHUNK)
    with (
        closing(crop_chunks(chunks, source, settings, workers, device)) as results,
        tqdm(total=share.images, initial=writer.rows, unit="img", smoothing=0.05, disable=not progress) as bar,
    ):
        bar.set_description(f"prepare {writer.folder.name}")
        for crops in results:
            writer.append(crops)
            bar.update(len(crops))
    writer.commit()


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


def _finish(writer: ShardWriter, settings: Settings, header: dict[str, Any], passed: Passed) -> None:
    labels = np.empty(writer.images, np.int64)
    offsets = np.empty(writer.images, np.int64)
    counts: Counter[str] = Counter()
    fingerprint, done, turned = hashlib.sha256(), 0, 0
    with (
        atomic_write(writer.folder / "manifest.parquet") as file,
        store.ManifestWriter(file) as manifest,
    ):
        for entry in writer.entries():
            manifest.write(entry["rows"])
            for row in entry["rows"]:
                counts[row["status"]] += 1
                turned += row["status"] == "ok" and row["reason"] is not None
                if row["status"] == "ok":
                    fingerprint.update(row["label"].to_bytes(8, "little", signed=True) + bytes.fromhex(row["digest"]))
                    labels[done], offsets[done], done = row["label"], row["offset"], done + 1
        manifest.write([_left_out(*row) for row in passed.rows])
    counts |= {"left out": len(passed.rows)} if passed.rows else {}
    if not done:
        reason = next(row["reason"] for entry in writer.entries() for row in entry["rows"])
        raise LrfaceError(f"no image of {header['source']} could be used; the first one: {reason}")
    writer.finish(labels, offsets, settings.size)
    write_contact_sheet(writer.folder)
    sizes = np.unique(labels[labels >= 0], return_counts=True)[1]
    result = {"images": done, "counts": dict(counts), "identities": len(sizes), "single": int((sizes == 1).sum())}
    result |= {"turned": turned} if settings.turn else {}
    result |= {"notes": passed.notes()} if passed.notes() else {}
    write_json(writer.folder / store.SHARD_FILE, header | result | {"fingerprint": fingerprint.hexdigest()})
    writer.forget()


def _left_out(path: str, reason: str) -> dict[str, Any]:
    """The row of the manifest for a file that is left out of the source."""
    nothing = {"landmarks": None, "score": None}
    return {"path": path, "identity": None, "label": -1, "status": "left out", "reason": reason} | nothing


def _summary(folder: Path) -> Summary:
    facts = store.read_shard(folder)
    turned, notes = facts.get("turned", 0), tuple(facts.get("notes", ()))
    return Summary(folder, facts["counts"], facts["identities"], facts["single"], facts["fingerprint"], turned, notes)
