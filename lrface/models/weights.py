"""Weights on disk: lrface's safetensors files with a model card, and arcface_torch's state dicts.

An lrface model file is a safetensors file with a card (:mod:`lrface.models.card`). It holds no code and needs no pickle.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from lrface.errors import LrfaceError
from lrface.files import atomic_write, looked_in, require_path
from lrface.models.card import CARD_FORMAT, check_seal, parse_card, sealed
from lrface.models.iresnet import DEPTHS, REDUCTION
from lrface.models.registry import create, spec_of
from lrface.runtimes import CARD_KEY


def save_model(path: str | Path, model: nn.Module, card: Mapping[str, Any], half: bool = False) -> None:
    """Write a model, its card and its seal, atomically.

    Args:
        path: the file, usually ``*.safetensors``.
        model: made by ``create``; its name and keywords are written into the card as ``model``.
        card: anything that JSON can hold; ``preprocessing`` must be a mapping.
        half: store kernels and matrices as float16, in half the bytes. Vectors (scales and statistics of norms) stay
            float32, because a running variance can leave the range of float16, and vectors are small.

    Raises:
        LrfaceError: the model was not made by ``create``, a weight is not finite, the card lacks ``preprocessing`` or
            does not fit JSON, or the file cannot be written.
    """
    spec = spec_of(model)
    card = {**card, "format": CARD_FORMAT, "model": {"name": spec.name, "kw": spec.kw}}
    if not isinstance(card.get("preprocessing"), Mapping):
        raise LrfaceError(f"cannot write {path}: the model card needs a mapping called 'preprocessing'")
    try:
        text = json.dumps(card, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise LrfaceError(f"cannot write {path}: the model card does not fit JSON: {error}") from error
    state = {name: _stored(tensor, half) for name, tensor in model.state_dict().items()}
    _check_finite(path, state)
    content = sealed(safetensors.torch.save(state, metadata={CARD_KEY: text}))
    with atomic_write(path) as file:
        file.write(content)


def load_model(path: str | Path, device: str | torch.device = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """Read a file written by ``save_model``.

    Returns:
        The model (float32, evaluation mode, on ``device``) and its card.

    Raises:
        LrfaceError: the file is missing, is not a safetensors file, has no usable card, has tensors of another
            architecture than the card names, has weights that are not finite, or was changed since it was written.
    """
    _check_file(path)
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            card = parse_card(path, file.metadata())
            check_seal(path)
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            model = _create_empty(path, card["model"]["name"], card["model"]["kw"])
            _check_shapes(path, model, shapes)
            state = {name: file.get_tensor(name) for name in shapes}
    except safetensors.SafetensorError as error:
        raise LrfaceError(f"{path} is not a whole safetensors file: {error}") from error
    return _fill(path, model, state).to(device), card


def build_model(path: str | Path, spec: Any, state: Mapping[str, Tensor]) -> nn.Module:
    """Build a model from tensors of another kind of file than ``save_model`` writes.

    Args:
        path: the file, for errors.
        spec: ``{"name": ..., "kw": {...}}``, as in a card.
        state: a tensor for each parameter and buffer.

    Returns:
        The model, float32, in evaluation mode, on the CPU.

    Raises:
        LrfaceError: no such architecture, tensors of another one, or weights that are not finite.
    """
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str) or not isinstance(spec.get("kw"), dict):
        raise LrfaceError(f"{path} does not name its model")
    model = _create_empty(path, spec["name"], spec["kw"])
    _check_shapes(path, model, {name: tuple(tensor.shape) for name, tensor in state.items()})
    return _fill(path, model, state)


def load_arcface_torch(path: str | Path, name: str | None = None) -> nn.Module:
    """Read an IResNet state dict of insightface's ``arcface_torch``.

    ``backbone.pth``, ``model.pt`` and whole training checkpoints can be read. A ``module.`` prefix is removed. Embedding
    length, width and input size are derived from the shapes.

    Args:
        path: the file. It is read without running any code that it may contain.
        name: ``iresnet18`` .. ``iresnet100``; by default derived from the number of blocks.

    Returns:
        The model, float32, in evaluation mode, on the CPU.

    Raises:
        LrfaceError: the file is missing, is not a state dict, has another architecture, or has weights that are not
            finite.
    """
    _check_file(path)
    state = _read_state_dict(path)
    depths = tuple(_count_blocks(state, stage) for stage in range(1, 5))
    guessed = next((known for known, layout in DEPTHS.items() if layout == depths), None)
    if guessed is None:
        raise LrfaceError(f"{path} is not an IResNet-18/34/50/100: blocks per stage are {list(depths)}")
    if name is not None and name != guessed:
        raise LrfaceError(f"{path} holds {guessed}, not {name}")
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    model = _create_empty(path, guessed, _iresnet_keywords(path, shapes))
    _check_shapes(path, model, shapes)
    return _fill(path, model, state)


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu()
    if half and tensor.is_floating_point() and tensor.ndim >= 2:
        tensor = tensor.half()
    return tensor.contiguous()  # channels_last kernels are written in the usual order


def _check_file(path: str | Path) -> None:
    if not Path(require_path(path)).is_file():
        raise LrfaceError(f"no model file at {path} ({looked_in(path)})")


def _check_finite(path: str | Path, state: Mapping[str, Tensor]) -> None:
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise LrfaceError(f"{path}: weights are not finite (NaN or infinity), first in {name}")


def _create_empty(path: str | Path, name: str, kw: dict[str, Any]) -> nn.Module:
    """Create the architecture without memory: no weights are drawn, and a malicious card cannot allocate a terabyte."""
    try:
        with torch.device("meta"):
            return create(name, **kw)
    except LrfaceError as error:
        raise LrfaceError(f"{path}: {error}") from error
    except (RuntimeError, OverflowError, TypeError) as error:
        raise LrfaceError(f"{path}: model {name} cannot be built with {kw}") from error


def _check_shapes(path: str | Path, model: nn.Module, found: Mapping[str, tuple[int, ...]]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    faults = [f"{name} is missing" for name in expected if name not in found]
    faults += [
        f"{name} is {list(found[name])} and not {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    faults += [f"{name} is unknown" for name in found if name not in expected]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        name = spec_of(model).name
        raise LrfaceError(f"{path} is of another architecture than {name}: {'; '.join(faults[:3])}{more}")


def _fill(path: str | Path, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Load these tensors into the empty model, as copies in the model's own types."""
    wanted = model.state_dict()
    for name, tensor in state.items():
        if tensor.is_complex() or tensor.is_floating_point() != wanted[name].is_floating_point():
            raise LrfaceError(f"{path}: {name} has the type {tensor.dtype}, not {wanted[name].dtype}")
    # Copies, because safetensors maps the file into memory and the model must outlive the file.
    own = {name: tensor.to(wanted[name].dtype, copy=True).contiguous() for name, tensor in state.items()}
    _check_finite(path, own)
    model.load_state_dict(own, strict=True, assign=True)
    return model.eval()


def _read_state_dict(path: str | Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or malicious pickle can raise anything
        raise LrfaceError(f"{path} is not a PyTorch state dict (plain tensors saved by torch.save)") from error
    if isinstance(content, Mapping):
        for key in ("state_dict_backbone", "state_dict"):  # training checkpoints of arcface_torch and others
            if isinstance(content.get(key), Mapping):
                content = content[key]
                break
    if not isinstance(content, Mapping) or not content:
        raise LrfaceError(f"{path} is not a PyTorch state dict (plain tensors saved by torch.save)")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor) or value.layout is not torch.strided:
            raise LrfaceError(f"{path} is not a PyTorch state dict: the entry {key!r} is not a named dense tensor")
    return {key.removeprefix("module."): value for key, value in content.items()}


def _count_blocks(state: Mapping[str, Tensor], stage: int) -> int:
    return len({key.split(".")[1] for key in state if key.startswith(f"layer{stage}.")})


def _iresnet_keywords(path: str | Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """The keywords that follow from the shapes of the first and the last layer."""
    stem, head = shapes.get("conv1.weight", ()), shapes.get("fc.weight", ())
    if len(stem) != 4 or len(head) != 2 or stem[0] == 0:
        raise LrfaceError(f"{path} is not an IResNet: conv1.weight or fc.weight is missing or misshapen")
    side = math.isqrt(head[1] // (8 * stem[0]))
    return {"embedding_dim": head[0], "width": stem[0], "input_size": REDUCTION * side}
