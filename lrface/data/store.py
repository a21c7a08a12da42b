"""The format of training data: aligned crops in a ``.rec``, low-resolution pixels in a memory-mapped array.

::

    STORE/shard-00000-of-00002/
        train.rec train.idx property   insightface RecordIO: keys 1..N, grouped by identity
        low.npy                        uint8 [N, side, side, 3]
        labels.npy                     int64 [N], numbered over the whole source
        manifest.parquet               a row per image of the source: path, identity, landmarks, score, status, reason
        contact.png                    contact sheet
        shard.json                     settings, counts, fingerprint; written last

Shards are independent, so that several machines can write them. :class:`Store` reads them as one. Only the requested data are
loaded: labels take 8 bytes per image, the index of the crops takes 16 once a crop is read, and the rest stays on disk.
"""

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from lrface.data.recordio import RecordReader
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation
from lrface.faces.images import read_image
from lrface.files import looked_in, read_json, require_path

FORMAT = 1
SHARD_FILE = "shard.json"
ROW_GROUP = 16384
"""Number of rows of the manifest that are kept in memory and written together."""


def shard_folder(out: str | Path, shard: int, shards: int) -> Path:
    """The folder of shard ``shard`` of ``shards``."""
    return Path(out) / f"shard-{shard:05d}-of-{shards:05d}"


def read_shard(folder: Path) -> dict[str, Any]:
    """Read the record of one complete shard.

    Raises:
        LrfaceError: the record cannot be read, or has a format that this version does not know.
    """
    facts: dict[str, Any] = read_json(folder / SHARD_FILE)
    if facts.get("format") != FORMAT:
        raise LrfaceError(f"{folder} has the store format {facts.get('format')}, this version reads {FORMAT}")
    return facts


class ManifestWriter:
    """Writes the manifest to an open file as Parquet, some thousand rows at a time, so that memory stays bounded."""

    def __init__(self, file: IO[bytes]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = pa.schema(
            [
                ("path", pa.string()), ("identity", pa.string()), ("label", pa.int64()),
                ("landmarks", pa.list_(pa.float32())), ("score", pa.float32()),
                ("status", pa.string()), ("reason", pa.string()),
            ]
        )  # fmt: skip
        self._writer = pq.ParquetWriter(file, self._schema)
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> "ManifestWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._flush()
        finally:
            self._writer.close()

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Add rows. Keys that are not columns are ignored."""
        self._rows += rows
        if len(self._rows) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        columns = {
            name: [_as_utf8(row[name]) if isinstance(row[name], str) else row[name] for row in self._rows]
            for name in self._schema.names
        }
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._rows.clear()


def _as_utf8(text: str) -> str:
    """Make a text valid UTF-8, which Parquet needs and file names need not be. Invalid bytes become ``\\udcff`` and the like."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


class Store:
    """All shards of a store, read as one set of ``len(store)`` images.

    Args:
        path: the store's folder.
        low_size: side of the low-resolution images in pixels. If it differs from the stored side, they are made from the
            crops. If None, the stored ones are used.

    Attributes:
        labels: int64 ``[N]``, identities numbered 0 to ``identities - 1`` without gaps; -1 for no identity.
        identities: number of identities.
        degradation: how the low-resolution images are made.
        size: side of the aligned crops in pixels.
        fingerprint: digest of the contents.
        settings: the recorded settings of ``prepare``.
        folders: folders of the shards, in order.

    Raises:
        LrfaceError: there is no store, a shard is missing, unfinished or damaged, or the shards do not fit together.
    """

    def __init__(self, path: str | Path, low_size: int | None = None) -> None:
        self.path = Path(require_path(path))
        self.folders = _shards(self.path)
        facts = [read_shard(folder) for folder in self.folders]
        for key in ("settings", "listing", "landmarks"):
            odd = next((i for i, fact in enumerate(facts) if fact[key] != facts[0][key]), None)
            if odd is not None:
                what = {"listing": "lists of images"}.get(key, key)
                raise LrfaceError(
                    f"{self.folders[0]} and {self.folders[odd]} were prepared from different {what}: "
                    "prepare one of them again"
                )
        self.settings: dict[str, Any] = facts[0]["settings"]
        self.size: int = self.settings["size"]
        self.degradation = Degradation(**self.settings["degradation"])
        self._stored = low_size in (None, self.degradation.size)
        if low_size is not None:
            self.degradation = replace(self.degradation, size=low_size)
        images = [fact["images"] for fact in facts]
        self._ends = np.cumsum(images)
        self._low = [_load(folder / "low.npy", count) for folder, count in zip(self.folders, images, strict=True)]
        labels = [_load(folder / "labels.npy", count) for folder, count in zip(self.folders, images, strict=True)]
        known, numbers = np.unique(np.concatenate(labels), return_inverse=True)
        nobody = int(known[0] < 0)  # the label -1, if there is one, comes first
        self.labels = numbers - nobody
        self.identities = len(known) - nobody
        digests = [fact["fingerprint"] for fact in facts]
        self.fingerprint = digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def low(self, indices: Sequence[int] | np.ndarray | slice = slice(None)) -> np.ndarray:
        """Low-resolution images, uint8 RGB ``[n, side, side, 3]``, copied into memory.

        Raises:
            LrfaceError: a crop cannot be read.
            IndexError: an index is out of range.
        """
        if not self._stored:
            chosen = np.arange(len(self))[indices]
            with ThreadPoolExecutor() as pool:
                return np.stack(list(pool.map(lambda index: self.degradation(self.crop(int(index))), chosen)))
        if isinstance(indices, slice):
            if indices == slice(None):
                return np.concatenate(self._low)
            indices = np.arange(len(self))[indices]
        wanted = np.asarray(indices, np.int64)
        result = np.empty((len(wanted), *self._low[0].shape[1:]), np.uint8)
        shards = self._shards_of(wanted)
        for shard in np.unique(shards):
            chosen = shards == shard
            result[chosen] = self._low[shard][wanted[chosen] - self._start(shard)]
        return result

    def encoded(self, index: int) -> bytes:
        """The aligned crop of image ``index`` as it is stored, JPEG or PNG. Raises as :meth:`crop` does."""
        shard = int(self._shards_of(np.array(index)))
        return self._readers[shard].read_image_bytes(int(index) - self._start(shard) + 1)[1]

    def crop(self, index: int) -> np.ndarray:
        """The aligned crop of image ``index``: uint8 RGB ``[size, size, 3]``.

        Raises:
            LrfaceError: the crop cannot be read.
            IndexError: the index is out of range.
        """
        return read_image(self.encoded(index), f"image {index} of {self.path}")

    @cached_property
    def _readers(self) -> list[RecordReader]:
        """Opened at first use, because the indices take memory that the low-resolution images do not need."""
        return [RecordReader(folder / "train.rec") for folder in self.folders]

    def _shards_of(self, indices: np.ndarray) -> np.ndarray:
        if indices.size and not 0 <= indices.min() <= indices.max() < len(self):
            raise IndexError(f"{self.path} has images 0 to {len(self) - 1}")
        return np.searchsorted(self._ends, indices, side="right")

    def _start(self, shard: int) -> int:
        return int(self._ends[shard - 1]) if shard else 0


def _shards(path: Path) -> list[Path]:
    matches = [re.fullmatch(r"shard-\d{5,}-of-(\d{5,})", folder.name) for folder in path.glob("shard-*")]
    counts = {int(match[1]) for match in matches if match}
    if not counts:
        raise LrfaceError(f"no store at {path} ({looked_in(path)}): make one with `lrface prepare SOURCE --out {path}`")
    if len(counts) > 1:
        raise LrfaceError(
            f"{path} mixes stores of {' and '.join(map(str, sorted(counts)))} shards: remove the shards of all but one"
        )
    total = counts.pop()
    folders = [shard_folder(path, shard, total) for shard in range(total)]
    missing = [shard for shard, folder in enumerate(folders) if not (folder / SHARD_FILE).exists()]
    if missing:
        raise LrfaceError(
            f"{path} is not complete: shard {missing[0]} of {total} is missing or unfinished "
            f"({len(missing)} in all); run `lrface prepare ... --shard {missing[0]}/{total}`"
        )
    return folders


def _load(path: Path, images: int) -> np.ndarray:
    """Open a memory-mapped array that must have ``images`` rows."""
    advice = "prepare the shard again with --overwrite"
    try:
        array: np.ndarray = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise LrfaceError(f"{path} is missing or damaged ({error}): {advice}") from error
    if len(array) != images:
        raise LrfaceError(f"{path} has {len(array)} rows for {images} images: {advice}")
    return array
