"""Writing the parts of a packed training; see :mod:`lrface.data.packed`."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lrface.data.packed import PACK_FILE
from lrface.errors import LrfaceError
from lrface.files import atomic_write, file_digest, read_json, write_json

#: Of a part, by default: what most ways of carrying files take.
PART_BYTES = 40_000_000
#: Room in a part for the names and shapes of its arrays, of each.
HEADER = 4096
#: Entries of ``pack.json`` that tell one pack from another.
OWN = ("format", "recipe", "made_for", "settings", "store")


@dataclass
class PartWriter:
    """Writes the parts of a pack, and after each what is certain, so that a killed run goes on from there.

    Args:
        out: the pack's folder.
        facts: what ``pack.json`` says of the whole; of these ``OWN`` tell one pack from another.
        part_bytes: the largest part.

    Raises:
        LrfaceError: ``out`` holds another pack.
    """

    out: Path
    facts: dict[str, Any]
    part_bytes: int
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.out / PACK_FILE).exists():
            return
        before = read_json(self.out / PACK_FILE)
        if any(before.get(key) != _as_json(self.facts[key]) for key in OWN):
            raise LrfaceError(f"{self.out} holds another pack: remove it, or choose another --out")
        kept = []
        for part in before["parts"]:  # those of images come first and go on; the others are made in no time
            path = self.out / part["file"]
            if part["images"] is None or not path.is_file() or file_digest(path) != part["sha256"]:
                break
            kept.append(part)
        self.facts["parts"] = kept

    @property
    def done(self) -> int:
        """Images that are in whole parts."""
        return int(sum(part["images"] for part in self.facts["parts"]))

    def bar(self, total: int, progress: bool) -> Any:
        """A progress bar over ``total`` images."""
        from tqdm import tqdm

        return tqdm(total=total, initial=self.done, unit="img", desc="pack", disable=not progress)

    def add(self, arrays: dict[str, np.ndarray], images: dict[str, Any] | None = None) -> None:
        """Write a part. Of one with images ``images`` holds their number and what was measured of them."""
        from safetensors.numpy import save

        name = f"part-{len(self.facts['parts']):05d}.safetensors"
        content = save({key: np.ascontiguousarray(array) for key, array in arrays.items()})
        with atomic_write(self.out / name) as file:
            file.write(content)
        facts = {"file": name, "bytes": len(content), "sha256": file_digest(self.out / name)}
        self.facts["parts"].append(facts | (images or {"images": None}))
        write_json(self.out / PACK_FILE, self.facts)

    def add_rows(self, name: str, array: np.ndarray) -> None:
        """Write an array, in as many parts as its rows take; small ones share a part, which ``flush`` writes."""
        room = self.part_bytes - HEADER * (1 + len(self.arrays))
        each = max(array.nbytes // max(len(array), 1), 1)
        start = 0
        while start < len(array):
            used = sum(other.nbytes for other in self.arrays.values())
            rows = min((room - used) // each, len(array) - start)
            if rows < 1:
                if not self.arrays:
                    raise LrfaceError(f"a part of {self.part_bytes:,} bytes holds no row of {name}: allow larger parts")
                self.flush()
                continue
            self.arrays[name] = array[start : start + rows]
            start += rows
            if start < len(array):
                self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        if self.arrays:
            self.add(self.arrays)
            self.arrays = {}

    def finish(self) -> dict[str, Any]:
        """Say that the pack is whole, with what was lost."""
        self.flush()
        parts = [part for part in self.facts["parts"] if part["images"]]
        loss: dict[str, Any] = {}
        cosines = [part["cosine"] for part in parts if part.get("cosine")]
        if cosines:
            seen = sum(each["faces"] for each in cosines)
            mean = sum(each["mean"] * each["faces"] for each in cosines) / seen
            loss["cosine"] = {"mean": mean, "min": min(each["min"] for each in cosines)}
        errors = [part["error"] for part in parts if part.get("error") is not None]
        if errors:
            worst = float(np.mean(errors))
            loss["psnr"] = float(10 * np.log10(255**2 / worst)) if worst else None
        total = sum(part["bytes"] for part in self.facts["parts"])
        self.facts |= {"loss": loss, "bytes": total, "complete": True}
        write_json(self.out / PACK_FILE, self.facts)
        return self.facts


def _as_json(content: Any) -> Any:
    return json.loads(json.dumps(content))
