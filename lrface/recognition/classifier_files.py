"""A classifier as one file: backbone, softmax layer, names and card.

A classifier file is a safetensors file with the layer as ``layer.weight`` and the backbone's tensors under ``backbone.``. Its
metadata has one key, ``lrface-classifier``, a JSON object: the card. The file holds no code and needs no pickle. A backbone that
is not an lrface model (an ONNX file, a pack of insightface) is not copied, because such files have their own licences and
hundreds of megabytes. The card then has its location and its fingerprint.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import atomic_write, looked_in, require_path
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor

CARD_KEY = "lrface-classifier"
FORMAT = 1
LAYER, BACKBONE = "layer.weight", "backbone."


def save_classifier(
    path: str | Path, embedder: Embedder, source: str, weight: np.ndarray, names: Sequence[str], scale: float,
    thresholds: Mapping[str, float], card: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write a classifier, atomically.

    Args:
        path: the file, usually ``*.safetensors``.
        embedder: the backbone; its weights are copied into the file if it is an lrface torch module.
        source: location of the backbone, for one that is not copied.
        weight: float32 ``[people, dim]``, rows of unit length.
        names: of the people.
        scale: of the softmax.
        thresholds: share of strangers that is accepted as a known person -> cosine; at least one entry.
        card: any other entries that JSON can hold.

    Raises:
        LrfaceError: a number is not finite, or the file cannot be written.
    """
    import safetensors.torch
    import torch

    from lrface.models.registry import ModelSpec

    tensors = {LAYER: torch.from_numpy(np.ascontiguousarray(weight, np.float32))}
    model: dict[str, Any] | None = None
    module = getattr(embedder.network, "module", None)
    spec = getattr(module, "spec", None)
    if module is not None and isinstance(spec, ModelSpec):
        model = {"name": spec.name, "kw": spec.kw}
        tensors |= {BACKBONE + name: _stored(tensor) for name, tensor in module.state_dict().items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise LrfaceError(f"cannot write {path}: weights are not finite (NaN or infinity), first in {name}")
    content = {
        **card, "format": FORMAT, "people": list(names), "scale": scale, "thresholds": dict(thresholds),
        "preprocessing": embedder.preprocessing.as_dict(), "model": model, "source": source,
        "fingerprint": embedder.fingerprint,
    }  # fmt: skip
    try:
        text = json.dumps(content | {"digest": _digest(tensors, content)}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LrfaceError(f"cannot write {path}: the card does not fit JSON: {error}") from error
    data = safetensors.torch.save(tensors, metadata={CARD_KEY: text})
    with atomic_write(path) as file:
        file.write(data)


def load_classifier(
    path: str | Path, device: str = "cpu", model: str | Path | None = None
) -> tuple[Embedder, np.ndarray, dict[str, Any]]:
    """Read a file written by :func:`save_classifier`.

    Args:
        path: the file.
        device: of the backbone.
        model: location of a backbone that is not in the file.

    Returns:
        The backbone, the layer's directions float32 ``[people, dim]``, and the card.

    Raises:
        LrfaceError: the file is missing, damaged, changed since it was written, of another version or not a classifier, or
            its backbone is not available.
    """
    import safetensors

    if not Path(require_path(path)).is_file():
        raise LrfaceError(
            f"no classifier at {path} ({looked_in(path)}): make one with `lrface finetune FOLDER --out {path}`"
        )
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            card = _read_card(path, file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except safetensors.SafetensorError as error:
        raise LrfaceError(f"{path} is not a whole safetensors file: {error}") from error
    stated = card.pop("digest", None)
    if stated != _digest(tensors, card):
        raise LrfaceError(f"{path} has been changed since it was written, or is damaged: make the classifier again")
    card["digest"] = stated
    weight = _read_layer(path, card, tensors.pop(LAYER, None))
    return _open_backbone(path, card, tensors, device, model), weight, card


def _read_card(path: str | Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if CARD_KEY not in metadata:
        what = "a model, and not a classifier of people" if "lrface" in metadata else "no classifier of lrface's"
        raise LrfaceError(f"{path} is {what}: make one with `lrface finetune`")
    try:
        card = json.loads(metadata[CARD_KEY])
    except (ValueError, RecursionError) as error:
        raise LrfaceError(f"{path} has a card that is not JSON") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        found = card.get("format") if isinstance(card, dict) else None
        raise LrfaceError(f"{path} is a classifier of format {found!r}; this version reads {FORMAT}")
    return card


def _read_layer(path: str | Path, card: dict[str, Any], tensor: "Tensor | None") -> np.ndarray:
    people, thresholds, scale = card.get("people"), card.get("thresholds"), card.get("scale")
    whole = (
        tensor is not None
        and tensor.ndim == 2
        and isinstance(people, list)
        and len(people) == len(tensor)
        and isinstance(thresholds, dict)
        and thresholds
        and isinstance(scale, float)
    )
    if not whole or tensor is None:
        raise LrfaceError(f"{path} is not a whole classifier: make it again with `lrface finetune`")
    return tensor.float().numpy().copy()  # a copy, because safetensors maps the file into memory


def _open_backbone(
    path: str | Path, card: dict[str, Any], tensors: dict[str, "Tensor"], device: str, model: str | Path | None
) -> Embedder:
    if card.get("model") is None:
        try:
            embedder = open_embedder(model or card["source"], device)
        except LrfaceError as error:
            raise LrfaceError(f"{path} needs the model that it was made with (--model): {error}") from error
        if embedder.fingerprint != card["fingerprint"]:
            raise LrfaceError(f"{path} was made with another model than {model or card['source']}: give that one")
        return embedder
    if model is not None:
        raise LrfaceError(f"{path} carries its own backbone: leave --model out")
    from lrface.models.weights import build_model
    from lrface.runtimes.torch import TorchNetwork

    state = {name.removeprefix(BACKBONE): tensor for name, tensor in tensors.items()}
    module = build_model(path, card["model"], state)
    preprocessing = Preprocessing.from_card(card["preprocessing"], path)
    return Embedder(TorchNetwork(module, device), preprocessing, card["digest"], card)


def _stored(tensor: "Tensor") -> "Tensor":
    """Convert to float16 if no value changes, as for weights from a float16 file."""
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return tensor
    half = tensor.half()
    return half if bool((half.to(tensor.dtype) == tensor).all()) else tensor


def _digest(tensors: Mapping[str, "Tensor"], card: Mapping[str, Any]) -> str:
    """SHA-256 of everything in the file. It detects damage and changes, but is not a signature."""
    digest = hashlib.sha256(json.dumps(card, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()
