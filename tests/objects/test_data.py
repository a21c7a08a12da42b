import pickle
import tarfile

import numpy as np
import pytest
import scipy.io

from lrface.errors import LrfaceError
from lrface.faces.images import encode_image
from lrface.objects.data import cifar, open_set, pictures, tinyimagenet
from lrface.objects.data.shapes import NAMES, draw_shapes


def random_images(count, side, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def write_cifar(folder, images, labels, split="train"):
    folder.mkdir(exist_ok=True)
    content = {b"data": images.transpose(0, 3, 1, 2).reshape(len(images), -1), b"fine_labels": list(labels)}
    (folder / split).write_bytes(pickle.dumps(content, protocol=2))
    names = {b"fine_label_names": [f"class{number}".encode() for number in range(3)]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=2))


def test_cifar_archive_folder_and_packed(tmp_path):
    images = random_images(4, 32)
    write_cifar(tmp_path / cifar.FOLDER, images, [2, 0, 1, 2])
    with tarfile.open(tmp_path / cifar.ARCHIVE, "w:gz") as archive:
        archive.add(tmp_path / cifar.FOLDER, cifar.FOLDER)
    for place in (tmp_path, tmp_path / cifar.FOLDER, tmp_path / cifar.ARCHIVE):
        found = open_set("cifar100", place, "train")
        assert np.array_equal(found.images, images)
        assert found.labels.tolist() == [2, 0, 1, 2]
        assert found.names == ("class0", "class1", "class2")


def test_cifar_pngs(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "CLASSES", 2)
    images = random_images(3, 32)
    for image, place in zip(images, ("b/0", "a/1", "b/2"), strict=True):
        file = tmp_path / "test" / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode_image(image, "png"))
    found = open_set("cifar100", tmp_path, "test")
    assert np.array_equal(found.images, images[[1, 0, 2]])
    assert found.labels.tolist() == [0, 1, 1]
    (tmp_path / "test" / "a" / "1.png").unlink()
    with pytest.raises(LrfaceError, match="holds no picture: the class a is missing"):
        open_set("cifar100", tmp_path, "test")


def test_cifar_runs_no_code(tmp_path):
    write_cifar(tmp_path / cifar.FOLDER, random_images(1, 32), [0])
    (tmp_path / cifar.FOLDER / "train").write_bytes(b"cos\nsystem\n(S'echo bad'\ntR.")
    with pytest.raises(LrfaceError, match="it asks for"):
        open_set("cifar100", tmp_path, "train")


@pytest.mark.parametrize("name", ["cifar100", "svhn", "stl10", "tinyimagenet"])
def test_a_set_that_is_not_there(name, tmp_path):
    with pytest.raises(LrfaceError, match=str(tmp_path)) as caught:
        open_set(name, tmp_path / "none", "train")
    assert "\n" not in str(caught.value)


def test_svhn(tmp_path):
    images = random_images(11, 32)
    digits = np.array([10, *range(1, 10), 10])[:, None]
    scipy.io.savemat(tmp_path / "train_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": digits})
    found = open_set("svhn", tmp_path, "train")
    assert np.array_equal(found.images, images)
    assert found.labels.tolist() == [0, *range(1, 10), 0]
    (tmp_path / "test_32x32.mat").write_bytes(b"no matrix")
    with pytest.raises(LrfaceError, match="is no SVHN file, or is damaged"):
        open_set("svhn", tmp_path, "test")


def test_stl10(tmp_path):
    images = random_images(10, 96)
    images.transpose(0, 3, 2, 1).tofile(tmp_path / "test_X.bin")
    np.arange(1, 11, dtype=np.uint8).tofile(tmp_path / "test_y.bin")
    found = open_set("stl10", tmp_path, "test")
    assert np.array_equal(found.images, images)
    assert found.labels.tolist() == list(range(10))
    (tmp_path / "test_y.bin").write_bytes(bytes([1, 2]))
    with pytest.raises(LrfaceError, match="has 10 pictures and 2 labels"):
        open_set("stl10", tmp_path, "test")
    (tmp_path / "test_X.bin").write_bytes(b"123")
    with pytest.raises(LrfaceError, match="cut short"):
        open_set("stl10", tmp_path, "test")


def test_tinyimagenet(tmp_path, monkeypatch):
    monkeypatch.setattr(tinyimagenet, "CLASSES", 2)
    root = tmp_path / tinyimagenet.FOLDER
    images = random_images(4, 64)
    places = ("train/n1/images/a.png", "train/n2/images/b.png", "val/images/c.png", "val/images/d.png")
    for image, place in zip(images, places, strict=True):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(encode_image(image, "png"))
    (root / "val" / "val_annotations.txt").write_text("c.png\tn2\t0\t0\t9\t9\nd.png\tn1\t0\t0\t9\t9\n")
    train, test = (open_set("tinyimagenet", tmp_path, split) for split in ("train", "test"))
    assert train.labels.tolist() == [0, 1]
    assert test.labels.tolist() == [1, 0]
    assert np.array_equal(test.images, images[2:])
    (root / "val" / "val_annotations.txt").write_text("c.png\tn7\n")
    with pytest.raises(LrfaceError, match=r"the line 'c\.png' names no class"):
        open_set("tinyimagenet", tmp_path, "test")


def test_shapes_are_the_same_every_time_and_differ_by_split():
    first, again, test = open_set("shapes", None, "train", 4), open_set("shapes", None, "train", 4), None
    assert first.fingerprint == again.fingerprint
    test = open_set("shapes", None, "test", 4)
    assert len(first.names) == 20
    assert np.bincount(first.labels).tolist() == [4] * 20
    assert np.bincount(test.labels).tolist() == [2] * 20
    assert not np.array_equal(first.images[0], test.images[0])


def test_colour_does_not_tell_the_class():
    """A classifier of the mean colour stays at chance."""
    from sklearn.linear_model import LogisticRegression

    train, test = draw_shapes(30, 16, 1), draw_shapes(15, 16, 2)
    means = [each.images.mean((1, 2)) for each in (train, test)]
    found = LogisticRegression(max_iter=500).fit(means[0], train.labels).score(means[1], test.labels)
    assert found < 0.12


def test_part_is_of_every_class_and_leaves_the_rest():
    found = draw_shapes(5, 16)
    held, rest = found.part(2, 7)
    assert np.bincount(found.labels[held]).tolist() == [2] * len(NAMES)
    assert sorted([*held, *rest]) == list(range(len(found)))
    assert np.array_equal(held, found.part(2, 7)[0])
    with pytest.raises(LrfaceError, match="5 pictures of each class are asked for, and class triangle-filled has 5"):
        found.part(5, 7)


def test_counts_are_checked():
    images = random_images(2, 8)
    with pytest.raises(LrfaceError, match="x has no picture of class b"):
        pictures.checked(images, np.array([0, 0]), ("a", "b"), "x")
    with pytest.raises(LrfaceError, match="x has labels 0 to 2, and 2 classes"):
        pictures.checked(images, np.array([0, 2]), ("a", "b"), "x")
    with pytest.raises(LrfaceError, match="unknown object set 'cifar10': did you mean 'cifar100'"):
        open_set("cifar10", None, "train")
    with pytest.raises(LrfaceError, match="unknown split 'val'"):
        open_set("shapes", None, "val")


def test_the_first_classes_alone():
    whole = draw_shapes(2, side=16)
    part = whole.first(3)
    assert part.names == whole.names[:3]
    assert part.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert (part.images == whole.images[:6]).all()
    with pytest.raises(LrfaceError, match=r"21 classes are asked for, and the set has 20: lower data\.classes"):
        whole.first(21)
