"""The oracle is a reader and a writer made line by line from dmlc-core's and mxnet's description, a byte at a time."""

import concurrent.futures
import multiprocessing
import os
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrface.data import recordio
from lrface.data.recordio import RecordReader, RecordWriter, encode, pack, unpack
from lrface.errors import LrfaceError

MAGIC = b"\x0a\x23\xd7\x3e"
PIECES = st.one_of(st.just(MAGIC), st.binary(max_size=9), st.just(b"\x0a\x23"), st.just(b"\xd7\x3e"))
PAYLOADS = st.lists(PIECES, max_size=12).map(b"".join)


def slow_encode(payload: bytes) -> bytes:
    out, begin = b"", 0
    for at in range(0, len(payload) // 4 * 4, 4):
        if payload[at : at + 4] == MAGIC:
            flag = 1 if begin == 0 else 2
            out += MAGIC + struct.pack("<I", flag * 2**30 + at - begin) + payload[begin:at]
            begin = at + 4
    flag = 3 if begin else 0
    out += MAGIC + struct.pack("<I", flag * 2**30 + len(payload) - begin) + payload[begin:]
    while len(out) % 4:
        out += b"\0"
    return out


def slow_decode_all(data: bytes) -> list[bytes]:
    records, at, current = [], 0, b""
    while at < len(data):
        assert data[at : at + 4] == MAGIC
        number = struct.unpack("<I", data[at + 4 : at + 8])[0]
        flag, length = number // 2**30, number % 2**30
        if flag in (2, 3):
            current += MAGIC
        current += data[at + 8 : at + 8 + length]
        at += 8 + (length + 3) // 4 * 4
        if flag in (0, 3):
            records.append(current)
            current = b""
    return records


def write_set(folder, images, name="train"):
    """An insightface set of ``[(label, image bytes)]`` with identity and meta records."""
    with RecordWriter(folder / f"{name}.rec") as writer:
        for key, (label, image) in enumerate(images, 1):
            writer.write(key, pack(label, image, key))
        for key, payload in recordio.identity_records([label for label, _ in images]):
            writer.write(key, payload)
    return folder / f"{name}.rec"


@pytest.fixture
def casia(tmp_path):
    images = [(0, b"a0"), (0, b"a1!"), (1, MAGIC + b"b0" + MAGIC), (2, b"c0"), (2, b"xx" + MAGIC), (2, b"\xff" * 5000)]
    return write_set(tmp_path, images), images


@settings(deadline=None)
@given(PAYLOADS)
def test_encode_is_dmlc(payload):
    assert encode(payload) == slow_encode(payload)


@settings(deadline=None, max_examples=40)
@given(st.lists(PAYLOADS, min_size=1, max_size=6))
def test_round_trip(tmp_path_factory, payloads):
    path = tmp_path_factory.mktemp("rec") / "a.rec"
    with RecordWriter(path) as writer:
        offsets = [writer.write(10 * key, payload) for key, payload in enumerate(payloads)]
    assert slow_decode_all(path.read_bytes()) == payloads
    assert path.with_suffix(".idx").read_text() == "".join(f"{10 * k}\t{o}\n" for k, o in enumerate(offsets))
    reader = RecordReader(path)
    assert reader.keys.tolist() == [10 * key for key in range(len(payloads))]
    assert [reader.read(10 * key) for key in range(len(payloads))] == payloads


def test_bytes_of_a_split_record(tmp_path):
    assert encode(b"1234" + MAGIC + MAGIC + b"z") == (
        MAGIC + struct.pack("<I", 1 << 30 | 4) + b"1234"  # first part, up to the first magic
        + MAGIC + struct.pack("<I", 2 << 30)              # the empty part between the two
        + MAGIC + struct.pack("<I", 3 << 30 | 1) + b"z\0\0\0"
    )  # fmt: skip
    assert encode(b"123" + MAGIC) == MAGIC + struct.pack("<I", 7) + b"123" + MAGIC + b"\0"


def test_payloads_are_mxnets():
    assert pack(7, b"jpg", 3) == struct.pack("<IfQQ", 0, 7.0, 3, 0) + b"jpg"
    assert pack([5, 9], b"", 0, 1) == struct.pack("<IfQQff", 2, 0.0, 0, 1, 5.0, 9.0)
    labels, image = unpack(struct.pack("<IfQQfff", 3, 0.0, 8, 0, 1.0, 0.5, -2.0) + b"png")
    assert labels.dtype == np.float32
    assert labels.tolist() == [1.0, 0.5, -2.0]
    assert image == b"png"
    assert recordio.unpack_header(pack(7, b"jpg", 3, 4)) == (0, 7.0, 3, 4)
    assert unpack(pack(np.int64(12), b"x", 1))[0].tolist() == [12.0]


@pytest.mark.parametrize("labels", [2**24 + 1, [1, 2**25], [], float("nan")])
def test_labels_that_float32_would_change_are_refused(labels):
    with pytest.raises(LrfaceError, match=r"record 5.*2\*\*24"):
        pack(labels, b"", 5)


@pytest.mark.parametrize("payload", [b"", b"x" * 23, struct.pack("<IfQQf", 2, 0.0, 1, 0, 1.0)])
def test_short_payload(payload):
    with pytest.raises(LrfaceError, match="too short"):
        unpack(payload)


def test_records_after_the_images_are_insightfaces():
    records = list(recordio.identity_records([4, 4, 4, 9, 7, 7]))
    assert records == [
        (7, pack([1, 4], b"", 7)),
        (8, pack([4, 5], b"", 8)),
        (9, pack([5, 7], b"", 9)),
        (0, struct.pack("<IfQQff", 2, 0.0, 0, 1, 7.0, 10.0)),
    ]


@pytest.mark.parametrize(("labels", "word"), [([], "at least one"), ([1, 2, 1], "together")])
def test_impossible_identities(labels, word):
    with pytest.raises(LrfaceError, match=word):
        list(recordio.identity_records(labels))


def test_too_many_records_for_float32_labels(monkeypatch):
    monkeypatch.setattr(
        recordio.format, "MAX_EXACT_LABEL", 2**8
    )  # float32 counts to 2**24: as many labels would be slow
    with pytest.raises(LrfaceError, match="several shards"):
        next(recordio.identity_records([0] * (2**8 - 2)))
    assert next(recordio.identity_records([0] * (2**8 - 3)))[0] == 2**8 - 2


def test_insightface_set(casia):
    path, images = casia
    reader = RecordReader(path)
    assert reader.keys.tolist() == list(range(10))
    assert reader.image_keys.tolist() == [1, 2, 3, 4, 5, 6]
    assert reader.image_keys.dtype == np.int64
    assert [reader.read_image_bytes(key) for key in reader.image_keys] == images
    assert reader.identities().tolist() == [[1, 3], [3, 4], [4, 7]]
    assert reader.image_labels().tolist() == [0, 0, 1, 2, 2, 2]
    assert path.with_suffix(".idx").read_text().splitlines()[-1].startswith("0\t")
    assert 6 in reader
    assert 10 not in reader
    with pytest.raises(LrfaceError, match="record 7 holds no image"):
        reader.read_image_bytes(7)


def test_without_a_meta_record_every_key_is_an_image(tmp_path):
    with RecordWriter(tmp_path / "t.rec") as writer:
        for key in (3, 0, 8):
            writer.write(key, pack([key, 5], b"img%d" % key, key) if key else pack(0, b"img0", 0))
    reader = RecordReader(tmp_path / "t.rec")
    assert reader.image_keys.tolist() == [0, 3, 8]
    assert reader.image_labels().tolist() == [0, 3, 8]
    assert reader.read_image_bytes(8) == (8, b"img8")
    with pytest.raises(LrfaceError, match="no identity records"):
        reader.identities()


def test_image_at_key_0_with_several_labels_is_an_image(tmp_path):
    with RecordWriter(tmp_path / "t.rec") as writer:
        writer.write(0, pack([1, 2], b"image", 0))
    assert RecordReader(tmp_path / "t.rec").image_keys.tolist() == [0]


def test_image_labels_of_odd_records(tmp_path):
    """A label array, and a header that the magic splits, take the same way to the label as any image."""
    split = struct.pack("<IfQ", 0, 6.0, 2) + MAGIC + b"\0\0\0\0" + b"img"
    with RecordWriter(tmp_path / "t.rec") as writer:
        writer.write(1, pack([3, 0.5], b"img", 1))
        writer.write(2, split)
    assert RecordReader(tmp_path / "t.rec").image_labels().tolist() == [3, 6]


@pytest.mark.parametrize("images", [2**24 + 5, 2**24 + 6])
def test_meta_rounded_to_float32(tmp_path, images):
    """A set of more than 2**24 images has a meta record that says only nearly where they end."""
    rec, chunks = tmp_path / "big.rec", [pack(1, b"image", 1), pack([1, 2], b"", 1)]
    chunks.append(struct.pack("<IfQQff", 2, 0.0, 0, 1, 2**24 + 6, 2**24 + 8))
    rec.write_bytes(b"".join(encode(chunk) for chunk in chunks))
    identity_at = len(encode(chunks[0]))
    meta_at = identity_at + len(encode(chunks[1]))
    (tmp_path / "big.idx").write_text(f"0\t{meta_at}\n1\t0\n")
    reader = RecordReader(rec)
    # An index of 2**24 lines would be slow to write: all images share the first record.
    reader.keys = np.arange(images + 2)
    reader._offsets = np.zeros(images + 2, np.int64)
    reader._offsets[[0, -1]] = meta_at, identity_at
    assert len(reader.image_keys) == images
    with pytest.raises(LrfaceError, match="image_labels"):
        reader.identities()


def test_missing_index_is_rebuilt(casia):
    path, images = casia
    with_index = RecordReader(path)
    path.with_suffix(".idx").unlink()
    rebuilt = RecordReader(path)
    assert rebuilt.keys.tolist() == with_index.keys.tolist()
    assert [rebuilt.read_image_bytes(key) for key in rebuilt.image_keys] == images
    keys, offsets = recordio.scan(path)
    assert keys.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    assert offsets[0] == 0
    assert np.all(np.diff(offsets) > 0)


def test_index_that_cannot_be_rebuilt(tmp_path):
    (tmp_path / "t.rec").write_bytes(encode(pack(0, b"a", 5)) * 2)
    with pytest.raises(LrfaceError, match=r"record 5 twice.*without its \.idx"):
        RecordReader(tmp_path / "t.rec")
    (tmp_path / "t.rec").write_bytes(encode(b"no header"))
    with pytest.raises(LrfaceError, match="byte 0 is no image record"):
        RecordReader(tmp_path / "t.rec")


def test_every_truncation_is_noticed(casia):
    path, _ = casia
    whole = path.read_bytes()
    _, offsets = recordio.scan(path)
    for size in range(1, len(whole), 101):
        path.write_bytes(whole[:size])
        with pytest.raises(LrfaceError, match=r"truncated|past the end"):
            RecordReader(path)
        if size not in offsets:
            begun = max(int(offset) for offset in offsets if offset < size)
            with pytest.raises(LrfaceError, match=f"truncated: the record at byte {begun} goes on past byte {size}$"):
                recordio.scan(path)
    path.write_bytes(whole[:-8])
    with pytest.raises(LrfaceError, match=f"truncated: the record at byte {offsets[-1]} "):
        RecordReader(path)


def test_index_past_the_end(casia):
    path, _ = casia
    with open(path.with_suffix(".idx"), "a") as file:
        file.write("77\t999999\n")
    with pytest.raises(LrfaceError, match=r"train\.idx points past the end of .*train\.rec \(record 77 at byte 999999"):
        RecordReader(path)


def test_index_cut_short(casia):
    path, _ = casia
    index = path.with_suffix(".idx")
    lines = index.read_text().splitlines(keepends=True)
    index.write_text("".join(lines[:-2]))
    with pytest.raises(LrfaceError, match=r"the \.idx is cut short"):
        RecordReader(path)


@pytest.mark.parametrize("text", ["1 0\n", "one\t0\n", "1\t0\t0\n", "1\t0\n2\n", "1\t0.5\n", "1\t0\n\n", "\0\0\0\0"])
def test_damaged_index(tmp_path, text):
    (tmp_path / "t.rec").write_bytes(encode(pack(0, b"a", 1)))
    (tmp_path / "t.idx").write_text(text)
    with pytest.raises(LrfaceError, match=r"t\.idx: lines 1 to \d are not all key<TAB>offset"):
        RecordReader(tmp_path / "t.rec")


def test_index_in_blocks_equals_whole(casia, monkeypatch):
    path, _ = casia
    whole = RecordReader(path)
    for size in (1, 3, 7):
        monkeypatch.setattr(recordio.reader, "_INDEX_BLOCK", size)
        assert RecordReader(path).keys.tolist() == whole.keys.tolist()
    path.with_suffix(".idx").write_bytes(path.with_suffix(".idx").read_bytes().rstrip(b"\n"))
    assert RecordReader(path).keys.tolist() == whole.keys.tolist()


def test_index_of_another_file(casia):
    path, _ = casia
    path.with_suffix(".idx").write_text("0\t4\n1\t8\n")
    with pytest.raises(LrfaceError, match=r"damaged at byte 8, or its \.idx is another file's"):
        RecordReader(path)


def test_record_twice_in_the_index(casia):
    path, _ = casia
    with open(path.with_suffix(".idx"), "a") as file:
        file.write("1\t0\n")
    with pytest.raises(LrfaceError, match=r"names record 1 twice$"):
        RecordReader(path)


def test_middle_part_without_a_first(tmp_path):
    good = encode(pack(0, b"a", 1))
    for stray in (2, 3):
        (tmp_path / "t.rec").write_bytes(good + MAGIC + struct.pack("<I", stray << 30 | 4) + b"1234")
        with pytest.raises(LrfaceError, match=f"damaged at byte {len(good)}"):
            recordio.scan(tmp_path / "t.rec")
    (tmp_path / "t.rec").write_bytes(MAGIC + struct.pack("<I", 1 << 30 | 4) + b"1234" + good)
    with pytest.raises(LrfaceError, match="damaged at byte 12"):
        recordio.scan(tmp_path / "t.rec")


def test_missing_and_empty_files(tmp_path):
    with pytest.raises(LrfaceError, match=r"cannot read .*none\.rec: No such file"):
        RecordReader(tmp_path / "none.rec")
    (tmp_path / "t.rec").write_bytes(b"")
    with pytest.raises(LrfaceError, match=r"t\.rec holds no records"):
        RecordReader(tmp_path / "t.rec")
    (tmp_path / "t.idx").write_bytes(b"")
    with pytest.raises(LrfaceError, match=r"t\.idx holds no records"):
        RecordReader(tmp_path / "t.rec")
    with pytest.raises(LrfaceError, match=r"cannot read .*other\.idx"):
        RecordReader(tmp_path / "t.rec", tmp_path / "other.idx")
    with pytest.raises(LrfaceError, match="cannot read"):
        RecordReader(tmp_path)


def test_unknown_key(casia):
    with pytest.raises(LrfaceError, match=r"no record 10 \(its 10 keys lie in 0\.\.9\)"):
        RecordReader(casia[0]).read(10)


@pytest.mark.parametrize("announced", [9.0, 0.0, float("nan"), float("inf")])
def test_meta_that_lies(tmp_path, announced):
    with RecordWriter(tmp_path / "t.rec") as writer:
        writer.write(1, pack(0, b"a", 1))
        writer.write(0, struct.pack("<IfQQff", 2, 0.0, 0, 1, announced, announced))
    with pytest.raises(LrfaceError, match=r"record 0 (announces|does not say)"):
        _ = RecordReader(tmp_path / "t.rec").image_keys


@pytest.mark.parametrize("label", [1.5, float("nan"), float("inf")])
def test_label_that_is_no_class(tmp_path, label):
    with RecordWriter(tmp_path / "t.rec") as writer:
        writer.write(1, struct.pack("<IfQQ", 0, label, 1, 0) + b"image")
    for read in (lambda reader: reader.read_image_bytes(1), lambda reader: reader.image_labels()):
        with pytest.raises(LrfaceError, match=r"record 1: .* is not a class label"):
            read(RecordReader(tmp_path / "t.rec"))


def test_damaged_payload_names_file_and_record(tmp_path):
    with RecordWriter(tmp_path / "t.rec") as writer:
        writer.write(4, struct.pack("<IfQQ", 900, 0, 1, 0) + b"image")
    with pytest.raises(LrfaceError, match=r"t\.rec record 4: .*900 labels"):
        RecordReader(tmp_path / "t.rec").read_image_bytes(4)


def read_all(reader):
    return [reader.read_image_bytes(int(key)) for key in reader.image_keys]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes(casia, method):
    path, images = casia
    reader = RecordReader(path)
    assert read_all(reader) == images
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(reader.read_image_bytes, reader.image_keys.tolist())) == images
    assert read_all(reader) == images


def test_pickle_close_and_reopen(casia):
    path, images = casia
    reader = RecordReader(path)
    read_all(reader)
    other = pickle.loads(pickle.dumps(reader))
    reader.close()
    assert read_all(other) == images
    assert read_all(reader) == images
    reader.close()
    reader.close()


def test_threads_share_one_file(casia):
    path, images = casia
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    reader = RecordReader(path)
    reader.close()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read_all, [reader] * 64)) == [images] * 64
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) == before + 1


def test_file_removed_after_opening(casia):
    path, _ = casia
    reader = RecordReader(path)
    reader.close()
    path.unlink()
    with pytest.raises(LrfaceError, match=r"cannot read .*train\.rec"):
        reader.read(1)


def test_writer_leaves_nothing_half_written(tmp_path):
    def fail():
        with RecordWriter(tmp_path / "t.rec") as writer:
            writer.write(1, b"x" * 24)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_writer_appends_to_open_files(tmp_path):
    rec, idx = tmp_path / "t.rec", tmp_path / "t.idx"
    for key in (1, 2):
        with open(rec, "ab") as records, open(idx, "ab") as index:
            assert RecordWriter(records, index).write(key, pack(key, b"abc", key)) == 36 * (key - 1)
    assert RecordReader(rec).read_image_bytes(2) == (2, b"abc")
    with open(rec, "ab") as records, pytest.raises(TypeError):
        RecordWriter(records)


def test_property(tmp_path):
    recordio.write_property(tmp_path / "property", 10572, 112)
    assert (tmp_path / "property").read_text() == "10572,112,112\n"
    assert recordio.read_property(tmp_path / "property") == (10572, 112, 112)
    (tmp_path / "property").write_text("85742,112,112\n5822653\n")
    assert recordio.read_property(tmp_path / "property") == (85742, 112, 112)
    for text in ("", "a,b,c", "1,2"):
        (tmp_path / "property").write_text(text)
        with pytest.raises(LrfaceError, match="10572,112,112"):
            recordio.read_property(tmp_path / "property")
    with pytest.raises(LrfaceError, match="cannot read"):
        recordio.read_property(tmp_path / "none")


def test_record_too_long(monkeypatch):
    monkeypatch.setattr(recordio.format, "MAX_RECORD_BYTES", 10)
    with pytest.raises(LrfaceError, match="at most 10 bytes, this one has 11"):
        encode(b"x" * 11)
