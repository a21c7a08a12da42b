"""An encoder that needs no model file, images that are nobody's, and a gallery's worth of embeddings.

Also imported by the processes that tests start.
"""

from dataclasses import replace

import numpy as np

from lrface.faces.quality import Quality
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.recognition.encoder import FaceEncoder

DIM = 32

#: Fingerprint, name and dimensions, for a store without an encoder.
MODEL = ("f" * 64, "stub", DIM)

THRESHOLDS = {"0.1": 0.3, "0.01": 0.5, "0.001": 0.6}


class Projection:
    """A network: a fixed random projection of the pixels."""

    def __init__(self):
        self.matrix = np.random.default_rng(0).standard_normal((3 * 16 * 16, DIM)).astype(np.float32)

    def __call__(self, batch):
        return batch.reshape(len(batch), -1) @ self.matrix


class Encoder(FaceEncoder):
    """Takes every image for a sharp face, unless told otherwise: noise has no resolution."""

    quality = Quality(16, 16, 50)

    def cropped_face(self, image):
        return replace(super().cropped_face(image), quality=self.quality)


def encoder(digest="stub", thresholds=THRESHOLDS, **card):
    card = {"name": f"{digest}-16px", "thresholds": thresholds, **card}
    return Encoder(Embedder(Projection(), Preprocessing(16), digest, card), "none")


def image(person, number=0):
    """uint8 ``[16, 16, 3]``: those of one person resemble each other, those of two do not."""
    own = np.random.default_rng(person).integers(0, 256, (16, 16, 3))
    own = (own + own[:, ::-1]) / 2  # what is not symmetric cancels out in the embedding
    other = np.random.default_rng([person, number]).integers(0, 256, (16, 16, 3))
    other = (other + other[:, ::-1]) / 2
    return (0.8 * own + 0.2 * other).astype(np.uint8)


def embeddings(count, seed=0, dim=DIM):
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fill(gallery, count, seed=0, faces=4):
    """Add ``count`` faces of people ``SEED-0``, ``SEED-1``, ... Return their names and embeddings."""
    rows = embeddings(count, seed)
    names = [f"{seed}-{number // faces}" for number in range(count)]
    assert gallery.add_embeddings(names, rows, [f"{seed}/{number}" for number in range(count)]) == count
    return names, rows
