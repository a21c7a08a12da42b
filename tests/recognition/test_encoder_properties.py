"""What holds for every batch of images, whatever runs the network: order, company, mirrors, threads, time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lrface.data.synthetic import face
from lrface.recognition.encoder import FaceEncoder

MODEL = "lrface-small-16px"

#: Model and runtime; whole numbers, whose sums have no order, beside the three kinds of float32.
KINDS = [(MODEL, "onnxruntime"), (MODEL, "torch"), (f"{MODEL}-int8", "onnxruntime")]
KINDS += [(MODEL, "openvino")] if find_spec("openvino") else []

#: The matrix product may choose another kernel, that is another order of its sums, for another size of the batch. Numbers
#: of embeddings of unit length are below 1, and float32 rounds each of a layer's sums by 6e-8: over twenty layers, of
#: which each passes on its error, some 1e-6. Measured: 3e-7 in torch, nothing in the others. A cosine moves by no more,
#: and thresholds are told to four decimals.
ROUNDING = 1e-5

RULES = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@st.composite
def images(draw, least=1, most=9):
    """uint8 RGB of any shape: noise, drawn faces, and flat ones."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = []
    for _ in range(draw(st.integers(least, most))):
        kind = draw(st.sampled_from(("noise", "native", "face", "flat")))
        height, width = (16, 16) if kind == "native" else (draw(st.integers(1, 130)) for _ in range(2))
        if kind == "face":
            made.append(np.asarray(face(draw(st.integers(0, 50)), 0, seed=1)))
        elif kind == "flat":
            made.append(np.full((height, width, 3), draw(st.integers(0, 255)), np.uint8))
        else:
            made.append(rng.integers(0, 256, (height, width, 3), np.uint8))
    return made


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Torch counts threads for the whole process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def load(model, runtime):
    return FaceEncoder.load(model, "none", runtime=runtime, threads=1)


@pytest.fixture(params=KINDS, ids=[" ".join(kind) for kind in KINDS])
def encoder(request):
    return load(*request.param)


def same(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=ROUNDING)


@RULES
@given(batch=images(), data=st.data())
def test_a_permuted_batch_has_permuted_embeddings(encoder, batch, data):
    order = data.draw(st.permutations(range(len(batch))))
    same(encoder.embed([batch[place] for place in order]), encoder.embed(batch)[list(order)])


@RULES
@given(batch=images(most=20), size=st.integers(1, 24))
def test_the_size_of_the_batch_makes_no_difference(encoder, batch, size):
    whole = encoder.embed(batch)
    same(encoder.embed(batch, batch_size=size), whole)
    same(np.concatenate([encoder.embed([image]) for image in batch]), whole)


@RULES
@given(batch=images())
def test_an_image_and_its_mirror_image_have_one_embedding(encoder, batch):
    """The sum over both has two terms, whose order makes no difference even to a float."""
    same(encoder.embed([np.ascontiguousarray(image[:, ::-1]) for image in batch]), encoder.embed(batch))


@RULES
@given(batch=images())
def test_embeddings_have_unit_length_and_are_the_same_again(encoder, batch):
    found = encoder.embed(batch)
    assert found.dtype == np.float32
    assert found.shape == (len(batch), encoder.embedder.dim)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.linalg.norm(found.astype(np.float64), axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(encoder.embed(batch), found)


@RULES
@given(batch=images())
def test_the_images_are_left_as_they_are(encoder, batch):
    before = [image.copy() for image in batch]
    for image in batch:
        image.flags.writeable = False
    encoder.embed(batch)
    for image, copy in zip(batch, before, strict=True):
        np.testing.assert_array_equal(image, copy)


@settings(RULES, max_examples=5)
@given(batches=st.lists(images(most=5), min_size=4, max_size=8))
def test_threads_that_share_an_encoder_get_what_one_gets(encoder, batches):
    wanted = [encoder.embed(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for found, alone in zip(pool.map(encoder.embed, batches * 3), wanted * 3, strict=True):
            same(found, alone)


@settings(RULES, max_examples=5)
@given(batch=images(least=2, most=6))
def test_two_encoders_of_one_model_agree(encoder, batch):
    """A fresh one has learnt nothing from what the other has seen."""
    kind = next(kind for kind in KINDS if load(*kind) is encoder)
    same(FaceEncoder.load(kind[0], "none", runtime=kind[1], threads=1).embed(batch), encoder.embed(batch))
