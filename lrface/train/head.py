"""The classifier over the training identities. It is kept beside a model, so that the model can be a teacher later."""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import atomic_write, file_digest
from lrface.train.split import Split

FILE = "head.safetensors"


def save_head(model: Path, centres: Tensor, store: Store, split: Split) -> None:
    """Write a margin classifier's ``centres``, float32 ``[classes, dim]``, beside the model with which they were trained."""
    import safetensors.torch

    content = {"weight": centres.cpu().contiguous()}
    with atomic_write(model.parent / FILE) as file:
        file.write(safetensors.torch.save(content, {"of": _owner(model, store, split)}))


def load_head(model: Path, store: Store, split: Split) -> Tensor | None:
    """Load the classifier beside a teacher's model file, if it belongs to this model and to exactly these identities.

    Returns:
        float32 ``[classes, dim]``, rows of unit length; None if there is no such classifier.

    Raises:
        LrfaceError: the file cannot be read.
    """
    import safetensors

    path = model.parent / FILE
    if not path.exists() or not model.is_file():
        return None
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            if (file.metadata() or {}).get("of") != _owner(model, store, split):
                return None
            return F.normalize(file.get_tensor("weight").to(torch.float32))
    except safetensors.SafetensorError as error:
        raise LrfaceError(f"{path} is not a classifier that can be read: {error}") from error


def _owner(model: Path, store: Store, split: Split) -> str:
    """Digest of a model and of its training identities in their order, from the store and the images of each."""
    facts = f"{file_digest(model)} {store.fingerprint} ".encode()
    return hashlib.sha256(facts + split.train.tobytes() + split.labels.tobytes()).hexdigest()
