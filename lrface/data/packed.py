"""A packed training: all that one recipe reads, in a few files that are carried to another machine.

::

    PACK/pack.json                what the parts hold, of which recipe, and each part's SHA-256; complete: written last
         recipe.yaml
         part-00000.safetensors   some images: store's number, low-resolution pixels, crop, teacher's target
         ...                      then labels, validation pairs, the classifier, the weights to begin with

``lrface.train.pack`` writes it and ``lrface train PACK/recipe.yaml --data PACK`` trains from it. Reading needs numpy, Pillow and
safetensors alone: no detector, no teacher, no Parquet. Image numbers, labels and fingerprint are those of the store that was
packed, so that a run sees the same samples in the same order, and goes on from a checkpoint of a run on the store.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.sets.pair_set import PairSet
from lrface.errors import LrfaceError
from lrface.faces.degrade import Degradation
from lrface.files import file_digest, read_json, require_path

FORMAT = 1
PACK_FILE = "pack.json"


def is_pack(path: str | Path) -> bool:
    """Whether a folder holds a packed training, whole or not."""
    return (Path(path) / PACK_FILE).is_file()


class PackedStore:
    """A packed training, read in place of a store.

    Args:
        path: the folder.

    Attributes:
        facts: what was packed: ``made_for`` (the parts of the recipe that it depends on), ``recipe``, ``loss``, counts.
        labels, identities, degradation, size, fingerprint, settings: as of :class:`lrface.data.store.Store`.

    Raises:
        LrfaceError: a part is missing or was changed on the way, or the pack is not complete or of another version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(require_path(path))
        self.facts = check_pack(self.path)
        arrays = _read_parts(self.path, [part["file"] for part in self.facts["parts"]])
        store = self.facts["store"]
        self.settings: dict[str, Any] = store["settings"]
        self.size: int = self.facts["crop_side"] or store["settings"]["size"]
        self.degradation = Degradation(**store["degradation"])
        self.fingerprint: str = store["fingerprint"]
        self.labels = arrays["label"].astype(np.int64)
        self.identities: int = store["identities"]
        self._rows = np.full(len(self.labels), -1, np.int64)
        self._rows[arrays["image"]] = np.arange(len(arrays["image"]))
        self._low = arrays["low"]
        self._crops = arrays.get("crops")
        ends = np.cumsum(arrays.get("crop_bytes", np.zeros(0)), dtype=np.int64)
        self._ends = np.concatenate([np.zeros(1, np.int64), ends])
        self._arrays = {name: array for name, array in arrays.items() if name not in ("low", "crops", "crop_bytes")}

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def packed(self) -> np.ndarray:
        """Which of the store's images the pack holds, bool ``[N]``: those that are trained on, and the held-out ones."""
        return self._rows >= 0

    def low(self, indices: Sequence[int] | np.ndarray | slice = slice(None)) -> np.ndarray:
        """Low-resolution pixels, uint8 ``[n, side, side, 3]`` RGB. Raises LrfaceError for an image that was not packed."""
        result: np.ndarray = self._low[self._rows_of(np.arange(len(self))[indices])]
        return result

    def crop(self, index: int) -> np.ndarray:
        """The crop of image ``index``, uint8 RGB ``[side, side, 3]``, of the side that the recipe's views are made from.

        Raises:
            LrfaceError: the image or crops were not packed.
        """
        from PIL import Image

        if self._crops is None:
            raise LrfaceError(f"{self.path} holds no crops, as its recipe's views are the stored pixels: pack it anew")
        row = int(self._rows_of(np.array([index]))[0])
        data = self._crops[self._ends[row] : self._ends[row + 1]].tobytes()
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert("RGB"))

    def targets(self) -> np.ndarray | None:
        """The teacher's targets by the store's numbers, float32 ``[2, N, dim]``, plain and flipped; None without a teacher.

        Those of images that are not trained on are zeros.
        """
        if "target" not in self._arrays:
            return None
        packed = self._arrays["target"]  # [rows, views, dim]
        views = packed.shape[1]
        result = np.zeros((views, len(self), packed.shape[2]), np.float32)
        images = self._arrays["image"]
        for view in range(views):
            values = packed[:, view].astype(np.float32)
            if "scale" in self._arrays:
                values *= self._arrays["scale"][:, view, None]
            result[view, images] = values
        return result if views == 2 else np.broadcast_to(result, (2, *result.shape[1:]))

    def classifier(self) -> np.ndarray | None:
        """The teacher's own, float32 ``[classes, dim]``, rows of unit length; None if it has none."""
        return self._arrays.get("classifier")

    def pairs(self) -> PairSet | None:
        """The validation pairs of other images than the store's, in the model's resolution; None if there are none."""
        if "pair_image" not in self._arrays:
            return None
        arrays, named = self._arrays, self.facts["pairs"]
        return PairSet(
            list(arrays["pair_image"]), arrays["pair_a"], arrays["pair_b"], arrays["pair_same"],
            named["name"], named["alignment"],
        )  # fmt: skip

    def initial(self) -> bytes | None:
        """The model file that the student begins with; None if it begins at random."""
        return self._arrays["initial"].tobytes() if "initial" in self._arrays else None

    def _rows_of(self, images: np.ndarray) -> np.ndarray:
        rows = self._rows[images]
        if rows.size and rows.min() < 0:
            raise LrfaceError(
                f"image {int(images[rows.argmin()])} is not in {self.path}: the pack is of another recipe"
            )
        return rows


def check_pack(path: Path) -> dict[str, Any]:
    """What ``pack.json`` says, every part being there and unchanged.

    Raises:
        LrfaceError: which parts are missing or changed, or the pack is not complete or of another version.
    """
    facts: dict[str, Any] = read_json(path / PACK_FILE)
    if facts.get("format") != FORMAT:
        raise LrfaceError(f"{path} is a pack of the format {facts.get('format')}, this version reads {FORMAT}")
    if not facts.get("complete"):
        raise LrfaceError(f"{path} is not complete: run tools/pack_training.py again, it goes on where it was")
    files = [part["file"] for part in facts["parts"]]
    missing = [file for file in files if not (path / file).is_file()]
    if missing:
        raise LrfaceError(f"{path} lacks {len(missing)} of {len(files)} parts: {_some(missing)}; copy them there")
    changed = [part["file"] for part in facts["parts"] if file_digest(path / part["file"]) != part["sha256"]]
    if changed:
        raise LrfaceError(f"{path}: the checksum does not fit of {_some(changed)}: copy it again")
    return facts


def _some(files: list[str]) -> str:
    more = f" and {len(files) - 5} more" if len(files) > 5 else ""
    return ", ".join(files[:5]) + more


def _read_parts(path: Path, files: list[str]) -> dict[str, np.ndarray]:
    """The arrays of all parts, joined along their first axis."""
    from safetensors import safe_open

    pieces: dict[str, list[np.ndarray]] = {}
    for file in files:
        with safe_open(str(path / file), framework="np") as part:
            for name in part.keys():  # noqa: SIM118 (not a mapping)
                pieces.setdefault(name, []).append(part.get_tensor(name))
    return {name: arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for name, arrays in pieces.items()}
