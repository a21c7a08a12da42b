"""A contact sheet: what a store's faces look like at both resolutions."""

from pathlib import Path

import numpy as np

from lrface.data.recordio import RecordReader
from lrface.faces.degrade import resize
from lrface.faces.images import encode_image, read_image
from lrface.files import atomic_write

TILE = 112


def write_contact_sheet(folder: Path, faces: int = 40, columns: int = 8) -> Path:
    """Draw faces spread evenly over a shard, each with its low-resolution pixels beside it, to ``contact.png``."""
    low = np.load(folder / "low.npy", mmap_mode="r")
    reader = RecordReader(folder / "train.rec")
    chosen = np.unique(np.linspace(0, len(low) - 1, min(faces, len(low))).astype(np.int64))
    tiles = []
    for index in chosen:
        crop = resize(read_image(reader.read_image_bytes(int(index) + 1)[1]), TILE)
        tiles.append(np.hstack([crop, resize(np.asarray(low[index]), TILE, "nearest", antialias=False)]))
    path = folder / "contact.png"
    with atomic_write(path) as file:
        file.write(encode_image(grid(tiles, columns), "png"))
    return path


def grid(tiles: list[np.ndarray], columns: int, gap: int = 4) -> np.ndarray:
    """Lay equal uint8 tiles ``[height, width, 3]`` out in rows on white."""
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet
