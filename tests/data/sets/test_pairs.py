import pytest

from lrface.data.sets.pairs import Pair, missing_images, read_pairs, repeated_pairs, resolve
from lrface.errors import LrfaceError

VIEW_2 = "2\t1\nAnn\t1\t2\nBob\t3\tCid X\t12345\nDée\t4\t1\nAnn\t1\tBob\t10\n"
PAIRS = [
    Pair("Ann/Ann_0001.jpg", "Ann/Ann_0002.jpg", True, 0),
    Pair("Bob/Bob_0003.jpg", "Cid X/Cid X_12345.jpg", False, 0),
    Pair("Dée/Dée_0004.jpg", "Dée/Dée_0001.jpg", True, 1),
    Pair("Ann/Ann_0001.jpg", "Bob/Bob_0010.jpg", False, 1),
]


@pytest.fixture
def listing(tmp_path):
    def write(text):
        path = tmp_path / "pairs.txt"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


@pytest.mark.parametrize("text", [VIEW_2, VIEW_2.rstrip("\n"), VIEW_2 + "\n\n", VIEW_2.replace("\n", "\r\n")])
def test_view_2(listing, text):
    assert read_pairs(listing(text)) == PAIRS


def test_byte_order_mark(listing):
    assert read_pairs(listing(b"\xef\xbb\xbf" + VIEW_2.encode())) == PAIRS


def test_view_1(listing):
    pairs = read_pairs(listing("2\nA\t1\t2\nB\t1\t2\nA\t1\tB\t1\nA\t2\tB\t2\n"))
    assert [pair.same for pair in pairs] == [True, True, False, False]
    assert {pair.fold for pair in pairs} == {0}


def test_folds_and_order_at_full_size(listing):
    same = "".join(f"P{i}\t1\t2\n" for i in range(300))
    different = "".join(f"P{i}\t1\tQ{i}\t1\n" for i in range(300))
    pairs = read_pairs(listing("10\t300\n" + (same + different) * 10))
    assert len(pairs) == 6000
    assert [pair.fold for pair in pairs] == [at // 600 for at in range(6000)]
    assert [pair.same for pair in pairs] == [at % 600 < 300 for at in range(6000)]


def test_suffix(listing):
    assert read_pairs(listing(VIEW_2), suffix=".png")[0].b == "Ann/Ann_0002.png"


def test_repeated_pairs_count_as_listed_and_are_told(listing):
    pairs = read_pairs(listing("2\nA\t1\t2\nA\t2\t1\nA\t1\tB\t1\nA\t1\tB\t1\n"))
    assert len(pairs) == 4
    assert repeated_pairs(pairs) == 2
    assert repeated_pairs(PAIRS) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected 10<TAB>300"),
        ("ten\t300\n", "line 1: expected"),
        ("10\t300\t2\n", "line 1: expected"),
        ("10 300\n", "line 1: expected"),
        ("-1\n", "line 1: expected"),
        (VIEW_2.replace("2\t1\n", "2\t2\n", 1), r"announces 8 pairs \(2 x 2 x 2\), 4 lines follow"),
        (VIEW_2 + "Ann\t1\t3\n", "announces 4 pairs .* 5 lines follow"),
        (VIEW_2[: VIEW_2.rindex("Ann")], "announces 4 pairs .* 3 lines follow"),
        (VIEW_2.replace("Ann\t1\t2", "Ann 1 2"), "line 2: expected a pair of the same"),
        (VIEW_2.replace("Ann\t1\t2", "Ann\t1\tBob\t2"), "line 2: expected a pair of the same"),
        (VIEW_2.replace("Bob\t3\tCid X\t12345", "Bob\t3\t4"), "line 3: expected a pair of the different"),
        (VIEW_2.replace("Dée\t4\t1", ""), "line 4: expected"),
        (VIEW_2.replace("Dée\t4\t1", "Dée\tx\t1"), "line 4: 'x' is no image number"),
        (VIEW_2.replace("Dée\t4\t1", "Dée\t4\t-1"), "line 4: '-1' is no image number"),
        (VIEW_2.replace("Dée\t4\t1", "Dée\t4\t1.0"), "line 4: '1.0' is no image number"),
        (VIEW_2.replace("Dée\t4\t1", "Dée\t4\t04"), "line 4: an image of Dée is paired with itself"),
        (VIEW_2.replace("\tBob\t10", "\tAnn\t10"), "line 5: a pair of different people names Ann twice"),
        (VIEW_2.replace("Ann\t1\t2", "../etc\t1\t2"), "line 2: '../etc' is no name"),
        (VIEW_2.replace("Ann\t1\t2", "..\t1\t2"), "line 2: '..' is no name"),
        (VIEW_2.replace("Ann\t1\t2", "\t1\t2"), "line 2: '' is no name"),
        (b"\xff\xd8\xff\xe0", "is not a text file"),
    ],
)
def test_damaged_lists(listing, text, message):
    with pytest.raises(LrfaceError, match=r"pairs\.txt") as caught:
        read_pairs(listing(text))
    assert caught.match(message)


def test_missing_list(tmp_path):
    with pytest.raises(LrfaceError, match=r"cannot read .*none\.txt: No such file"):
        read_pairs(tmp_path / "none.txt")


def test_resolve(tmp_path):
    for name in {name for pair in PAIRS for name in pair[:2]}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert missing_images(PAIRS, tmp_path) == []
    assert resolve(PAIRS, tmp_path)[1] == (tmp_path / "Bob/Bob_0003.jpg", tmp_path / "Cid X/Cid X_12345.jpg")
    (tmp_path / "Ann/Ann_0001.jpg").unlink()
    assert missing_images(PAIRS, tmp_path) == ["Ann/Ann_0001.jpg"]
    with pytest.raises(LrfaceError, match=r"1 of the 7 images are missing in .*: Ann/Ann_0001\.jpg$"):
        resolve(PAIRS, tmp_path)
    with pytest.raises(LrfaceError, match=r"7 of the 7 .*: Ann/Ann_0001\.jpg, Ann/Ann_0002\.jpg, Bob/.*, \.\.\.$"):
        resolve(iter(PAIRS), tmp_path / "none")
