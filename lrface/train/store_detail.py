"""Pixels of detail of every crop in a store, computed once and kept beside the crops as a teacher's embeddings are."""

import hashlib

import numpy as np

from lrface.data.store import Store
from lrface.faces.detail import LARGE, crop_detail
from lrface.train.teacher_cache import cached_embeddings


class _Estimates:
    """The estimator in the form in which the cache asks a network: one number a crop."""

    fingerprint = hashlib.sha256(repr(LARGE).encode()).hexdigest()

    def embed(self, crops: list[np.ndarray], batch_size: int = 64, flip: bool = False) -> np.ndarray:
        return np.array([[crop_detail(crop)] for crop in crops], np.float32)


def store_detail(store: Store, progress: bool = True) -> np.ndarray:
    """Pixels of detail of a store's crops, as :func:`lrface.faces.detail.crop_detail` estimates them, float32 ``[N]``.

    A killed computation resumes at the next call.

    Raises:
        LrfaceError: a crop cannot be read, or the store's folder cannot be written.
    """
    estimates = _Estimates()
    folder = store.path / "detail" / estimates.fingerprint[:16]
    return np.asarray(cached_embeddings(store, estimates, progress, folder, flips=False, label="detail")[0, :, 0])
