"""A contact sheet that shows faces of a store at both resolutions."""

from pathlib import Path

import numpy as np

from lrface.data.recordio import RecordReader
from lrface.faces.degrade import resize
from lrface.faces.images import encode_image, read_image
from lrface.files import atomic_write

TILE = 112


def write_contact_sheet(folder: Path, faces: int = 40, columns: int = 8) -> Path:
    """Write ``contact.png``: faces spread evenly over a shard, each beside its low-resolution pixels.

    Args:
        folder: the shard.
        faces: maximum number of faces.
        columns: faces in one row.

    Returns:
        The file written.

    Raises:
        LrfaceError: a crop cannot be read, or the file cannot be written.
    """
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
    """Arrange uint8 tiles ``[height, width, 3]`` of equal size in rows, on white with ``gap`` pixels between: uint8 RGB."""
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet
