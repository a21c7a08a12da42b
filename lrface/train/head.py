"""The classifier over the training identities, kept beside a model so that it can teach them later."""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import atomic_write, file_digest
from lrface.losses import ArcFace, CosFace
from lrface.train.split import Split

FILE = "head.safetensors"


def save_head(model: Path, head: ArcFace | CosFace, store: Store, split: Split) -> None:
    """Write a margin classifier's weights ``[classes, dim]`` beside the model file that they were trained with."""
    import safetensors.torch

    content = {"weight": head.weight.detach().cpu().contiguous()}
    facts = {"identities": _identities(store, split), "model": file_digest(model)}
    with atomic_write(model.parent / FILE) as file:
        file.write(safetensors.torch.save(content, facts))


def load_head(model: Path, store: Store, split: Split) -> Tensor | None:
    """The classifier that lies beside a teacher's model file, if it is this model's and over exactly these identities.

    Returns:
        float32 ``[classes, dim]``, rows of unit length; None if there is none or it is of other identities or another
        model.

    Raises:
        LrfaceError: the file cannot be read.
    """
    import safetensors

    path = model.parent / FILE
    if not path.exists() or not model.is_file():
        return None
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            facts = file.metadata() or {}
            if facts.get("identities") != _identities(store, split) or facts.get("model") != file_digest(model):
                return None
            return F.normalize(file.get_tensor("weight").to(torch.float32))
    except safetensors.SafetensorError as error:
        raise LrfaceError(f"{path} is not a classifier that can be read: {error}") from error


def _identities(store: Store, split: Split) -> str:
    """Names the training identities in their order, by the store and the images of each."""
    return hashlib.sha256(store.fingerprint.encode() + split.train.tobytes() + split.labels.tobytes()).hexdigest()
