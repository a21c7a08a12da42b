"""The contact sheet shows each chosen face at both resolutions, in order."""

import numpy as np
import pytest

from lrface.data.contact_sheet import TILE, grid, write_contact_sheet
from lrface.data.crop import Settings
from lrface.data.prepare import prepare
from lrface.data.store import Store
from lrface.faces.degrade import Degradation
from lrface.faces.images import read_image


@pytest.mark.parametrize(
    ("tiles", "columns", "shape"), [(1, 8, (1, 1)), (3, 8, (1, 3)), (5, 2, (3, 2)), (4, 2, (2, 2))]
)
def test_tiles_stand_in_rows_on_white(tiles, columns, shape):
    height, width, gap = 3, 5, 2
    images = [np.full((height, width, 3), number, np.uint8) for number in range(tiles)]
    sheet = grid(images, columns, gap)
    assert sheet.shape == (shape[0] * (height + gap) + gap, shape[1] * (width + gap) + gap, 3)
    expected = np.full_like(sheet, 255)
    for number, image in enumerate(images):
        row, column = number // shape[1], number % shape[1]
        for y in range(height):
            for x in range(width):
                expected[gap + row * (height + gap) + y, gap + column * (width + gap) + x] = image[y, x]
    np.testing.assert_array_equal(sheet, expected)


def test_the_sheet_of_a_store(tiny_store):
    store = Store(tiny_store)
    sheet = read_image(tiny_store / "shard-00000-of-00001" / "contact.png")
    tile = sheet[4 : 4 + TILE, 4 : 4 + 2 * TILE]
    np.testing.assert_array_equal(tile[:, :TILE], store.crop(0))
    np.testing.assert_array_equal(tile[:, TILE:], store.low([0])[0].repeat(7, 0).repeat(7, 1))
    assert sheet.shape == (2 * (TILE + 4) + 4, 8 * (2 * TILE + 4) + 4, 3)


def test_faces_of_a_long_store_are_spread_over_it(tiny_store, tmp_path):
    store = Store(tiny_store)
    folder = tmp_path / "shard"
    folder.mkdir()
    for name in ("train.rec", "train.idx", "low.npy"):
        (folder / name).write_bytes((store.folders[0] / name).read_bytes())
    sheet = read_image(write_contact_sheet(folder, faces=4, columns=4))
    for column, index in enumerate((0, 3, 6, 9)):
        left = 4 + column * (2 * TILE + 4)
        np.testing.assert_array_equal(sheet[4 : 4 + TILE, left : left + TILE], store.crop(index))


def test_crops_of_any_size_fit(face_folder, tmp_path):
    settings = Settings(size=50, detector="none", degradation=Degradation(9))
    summary = prepare(face_folder, tmp_path, settings, progress=False)
    sheet = read_image(summary.folder / "contact.png")
    assert sheet.shape == (2 * (TILE + 4) + 4, 8 * (2 * TILE + 4) + 4, 3)
