"""The model card that travels in every model file, and the safetensors header that it lies in. Needs no torch.

A model file of ours is a safetensors file whose metadata has two keys. ``lrface`` is a JSON object, the card, with at
least ``{"format": 1, "model": {"name": ..., "kw": {...}}, "preprocessing": {...}}``; ``sha256`` is the seal, over
everything else in the file. ONNX files carry their card under the same key, and no seal.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from lrface.errors import LrfaceError
from lrface.files import atomic_write
from lrface.runtimes import CARD_KEY

CARD_FORMAT = 1
SEAL_KEY = "sha256"


class TensorPlace(NamedTuple):
    """Where a tensor lies in a safetensors file: dtype as the format names it (``F16``), shape, first byte, bytes."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


def parse_card(path: str | Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """The card of the safetensors file ``path``, from the file's metadata.

    Raises:
        LrfaceError: there is none, or none that this version can use.
    """
    text = (metadata or {}).get(CARD_KEY)
    if text is None:
        if "lrface-classifier" in (metadata or {}):
            raise LrfaceError(f"{path} is a classifier of people: use it with `lrface identify --classifier {path}`")
        raise LrfaceError(f"{path} has no model card: it was not written by lrface.models.save_model")
    try:
        card = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LrfaceError(f"{path} has a model card that is not JSON") from error
    if not isinstance(card, dict) or not isinstance(card.get("preprocessing"), dict):
        raise LrfaceError(f"{path} has a model card without 'preprocessing'")
    if card.get("format") != CARD_FORMAT:
        raise LrfaceError(f"{path} has a model card of format {card.get('format')!r}; this version reads {CARD_FORMAT}")
    model = card.get("model")
    if not isinstance(model, dict) or not isinstance(model.get("name"), str) or not isinstance(model.get("kw"), dict):
        raise LrfaceError(f"{path} has a model card that does not name its model")
    return card


def read_header(path: str | Path) -> tuple[dict[str, Any], dict[str, TensorPlace]]:
    """The card of a safetensors file, and where each of its tensors lies; no tensor is read.

    Raises:
        LrfaceError: the file is missing, not a whole safetensors file, or has no usable card.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:  # checks the header against the file
            card = parse_card(path, file.metadata())
    except safetensors.SafetensorError as error:
        raise LrfaceError(f"{path} is not a whole safetensors file: {error}") from error
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {error.strerror or error}") from error
    with open(path, "rb") as content:  # safetensors tells no offsets
        header = _raw_header(content)
        size = content.tell() - 8
    header.pop("__metadata__", None)
    places = {
        name: TensorPlace(
            entry["dtype"],
            tuple(entry["shape"]),
            8 + size + entry["data_offsets"][0],
            entry["data_offsets"][1] - entry["data_offsets"][0],
        )
        for name, entry in header.items()
    }
    return card, places


def check_seal(path: str | Path) -> None:
    """Make sure that a safetensors file is as it was written. One without a seal passes: others write none.

    Raises:
        LrfaceError: it has been changed since, or cannot be read.
    """
    try:
        with open(path, "rb") as content:
            header = _raw_header(content)
            seal = header.get("__metadata__", {}).get(SEAL_KEY)
            if seal is None or seal == _seal(header, content):
                return
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, AttributeError) as error:
        raise LrfaceError(f"{path} is not a whole safetensors file: its header is damaged") from error
    raise LrfaceError(f"{path} has been changed since it was written, or is damaged: it is not used; get it again")


def sealed(content: bytes) -> bytes:
    """The contents of a safetensors file, with a seal."""
    file = io.BytesIO(content)
    header = _raw_header(file)
    return _sealed_header(header, file) + content[file.tell() :]


def write_card(path: str | Path, card: Mapping[str, Any]) -> None:
    """Give a safetensors file of ours another card and seal, atomically; its tensors are copied byte by byte.

    Raises:
        LrfaceError: see :func:`read_header`; or the file was changed, the card does not fit JSON, or the file cannot be
            written.
    """
    read_header(path)
    check_seal(path)
    with open(path, "rb") as content:
        header = _raw_header(content)
        try:
            header["__metadata__"] = {**header["__metadata__"], CARD_KEY: json.dumps(card, allow_nan=False)}
        except (TypeError, ValueError) as error:
            raise LrfaceError(f"cannot write {path}: the model card does not fit JSON: {error}") from error
        parse_card(path, header["__metadata__"])
        start = _sealed_header(header, content)
        with atomic_write(path) as file:
            file.write(start)
            shutil.copyfileobj(content, file)


def _raw_header(file: IO[bytes]) -> Any:
    """A safetensors file's header as it stands; the file is left where the tensors begin."""
    return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def _sealed_header(header: dict[str, Any], tensors: IO[bytes]) -> bytes:
    """The beginning of a file up to the tensors, with a seal; ``tensors`` is left where it was."""
    sealed = {**header, "__metadata__": {**header.get("__metadata__", {}), SEAL_KEY: _seal(header, tensors)}}
    text = json.dumps(sealed, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants tensors to begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text


def _seal(header: dict[str, Any], tensors: IO[bytes]) -> str:
    """SHA-256 of a header, but for the seal, and of the rest of a file, which is left where it was."""
    metadata = {key: text for key, text in header.get("__metadata__", {}).items() if key != SEAL_KEY}
    digest, start = (
        hashlib.sha256(json.dumps({**header, "__metadata__": metadata}, sort_keys=True).encode()),
        tensors.tell(),
    )
    while block := tensors.read(1 << 20):
        digest.update(block)
    tensors.seek(start)
    return digest.hexdigest()


def places_digest(places: Mapping[str, TensorPlace]) -> str:
    """SHA-256 that names where every tensor lies: two files with the same one can stand in for each other."""
    return hashlib.sha256(json.dumps(sorted(places.items())).encode()).hexdigest()
