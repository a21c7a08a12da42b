"""Identification by a layer over a frozen backbone, for any embedder."""

import numpy as np
import pytest

from lrface.data.crop import Settings
from lrface.data.face_list import FaceList
from lrface.data.sets.uccs import Uccs
from lrface.errors import LrfaceError
from lrface.eval.identification import evaluate
from lrface.faces.align import TEMPLATE
from lrface.faces.degrade import Degradation
from lrface.faces.images import encode_image
from lrface.finetune.softmax_layer import LayerSettings, cosines, fit_layer
from lrface.finetune.uccs_protocol import identify_uccs, train_and_test
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing

PEOPLE, TRAIN, TEST = 5, 4, 2


def squares(batch):
    """A network of no weights: the image in 4 x 4 blocks."""
    rows = batch.reshape(len(batch), 3, 4, 4, 4, 4).mean((3, 5)).reshape(len(batch), -1)
    return rows.astype(np.float32)


@pytest.fixture
def embedder():
    return Embedder(squares, Preprocessing(16), "squares", {})


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image(image, "png"))
    return path


@pytest.fixture
def uccs(tmp_path):
    """A pattern of colours for each person, and noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 256, (PEOPLE, 7, 7, 3))
    parts = []
    for part, count in (("train", TRAIN), ("test", TEST)):
        paths, ids = [], []
        for person in range(PEOPLE):
            for number in range(count):
                noisy = np.clip(patterns[person] + rng.integers(-90, 91, (7, 7, 3)), 0, 255).astype(np.uint8)
                paths.append(
                    write(tmp_path / part / f"{person}_{number}.png", np.kron(noisy, np.ones((16, 16, 1), np.uint8)))
                )
                ids.append(person)
        parts.append(FaceList(tuple(paths), np.array(ids)))
    return Uccs(parts[0], parts[1], PEOPLE, "given", tuple("abcde"))


def test_it_is_the_protocol_by_hand(embedder, uccs):
    from lrface.eval.embeddings import embed_list

    result = identify_uccs(embedder, uccs, seeds=(1, 2))
    none = Settings(detector="none")
    train, test = (embed_list(embedder, faces, none) for faces in (uccs.train, uccs.test))
    for seed, run in zip((1, 2), result.runs, strict=True):
        weight = fit_layer(train, uccs.train.ids, PEOPLE, LayerSettings(), seed)
        assert run == evaluate(cosines(test, weight), uccs.test.ids)
    shares = [run.top[1] for run in result.runs]
    assert result.summary.mean[1] == pytest.approx(np.mean(shares))
    assert result.summary.mean[1] > 0.6
    assert result.summary.mean[5] == 1
    facts = result.as_dict()
    assert (facts["train"], facts["test"], facts["subjects"]) == (20, 10, 5)
    assert (facts["split"], facts["detector"], facts["operator"], facts["seeds"]) == ("given", "none", "none", [1, 2])
    assert len(facts["by_seed"]) == 2


def test_a_reduction_before_the_model(embedder, uccs):
    operator = Degradation(4, "area")
    result = identify_uccs(embedder, uccs, degradation=operator, seeds=(1,))
    assert result.operator == operator.name
    assert np.isnan(result.summary.spread[1])


def test_the_lists_landmarks_are_used_unless_told_otherwise(embedder, uccs):
    def mirrored(faces):
        """Landmarks that turn the faces upside down."""
        return FaceList(faces.paths, faces.ids, np.repeat((111 - TEMPLATE)[None], len(faces), 0))

    turned = Uccs(mirrored(uccs.train), mirrored(uccs.test), PEOPLE, "given", uccs.names)
    assert identify_uccs(embedder, turned, seeds=(1,)).detector == "landmarks"
    assert identify_uccs(embedder, turned, Settings(detector="none"), seeds=(1,)).detector == "none"


def test_images_that_cannot_be_used_are_counted(embedder, uccs):
    whole = identify_uccs(embedder, uccs, seeds=(1,), settings=LayerSettings(epochs=0))
    uccs.train.paths[0].write_text("not a picture")
    for at in (1, 4):
        uccs.test.paths[at].write_text("not a picture")
    result = identify_uccs(embedder, uccs, seeds=(1,))
    assert (result.refused_train, result.refused_test) == (1, 2)
    assert result.test == whole.test == 10
    assert result.summary.mean[1] <= 0.8


def test_a_row_of_nan_counts_as_wrong(uccs):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(PEOPLE, 64))
    train, test = centres[uccs.train.ids].astype(np.float32), centres[uccs.test.ids].astype(np.float32)
    assert train_and_test(train, uccs.train, test, uccs.test, PEOPLE)[0].top[1] == 1
    test[3] = np.nan
    assert train_and_test(train, uccs.train, test, uccs.test, PEOPLE)[0].top[1] == pytest.approx(0.9)
    train[0] = np.nan
    assert train_and_test(train, uccs.train, test, uccs.test, PEOPLE)[0].top[1] == pytest.approx(0.9)
    train[:TRAIN] = np.nan
    with pytest.raises(LrfaceError, match="1 of 5 people are left without a training image"):
        train_and_test(train, uccs.train, test, uccs.test, PEOPLE)
    with pytest.raises(LrfaceError, match="at least one seed"):
        train_and_test(test, uccs.test, test, uccs.test, PEOPLE, seeds=())
