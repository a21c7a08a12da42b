"""Embeddings of many crops are those of each alone."""

import threading

import numpy as np
import pytest

from lrface.data import face_crops
from lrface.data.crop import Settings
from lrface.data.face_list import FaceList
from lrface.data.synthetic import face
from lrface.errors import LrfaceError
from lrface.eval.embeddings import embed_list, flip_sum
from lrface.faces.degrade import Degradation
from lrface.faces.images import encode_image, read_image
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing

SMALL = Preprocessing(16, degradation=Degradation(16))
LARGE = Preprocessing(32)
DLIB = Preprocessing(24, crop="dlib")
NONE = Settings(detector="none")


class Projection:
    """A network without a bias or symmetry, which counts its batches."""

    def __init__(self, size, dim=7):
        self.weights = np.random.default_rng(size).normal(size=(3 * size * size, dim)).astype(np.float32)
        self.batches = []

    def __call__(self, batch):
        self.batches.append(len(batch))
        return np.tanh(batch.reshape(len(batch), -1) @ self.weights / 10)


def embedder(preprocessing):
    return Embedder(Projection(preprocessing.input_size), preprocessing, "digest", {})


def slow(model, crop, degradation, flip):
    """One crop, by the definition."""
    reduced = degradation(crop) if degradation else crop
    fitted = model.preprocessing.fit(reduced).astype(np.float32)
    values = [((side - 127.5) / 127.5).transpose(2, 0, 1)[None] for side in (fitted, fitted[:, ::-1])]
    total = model.network(np.float32(values[0]))[0]
    if flip:
        total = total + model.network(np.float32(values[1]))[0]
    return total / np.sqrt(np.sum(total**2))


CROPS = [face(number, 0, seed=2) for number in range(7)]


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("degradation", [None, Degradation(12)])
@pytest.mark.parametrize("preprocessing", [SMALL, LARGE, DLIB])
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_crops_in_memory(preprocessing, degradation, batch_size, flip):
    model = embedder(preprocessing)
    result = flip_sum(model, CROPS, degradation, batch_size, flip=flip)
    expected = [slow(model, crop, degradation, flip) for crop in CROPS]
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert result.dtype == np.float32


def test_batches_are_as_large_as_asked():
    model = embedder(SMALL)
    flip_sum(model, CROPS, batch_size=3)
    assert model.network.batches == [3, 3, 3, 3, 1, 1]


def test_crops_are_reduced_while_the_network_works():
    """The network waits for the second batch's crops; without threads it would wait for ever."""
    reduced = threading.Event()

    class Watched:
        def __len__(self):
            return len(CROPS)

        def __getitem__(self, part):
            if part.start == 2:
                reduced.set()
            return CROPS[part]

    model = embedder(SMALL)
    network = model.network
    waited = []
    model.network = lambda batch: (waited.append(reduced.wait(10)), network(batch))[1]
    flip_sum(model, Watched(), batch_size=2)
    assert all(waited)


def test_a_fault_in_a_thread_is_the_callers():
    with pytest.raises(AttributeError):
        flip_sum(embedder(SMALL), [*CROPS, None])
    with pytest.raises(LrfaceError, match="no crops"):
        flip_sum(embedder(SMALL), [])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("faces")
    for number, crop in enumerate(CROPS):
        (root / f"{number}.jpg").write_bytes(encode_image(crop))
    return root


def listed(files, numbers):
    return FaceList(tuple(files / f"{number}.jpg" for number in numbers), np.arange(len(numbers)))


@pytest.mark.parametrize(("preprocessing", "workers"), [(SMALL, 1), (LARGE, 1), (DLIB, 1), (DLIB, 2)])
def test_faces_in_files_are_embedded_as_crops_in_memory(files, preprocessing, workers):
    numbers = [5, 0, 3, 3, 1, 6]
    crops = [read_image(files / f"{number}.jpg") for number in numbers]
    model = embedder(preprocessing)
    for degradation, flip in ((Degradation(12), True), (None, False))[: 3 - workers]:
        result = embed_list(
            model, listed(files, numbers), NONE, degradation, flip, workers=workers, batch_size=4
        )  # fmt: skip
        np.testing.assert_array_equal(result, flip_sum(model, crops, degradation, 4, flip=flip))


def test_a_face_that_cannot_be_used_is_named(files):
    faces = listed(files, [0, 77, 1, 88])
    with pytest.raises(LrfaceError, match=r"1 of the first 2 of 4 faces cannot be used: no such image: .*77\.jpg"):
        embed_list(embedder(SMALL), faces, NONE, batch_size=2)
    with pytest.raises(LrfaceError, match=r"2 of the first 4 of 4 faces .*77\.jpg .*; .*88\.jpg"):
        embed_list(embedder(SMALL), faces, NONE)


def test_or_it_is_counted_and_its_row_is_nan(files):
    faces, refused = listed(files, [77, 0, 88, 1, 99]), {}
    model = embedder(SMALL)
    result = embed_list(model, faces, NONE, batch_size=2, refused=refused)
    assert list(refused) == [0, 2, 4]
    assert "88.jpg" in refused[2]
    assert np.isnan(result[[0, 2, 4]]).all()
    usable = [read_image(files / f"{number}.jpg") for number in (0, 1)]
    np.testing.assert_array_equal(result[[1, 3]], flip_sum(model, usable, batch_size=1))


def test_all_may_be_refused(files):
    refused = {}
    result = embed_list(embedder(SMALL), listed(files, [88, 99]), NONE, refused=refused)
    assert result.shape == (2, 7)
    assert np.isnan(result).all()
    assert list(refused) == [0, 1]


def test_nothing_to_embed(files):
    with pytest.raises(LrfaceError, match="there are no faces to embed"):
        embed_list(embedder(SMALL), listed(files, []), NONE)


def test_files_are_decoded_while_the_network_works(files, monkeypatch):
    """The network waits for the second chunk to be read; one after the other they would wait for ever."""
    read, waited = threading.Event(), []

    def watched(path):
        if path.name == "1.jpg":
            read.set()
        return read_image(path)

    monkeypatch.setattr(face_crops, "read_image", watched)
    model = embedder(SMALL)
    network = model.network
    model.network = lambda batch: (waited.append(read.wait(10)), network(batch))[1]
    embed_list(model, listed(files, [0, 1]), NONE, batch_size=1)
    assert waited == [True] * 4
