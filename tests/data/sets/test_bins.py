"""Packs of every age, written opcode by opcode where today's Python no longer writes them."""

import io
import os
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from lrface.data.sets.bins import read_bin, write_bin
from lrface.errors import LrfaceError


def picture(seed, size=(8, 8), kind="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return pixels, file.getvalue()


PICTURES = [picture(seed) for seed in range(4)]
PIXELS = np.stack([pixels for pixels, _ in PICTURES])
ENCODED = [data for _, data in PICTURES]


def py2_str(data):
    return b"T" + struct.pack("<i", len(data)) + data


def py2_list(items):
    return b"](" + b"".join(items) + b"e"


def py2_array(data, shape):
    """What Python 2 and numpy 1 write in protocol 2 for a uint8 array."""
    dtype = b"cnumpy\ndtype\n" + py2_str(b"u1") + b"K\x00K\x01\x87R(K\x03" + py2_str(b"|") + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    sides = b"(" + b"".join(b"J" + struct.pack("<i", side) for side in shape) + b"t"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + py2_str(b"b") + b"\x87R"
    return made + b"(K\x01" + sides + dtype + b"\x89" + py2_str(data) + b"tb"


def py2_pack(bins, same):
    return b"\x80\x02" + py2_list(bins) + py2_list([b"\x88" if flag else b"\x89" for flag in same]) + b"\x86."


def columns(shape):
    return [np.frombuffer(data, np.uint8).reshape(shape) for data in ENCODED]


PACKS = {
    "py2 str": py2_pack([py2_str(data) for data in ENCODED], [True, False]),
    "py2 array (n, 1)": py2_pack([py2_array(data, (len(data), 1)) for data in ENCODED], [True, False]),
    "py2 array (n,)": py2_pack([py2_array(data, (len(data),)) for data in ENCODED], [True, False]),
    "numpy bools": pickle.dumps((ENCODED, [np.True_, np.False_])),
    "array of bools": pickle.dumps((ENCODED, np.array([True, False]))),
    "array of int64": pickle.dumps([tuple(ENCODED), np.array([1, 0])]),
    "numbers": pickle.dumps((ENCODED, (1, 0))),
    "protocol 0": pickle.dumps((ENCODED, [True, False]), protocol=0),
    "bytearrays": pickle.dumps(([bytearray(data) for data in ENCODED], [True, False]), protocol=5),
}
for number in range(2, 6):
    PACKS[f"bytes {number}"] = pickle.dumps((ENCODED, [True, False]), protocol=number)
    for text, shape in (("(n,)", (-1,)), ("(n, 1)", (-1, 1))):
        writable = [column.copy() for column in columns(shape)]
        for name, arrays in (("read-only", columns(shape)), ("writable", writable)):
            PACKS[f"{name} array {text} {number}"] = pickle.dumps((arrays, [True, False]), protocol=number)


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS.keys())
def test_every_kind_of_pack(tmp_path, pack):
    for data in (pack, pack.replace(b"numpy._core", b"numpy.core")):
        if b"\x95" in data[:4] and len(data) != len(pack):
            continue  # protocol 4 counts the bytes of a frame, so the older name does not fit
        (tmp_path / "lfw.bin").write_bytes(data)
        images, same = read_bin(tmp_path / "lfw.bin")
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(images, PIXELS)
        assert same.dtype == np.bool_
        assert same.tolist() == [True, False]


def test_py2_arrays_are_what_numpy_means():
    """The hand-written arrays above are read by numpy itself to the same bytes."""
    for shape in ((-1,), (-1, 1)):
        column = np.frombuffer(ENCODED[0], np.uint8).reshape(shape)
        loaded = pickle.loads(b"\x80\x02" + py2_array(ENCODED[0], column.shape) + b".", encoding="latin1")
        np.testing.assert_array_equal(loaded, column)


def test_write_bin(tmp_path):
    write_bin(tmp_path / "own.bin", ENCODED, np.array([False, True]))
    images, same = read_bin(tmp_path / "own.bin")
    np.testing.assert_array_equal(images, PIXELS)
    assert same.tolist() == [False, True]
    assert pickle.loads((tmp_path / "own.bin").read_bytes()) == (ENCODED, [False, True])
    with pytest.raises(LrfaceError, match="3 images for 2 pairs"):
        write_bin(tmp_path / "other.bin", ENCODED[:3], [True, False])
    assert not (tmp_path / "other.bin").exists()


def test_jpeg_and_size(tmp_path):
    encoded = [picture(seed, (20, 12), "JPEG")[1] for seed in range(2)]
    write_bin(tmp_path / "a.bin", encoded, [True])
    images, _ = read_bin(tmp_path / "a.bin")
    assert images.shape == (2, 12, 20, 3)
    np.testing.assert_array_equal(images[1], np.asarray(Image.open(io.BytesIO(encoded[1]))))


class Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def build_on(name, state):
    """Sets attributes of the function that the loader hands out."""
    return b"\x80\x02c" + name + b"\n" + state + b"b."


HOSTILE = {
    "system": pickle.dumps(([Attack(os.system, "touch PWNED")], [True])),
    "eval": pickle.dumps(([Attack(eval, "open('PWNED', 'w')")], [True]), protocol=2),
    "open": pickle.dumps(([Attack(open, "PWNED", "w")], [True])),
    "getattr": pickle.dumps(([Attack(getattr, "", "join")], [True])),
    "numpy load": b"\x80\x02cnumpy\nload\nU\x05PWNED\x85R.",
    "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
    "codecs decode": b"\x80\x02c_codecs\ndecode\nU\x01aU\x03hex\x86R.",
    "codecs other encoding": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
    "instance": b"(cos\nsystem\nS'touch PWNED'\no.",
    "old instance": b"(S'touch PWNED'\nios\nsystem\n.",
    "persistent": b"\x80\x02U\x01xQ.",
    "extension": b"\x80\x02\x82\x01.",
    "memo of gigabytes": b"\x80\x02Nr\xf0\xff\xff\xff.",
    "bytes of exabytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.",
    "frame of exabytes": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
    "stack": b"\x80\x020000.",
    "attributes": build_on(b"numpy\ndtype", b"N}X\x08\x00\x00\x00__code__Ns\x86"),
    "protocol": b"\x80\x63N.",
    "shape of strings": b"\x80\x02"
    + py2_list([py2_array(b"", ()).replace(b"(t", b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fU\x01at")] * 2)
    + py2_list([b"\x88"])
    + b"\x86.",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pickle(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.bin").write_bytes(data)
    with pytest.raises(LrfaceError, match=r"evil\.bin") as caught:
        read_bin(tmp_path / "evil.bin")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "PWNED").exists()
    (tmp_path / "good.bin").write_bytes(PACKS["py2 array (n, 1)"])
    np.testing.assert_array_equal(read_bin(tmp_path / "good.bin")[0], PIXELS)


def test_hostile_names_what_it_asked_for(tmp_path):
    (tmp_path / "evil.bin").write_bytes(HOSTILE["system"])
    with pytest.raises(LrfaceError, match=r"asks for (posix|nt)\.system, which no pack needs"):
        read_bin(tmp_path / "evil.bin")


@pytest.mark.parametrize("pack", ["py2 str", "py2 array (n, 1)", "bytes 4", "writable array (n, 1) 5", "protocol 0"])
def test_truncated(tmp_path, pack):
    whole = PACKS[pack]
    for size in range(0, len(whole), 7):
        (tmp_path / "lfw.bin").write_bytes(whole[:size])
        with pytest.raises(LrfaceError, match=r"lfw\.bin is (truncated|no verification pack, or is damaged)"):
            read_bin(tmp_path / "lfw.bin")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((ENCODED[:3], [True, False]), "3 images for 2 pairs"),
        ((ENCODED, [True]), "4 images for 1 pairs"),
        (([], []), "holds no pairs"),
        ((ENCODED, [0.0, 1.0], [True, False]), "expected a pickle"),
        ((ENCODED,), "expected a pickle"),
        (7, "expected a pickle"),
        (({1: 2}, [True]), "expected a pickle"),
        ((ENCODED, 2), "same and different pairs cannot be read"),
        ((ENCODED, np.array([0.5, 1.0])), "same and different pairs cannot be read"),
        ((ENCODED, [True, 2]), "pair 1 is neither same nor different: 2"),
        ((ENCODED, [None, True]), "pair 0 is neither"),
        (([*ENCODED[:3], "text"], [True, False]), "image 3 should be an encoded image, found str"),
        (([*ENCODED[:3], np.zeros(5, np.float32)], [True, False]), "image 3 is an array of a type"),
        (([*ENCODED[:3], np.array([None])], [True, False]), "image 3 is an array of a type"),
        (([*ENCODED[:2], b"", ENCODED[3]], [True, False]), r"image 2 is empty"),
        (([ENCODED[0], b"not an image", *ENCODED[2:]], [True, False]), r"lfw\.bin: image 1 is not an image"),
        (([ENCODED[0], ENCODED[1][:60], *ENCODED[2:]], [True, False]), r"lfw\.bin: image 1"),
        (
            ([*ENCODED[:3], picture(0, (9, 8))[1]], [True, False]),
            r"image 3 and image 0 differ in size \(9 x 8 and 8 x 8",
        ),
    ],
)
def test_packs_that_do_not_add_up(tmp_path, content, message):
    (tmp_path / "lfw.bin").write_bytes(pickle.dumps(content))
    with pytest.raises(LrfaceError, match=message) as caught:
        read_bin(tmp_path / "lfw.bin")
    assert "lfw.bin" in str(caught.value)


@pytest.mark.parametrize("state", [b"big-endian", b"short"])
def test_arrays_that_lie(tmp_path, state):
    array = py2_array(ENCODED[0], (len(ENCODED[0]), 1))
    wrong = array.replace(py2_str(b"|"), py2_str(b">")) if state == b"big-endian" else py2_array(ENCODED[0], (5, 1))
    (tmp_path / "lfw.bin").write_bytes(py2_pack([array, wrong], [True]))
    with pytest.raises(LrfaceError, match=r"lfw\.bin.*(big-endian|image 1 is an array whose bytes do not fill)"):
        read_bin(tmp_path / "lfw.bin")


def test_missing(tmp_path):
    with pytest.raises(LrfaceError, match=r"cannot read .*none\.bin: No such file"):
        read_bin(tmp_path / "none.bin")
    (tmp_path / "text.bin").write_text("hello\n")
    with pytest.raises(LrfaceError, match=r"text\.bin is no verification pack"):
        read_bin(tmp_path / "text.bin")
