"""Stored outputs of the teacher for every training picture and its mirror image, in a file next to the teacher."""

import hashlib
from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from lrface.errors import LrfaceError
from lrface.files import atomic_write
from lrface.losses.bank import free_bytes
from lrface.losses.method import Outputs
from lrface.objects.data import Pictures
from lrface.objects.networks import ObjectNetwork
from lrface.objects.view import planes
from lrface.train.batches import normalise
from lrface.train.objective import layout_of

BATCH = 250
#: Parts of the outputs that are lists of feature maps.
LISTS = ("maps", "preacts")


class TeacherCache:
    """The teacher's outputs for all training pictures, on the training device.

    Args:
        tensors: float32 ``[2 N, ...]`` by name (``logits``, ``embedding``, ``maps.0`` ...). Each picture is followed by
            its mirror image.
        classifier: float32 ``[C, D]``, weights of the teacher's last layer.
    """

    def __init__(self, tensors: dict[str, Tensor], classifier: Tensor) -> None:
        self._tensors, self._classifier = tensors, classifier

    def of(self, index: Tensor, mirrored: Tensor) -> Outputs:
        """The outputs for the pictures ``index`` (int64 ``[b]``), or their mirror images where ``mirrored`` (bool ``[b]``)."""
        rows = 2 * index + mirrored.to(index)
        found = {name: tensor[rows] for name, tensor in self._tensors.items()}
        lists = {part: tuple(found[name] for name in sorted(found) if name.startswith(f"{part}.")) for part in LISTS}
        return Outputs(
            found["logits"], found["embedding"], lists["maps"] or None, lists["preacts"] or None, self._classifier
        )


def cached_outputs(
    teacher: ObjectNetwork, pictures: Pictures, parts: Collection[str], device: torch.device, folder: Path
) -> TeacherCache:
    """Read the teacher's outputs for a set from the disk, or compute them and write the file.

    Args:
        teacher: in evaluation mode, on ``device``.
        pictures: the training pictures at the teacher's size.
        parts: names from :data:`lrface.losses.method.PARTS` that the methods use. Logits and embeddings are always included.
        device: on which the outputs are kept.
        folder: of the file, whose name depends on the teacher, the pictures and the parts.

    Raises:
        LrfaceError: the outputs do not fit into the free memory, the file is damaged, or it cannot be written.
    """
    import safetensors.torch

    kept = [part for part in ("logits", "embedding", *LISTS) if part in (*parts, "logits", "embedding")]
    _check_memory(teacher, pictures, kept, device)
    file = folder / f"outputs-{_digest(teacher, pictures, kept)}.safetensors"
    if not file.is_file():
        tensors = _compute(teacher, pictures, kept, device)
        with atomic_write(file) as opened:
            opened.write(safetensors.torch.save(tensors))
    try:
        with safetensors.safe_open(str(file), framework="pt") as opened:
            found = {name: opened.get_tensor(name).to(device) for name in opened.keys()}  # noqa: SIM118 (no mapping)
    except (safetensors.SafetensorError, OSError) as error:
        raise LrfaceError(f"{file} is damaged ({error}): remove it to compute it again") from error
    return TeacherCache(found, teacher.fc.weight.detach())


def _flat(outputs: Outputs, kept: list[str]) -> dict[str, Tensor]:
    """The parts by name. Each stage of a list of maps has its own name."""
    found: dict[str, Tensor] = {}
    for part in kept:
        value = getattr(outputs, part)
        found |= {f"{part}.{stage}": each for stage, each in enumerate(value)} if part in LISTS else {part: value}
    return found


@torch.no_grad()
def _compute(teacher: ObjectNetwork, pictures: Pictures, kept: list[str], device: torch.device) -> dict[str, Tensor]:
    from tqdm import tqdm

    layout, pieces = layout_of(teacher), dict[str, list[Tensor]]()
    for start in tqdm(range(0, len(pictures), BATCH), desc="teacher", unit="batch"):
        pixels = planes(pictures.images[start : start + BATCH], device)
        both = torch.stack([pixels, pixels.flip(-1)], 1).flatten(0, 1)
        outputs = teacher.outputs(normalise(both).contiguous(memory_format=layout))
        for name, value in _flat(outputs, kept).items():
            pieces.setdefault(name, []).append(value.float().cpu().contiguous())
    return {name: torch.cat(each) for name, each in pieces.items()}


def _check_memory(teacher: ObjectNetwork, pictures: Pictures, kept: list[str], device: torch.device) -> None:
    with torch.no_grad():
        one = teacher.outputs(torch.zeros(1, 3, pictures.side, pictures.side, device=device))
    needed = 2 * len(pictures) * 4 * sum(value.numel() for value in _flat(one, kept).values())
    free = float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else free_bytes()
    if needed > free:
        raise LrfaceError(
            f"teacher.cache needs {needed / 2**30:.1f} GiB for {', '.join(kept)} of {len(pictures)} pictures, and "
            f"{free / 2**30:.1f} GiB of memory are free: set teacher.cache=false"
        )


def _digest(teacher: ObjectNetwork, pictures: Pictures, kept: list[str]) -> str:
    digest = hashlib.sha256(repr((pictures.fingerprint, kept, type(teacher).__name__)).encode())
    for name, tensor in teacher.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
