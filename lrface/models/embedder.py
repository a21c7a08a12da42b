"""A network that turns aligned crops into embeddings, wherever its weights come from and whatever runs it.

Teachers, students, peers in a benchmark: all are an :class:`Embedder`, opened by :func:`open_embedder`.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.align import OTHER_CROPS, TEMPLATE_SIZE
from lrface.faces.degrade import resize
from lrface.files import file_digest, looked_in, require_path
from lrface.models import shipped
from lrface.models.card import check_seal, places_digest, read_header
from lrface.models.preprocessing import Preprocessing
from lrface.runtimes import RUNTIMES

#: How an opened model is named, besides the names of the shipped ones.
SPECS = "MODEL.safetensors (ours), MODEL.onnx, MODEL.pt or .pth (arcface_torch), insightface:PACK (buffalo_l, ...)"

#: What the recognition networks in insightface's packs are called, by the data that they were trained on.
PACK_NETWORKS = ("w600k", "glint360k", "webface")

#: ``MODEL.graph.onnx`` beside ``MODEL.safetensors`` is its graph, which has no weights of its own.
GRAPH_SUFFIX = ".graph.onnx"

#: What the card of an exported file says of its input where preprocessing and flip are inside the graph.
WHOLE_INPUT = "uint8 RGB [n, height, width, 3]"


class _Network(Protocol):
    """What differs between runtimes."""

    def __call__(self, batch: np.ndarray) -> np.ndarray: ...


class Embedder:
    """Aligned crops in, embeddings out.

    Args:
        network: normalised float32 batch -> float32 ``[n, embedding_dim]``.
        preprocessing: what the network wants.
        digest: names the weights, as their SHA-256 does.
        card: what the model file says of itself.

    Attributes:
        fingerprint: names the weights together with the preprocessing.
    """

    def __init__(self, network: _Network, preprocessing: Preprocessing, digest: str, card: dict[str, Any]) -> None:
        self.network = network
        self.preprocessing = preprocessing
        self.card = card
        recorded = json.dumps(preprocessing.as_dict(), sort_keys=True)
        self.fingerprint = hashlib.sha256(f"{digest} {recorded}".encode()).hexdigest()

    @property
    def dim(self) -> int:
        """Length of the embeddings."""
        return self.embed([np.zeros((TEMPLATE_SIZE, TEMPLATE_SIZE, 3), np.uint8)]).shape[1]

    def member(self, resolution: float) -> "Embedder":
        """The network for a face of so many pixels of detail: this one, as it has no family."""
        return self

    def member_name(self, resolution: float) -> str:
        """Its name."""
        return str(self.card.get("name", "unnamed"))

    def single(self, fingerprint: str) -> "Embedder | None":
        """This network, if that is its fingerprint."""
        return self if fingerprint == self.fingerprint else None

    def compact(self, crop: np.ndarray) -> np.ndarray:
        """An aligned crop as small as :meth:`embed` allows, so that many can be held; its embedding stays the same."""
        if self.preprocessing.crop not in OTHER_CROPS:
            return self.preprocessing.fit(crop)
        # What is fitted once more would be cut twice.
        return crop if len(crop) <= TEMPLATE_SIZE else resize(crop, TEMPLATE_SIZE)

    def embed(self, crops: Sequence[np.ndarray] | np.ndarray, batch_size: int = 64, flip: bool = False) -> np.ndarray:
        """Embed aligned crops.

        Args:
            crops: uint8 RGB images ``[h, w, 3]`` of any size, aligned to the template.
            batch_size: how many go through the network at once.
            flip: mirror them.

        Returns:
            float32 ``[n, embedding_dim]``, as the network gives them: not normalised.
        """
        results = []
        for start in range(0, len(crops), batch_size):
            fitted = np.stack([self.preprocessing.fit(crop) for crop in crops[start : start + batch_size]])
            results.append(self.network(self.preprocessing.batch(fitted[:, :, ::-1] if flip else fitted)))
        return np.concatenate(results) if results else np.empty((0, 0), np.float32)


def open_embedder(
    spec: str | Path | None = None,
    device: str = "cpu",
    threads: int | None = None,
    declared: dict[str, Any] | None = None,
    runtime: str = "auto",
) -> Embedder:
    """Open a model.

    Args:
        spec: a shipped model's name, a file or ``insightface:PACK``, see ``SPECS``; the default shipped model if None.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads; the runtime's own default if None. torch counts them for the whole process.
        declared: preprocessing of an ONNX file that does not carry its own: ``input_size``, ``mean``, ``scale``,
            ``colour``, ``layout``, ``crop``.
        runtime: one of :data:`lrface.runtimes.RUNTIMES`. ``auto`` is ONNX Runtime for ONNX files, and for safetensors
            files on the CPU that have a graph beside them, as the shipped ones do; else torch.

    Raises:
        LrfaceError: no such file, not a model, a shipped or a safetensors model that has been changed since it was
            written, an ONNX file of which nobody says how it wants its input, or a runtime that is not installed or
            cannot run this kind of file.
    """
    if runtime not in RUNTIMES:
        raise LrfaceError(f"unknown runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}")
    if str(spec).startswith("insightface:"):
        pack = _insightface_pack(str(spec).partition(":")[2])
        return _open_onnx(pack, device, threads, {"input_size": 112}, runtime)
    path = shipped.find(shipped.default() if spec is None else str(spec)) or Path(require_path(str(spec)))
    if path.name.endswith(GRAPH_SUFFIX):
        path = path.with_name(path.name.removesuffix(GRAPH_SUFFIX) + ".safetensors")
    if not path.is_file():
        raise LrfaceError(f"no model at {path} ({looked_in(path)}): give {', '.join([*shipped.names(), SPECS])}")
    if path.suffix == ".onnx":
        return _open_onnx(path, device, threads, declared, runtime)
    if path.suffix == ".safetensors":
        return _open_safetensors(path, device, threads, runtime)
    if path.suffix in (".pt", ".pth"):
        return _open_state_dict(path, device, threads, runtime)
    raise LrfaceError(f"cannot tell what kind of model {path} is: give {SPECS}")


def _open_safetensors(path: Path, device: str, threads: int | None, runtime: str) -> Embedder:
    digest = shipped.checked_digest(path)
    graph = path.with_name(path.stem + GRAPH_SUFFIX)
    if runtime == "auto":
        runtime = "onnxruntime" if device == "cpu" and graph.is_file() else "torch"
    if runtime == "torch":
        from lrface.models.weights import load_model
        from lrface.runtimes.torch import TorchNetwork

        module, card = load_model(path)
        preprocessing = Preprocessing.from_card(card["preprocessing"], path)
        if preprocessing.input_size != module.input_size:
            raise LrfaceError(f"{path} takes {module.input_size} pixels and its card says {preprocessing.input_size}")
        return Embedder(TorchNetwork(module, device, threads), preprocessing, digest, card)
    if not graph.is_file():
        raise LrfaceError(
            f"{path} has no graph that {runtime} could run: make a file that has, `lrface export {path} --out FILE.onnx`"
        )
    card, places = read_header(path)
    check_seal(path)
    shipped.checked_digest(graph)
    network, record = _open_graph(graph, device, threads, runtime)
    if (record or {}).get("weights") != {"file": path.name, "places": places_digest(places)}:
        raise LrfaceError(f"{graph} was not made for {path} as it is now: remove the graph, or write it again")
    return Embedder(network, Preprocessing.from_card(card["preprocessing"], path), digest, card)


def _open_state_dict(path: Path, device: str, threads: int | None, runtime: str) -> Embedder:
    if runtime not in ("auto", "torch"):
        raise LrfaceError(f"{path} runs on torch only: for {runtime}, `lrface export {path} --out FILE.onnx` first")
    from lrface.models.weights import load_arcface_torch
    from lrface.runtimes.torch import TorchNetwork

    module, card = load_arcface_torch(path), {"source": path.name, "kind": "arcface_torch"}
    preprocessing = Preprocessing(input_size=int(module.input_size))  # type: ignore[arg-type]
    return Embedder(TorchNetwork(module, device, threads), preprocessing, file_digest(path), card)


def _open_onnx(path: Path, device: str, threads: int | None, declared: dict[str, Any] | None, runtime: str) -> Embedder:
    if runtime == "torch":
        raise LrfaceError(f"{path} is an ONNX file, which torch does not run: choose onnxruntime or openvino")
    digest = _onnx_digest(path)
    network, own = _open_graph(path, device, threads, runtime)
    if own and declared:
        raise LrfaceError(f"{path} says itself how it wants its input: leave the declaration (teacher.declared) out")
    if not own and not declared:
        raise LrfaceError(
            f"{path} does not say how it wants its input: declare input_size, mean, scale and colour "
            "(teacher.declared in a recipe)"
        )
    unknown = [key for key in declared or {} if key not in Preprocessing.__dataclass_fields__]
    if unknown:
        raise LrfaceError(f"{path}: unknown {unknown[0]!r}, declare {', '.join(Preprocessing.__dataclass_fields__)}")
    card = own or declared or {}
    if card.get("input") == WHOLE_INPUT:
        raise LrfaceError(
            f"{path} does its own preprocessing, for programs without lrface: lrface wants an export without --whole"
        )
    # Our exports carry a whole card; other files a preprocessing record alone.
    return Embedder(network, Preprocessing.from_card(card.get("preprocessing", card), path), digest, card)


def _open_graph(path: Path, device: str, threads: int | None, runtime: str) -> tuple[_Network, dict[str, Any] | None]:
    """A network in a runtime of ONNX files, and what the file says of itself."""
    network: Any
    if runtime == "openvino":
        from lrface.runtimes.openvino import OpenVinoNetwork

        network = OpenVinoNetwork(path, device, threads)
    else:
        from lrface.runtimes.onnx import OnnxNetwork

        network = OnnxNetwork(path, device, threads)
    if not network.record:
        return network, None
    try:
        record = json.loads(network.record)
    except ValueError as error:
        raise LrfaceError(f"{path} carries a preprocessing record that is not JSON") from error
    if not isinstance(record, dict):
        raise LrfaceError(f"{path} carries a preprocessing record that is not a mapping")
    return network, record


def _onnx_digest(path: Path) -> str:
    """SHA-256 of the file and, in case the weights lie there, of the data file that exporters write beside it."""
    beside = (path.with_name(name) for name in (f"{path.name}.data", f"{path.name}_data", f"{path.stem}.data"))
    return " ".join([shipped.checked_digest(path), *(file_digest(file) for file in beside if file.is_file())])


def _insightface_pack(name: str) -> Path:
    """The recognition network of a model pack of insightface, downloaded by insightface on first use."""
    try:
        from insightface.utils import storage
    except ImportError as error:
        raise LrfaceError("insightface is not installed: pip install 'lrface[insightface]'") from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it prints, and our standard output may be JSON
            folder = Path(storage.ensure_available("models", name))
    except Exception as error:  # requests, zip and OS errors alike
        raise LrfaceError(f"the insightface pack {name!r} could not be downloaded: {error}") from error
    files = sorted(folder.rglob("*.onnx"))  # antelopev2 is packed with a folder inside
    networks = [file for file in files if file.stem.startswith(PACK_NETWORKS)]
    if not networks:
        raise LrfaceError(f"the insightface pack {name!r} in {folder} holds no recognition network")
    return networks[0]
