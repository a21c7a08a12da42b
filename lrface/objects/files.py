"""Object networks on disk: safetensors files with a JSON card, and no pickle."""

import json
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import atomic_write, looked_in
from lrface.objects.networks import ObjectNetwork, create_network

KEY = "lrface-objects"


def save_network(path: Path, network: ObjectNetwork, card: dict[str, Any]) -> None:
    """Write a network atomically.

    Args:
        path: the file.
        network: its weights are written.
        card: has at least ``network`` (its name), ``classes`` (names) and ``view``.
    """
    import safetensors.torch

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with atomic_write(path) as file:
        file.write(safetensors.torch.save(state, {KEY: json.dumps(card)}))


def load_network(path: str | Path) -> tuple[ObjectNetwork, dict[str, Any]]:
    """Read a network (in evaluation mode, on the CPU) and its card.

    Raises:
        LrfaceError: the file is missing or damaged, or is not an object network of this version.
    """
    import safetensors

    path = Path(path)
    if not path.is_file():
        raise LrfaceError(f"no such object network: {path} ({looked_in(path)})")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            if text is None:
                raise LrfaceError(f"{path} is no object network: `lrface train` with a recipe of objects writes one")
            card = json.loads(text)
            network = create_network(str(card["network"]), len(card["classes"]))
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (no mapping)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise LrfaceError(f"{path} is damaged, or of another version: {' '.join(str(error).split()):.200}") from error
    return network.eval(), card
