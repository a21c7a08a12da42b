"""The model card in every model file, and the safetensors header that holds it. Needs no torch.

An lrface model file is a safetensors file whose metadata has two keys. ``lrface`` is the card, a JSON object with at least
``{"format": 1, "model": {"name": ..., "kw": {...}}, "preprocessing": {...}}``. ``sha256`` is the seal: the digest of
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
    """The position of a tensor in a safetensors file: dtype in the format's notation (``F16``), shape, first byte, bytes."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


def parse_card(path: str | Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """Read the card of the safetensors file ``path`` from the file's metadata.

    Raises:
        LrfaceError: there is no card, or this version cannot use it.
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
    """Read the card of a safetensors file and the position of each tensor. No tensor is read.

    Raises:
        LrfaceError: the file is missing, is not a complete safetensors file, or has no usable card.
    """
    import safetensors

    try:
        with safetensors.safe_open(path, framework="np") as file:  # this checks the header against the file
            card = parse_card(path, file.metadata())
    except safetensors.SafetensorError as error:
        raise LrfaceError(f"{path} is not a whole safetensors file: {error}") from error
    except OSError as error:
        raise LrfaceError(f"cannot read {path}: {error.strerror or error}") from error
    with open(path, "rb") as content:  # safetensors does not give the offsets
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
    """Check that a safetensors file is unchanged. A file without a seal passes, because other programs write none.

    Raises:
        LrfaceError: the file has been changed since it was written, or cannot be read.
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
    """The contents of a safetensors file, with a seal added."""
    file = io.BytesIO(content)
    header = _raw_header(file)
    return _sealed_header(header, file) + content[file.tell() :]


def write_card(path: str | Path, card: Mapping[str, Any]) -> None:
    """Replace the card and the seal of an lrface model file, atomically. The tensors are copied byte by byte.

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
    """Read a safetensors file's header as it is; the file is then positioned at the tensors."""
    return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def _sealed_header(header: dict[str, Any], tensors: IO[bytes]) -> bytes:
    """The beginning of a file up to the tensors, with a seal. The position of ``tensors`` does not change."""
    sealed = {**header, "__metadata__": {**header.get("__metadata__", {}), SEAL_KEY: _seal(header, tensors)}}
    text = json.dumps(sealed, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format requires tensors to begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text


def _seal(header: dict[str, Any], tensors: IO[bytes]) -> str:
    """SHA-256 of a header without its seal and of the rest of the file. The position of ``tensors`` does not change."""
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
    """SHA-256 of the positions of all tensors. Two files with the same digest are interchangeable for a graph."""
    return hashlib.sha256(json.dumps(sorted(places.items())).encode()).hexdigest()
