"""Networks that turn aligned crops into embeddings, independent of the origin of the weights and of the runtime.

Teachers, students and other models in a benchmark are all an :class:`Embedder`, opened by :func:`open_embedder`.
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

#: How a user can name a model, besides the names of the shipped ones.
SPECS = "MODEL.safetensors (ours), MODEL.onnx, MODEL.pt or .pth (arcface_torch), insightface:PACK (buffalo_l, ...)"

#: Names of the recognition networks in insightface's packs: the data sets on which they were trained.
PACK_NETWORKS = ("w600k", "glint360k", "webface")

#: ``MODEL.graph.onnx`` beside ``MODEL.safetensors`` is the model's graph; it has no weights of its own.
GRAPH_SUFFIX = ".graph.onnx"

#: The input entry in the card of an exported file that contains preprocessing and flip in its graph.
WHOLE_INPUT = "uint8 RGB [n, height, width, 3]"


class _Network(Protocol):
    """The part that differs between runtimes."""

    def __call__(self, batch: np.ndarray) -> np.ndarray: ...


class Embedder:
    """Aligned crops in, embeddings out.

    Args:
        network: normalised float32 batch -> float32 ``[n, embedding_dim]``.
        preprocessing: how crops become the network's input.
        digest: digest of the weights.
        card: the card of the model file.

    Attributes:
        fingerprint: digest of the weights together with the preprocessing.
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
        """The network for a face with this many pixels of detail. A single model has only one; see :mod:`lrface.models.family`."""
        return self

    def member_name(self, resolution: float) -> str:
        """The name of the network that :meth:`member` gives."""
        return str(self.card.get("name", "unnamed"))

    def single(self, fingerprint: str) -> "Embedder | None":
        """This network if it has this fingerprint, else None."""
        return self if fingerprint == self.fingerprint else None

    def compact(self, crop: np.ndarray) -> np.ndarray:
        """Reduce an aligned crop as far as possible without changing its embedding, so that many can be kept in memory."""
        if self.preprocessing.crop not in OTHER_CROPS:
            return self.preprocessing.fit(crop)
        # A crop fitted now would be fitted again by embed, and so be cut twice.
        return crop if len(crop) <= TEMPLATE_SIZE else resize(crop, TEMPLATE_SIZE)

    def embed(self, crops: Sequence[np.ndarray] | np.ndarray, batch_size: int = 64, flip: bool = False) -> np.ndarray:
        """Embed aligned crops.

        Args:
            crops: uint8 RGB images ``[h, w, 3]`` of any size, aligned to the template.
            batch_size: number of crops in one pass of the network.
            flip: mirror the crops first.

        Returns:
            float32 ``[n, embedding_dim]``, the network's output, not normalised; ``[0, 0]`` without crops.
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
        spec: name of a shipped model, a file, or ``insightface:PACK``, see ``SPECS``; if None, the default shipped model.
        device: ``cpu`` or ``cuda``.
        threads: number of CPU threads; the runtime's default if None. With torch it applies to the whole process.
        declared: preprocessing of an ONNX file that has no card: ``input_size``, ``mean``, ``scale``, ``colour``,
            ``layout``, ``crop``.
        runtime: one of :data:`lrface.runtimes.RUNTIMES`. ``auto`` is ONNX Runtime for ONNX files, and on the CPU for
            safetensors files with a graph beside them, as the shipped ones have; otherwise torch.

    Raises:
        LrfaceError: no such file, not a model, a shipped or sealed model that has been changed since it was written, an
            ONNX file without a card and without ``declared``, or a runtime that is not installed or cannot run this kind
            of file.
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
    # An lrface export has a whole card, other files have only a preprocessing record.
    return Embedder(network, Preprocessing.from_card(card.get("preprocessing", card), path), digest, card)


def _open_graph(path: Path, device: str, threads: int | None, runtime: str) -> tuple[_Network, dict[str, Any] | None]:
    """Open a network in a runtime for ONNX files. Returns it with the file's own record, or None if it has none."""
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
    """SHA-256 of the file, and of the data file that exporters may write beside it for the weights."""
    beside = (path.with_name(name) for name in (f"{path.name}.data", f"{path.name}_data", f"{path.stem}.data"))
    return " ".join([shipped.checked_digest(path), *(file_digest(file) for file in beside if file.is_file())])


def _insightface_pack(name: str) -> Path:
    """The recognition network in a model pack of insightface, which insightface downloads at first use."""
    try:
        from insightface.utils import storage
    except ImportError as error:
        raise LrfaceError("insightface is not installed: pip install 'lrface[insightface]'") from error
    try:
        with contextlib.redirect_stdout(sys.stderr):  # insightface prints, and standard output may be lrface's JSON
            folder = Path(storage.ensure_available("models", name))
    except Exception as error:  # errors of requests, zip files and the system
        raise LrfaceError(f"the insightface pack {name!r} could not be downloaded: {error}") from error
    files = sorted(folder.rglob("*.onnx"))  # antelopev2 has a folder inside its archive
    networks = [file for file in files if file.stem.startswith(PACK_NETWORKS)]
    if not networks:
        raise LrfaceError(f"the insightface pack {name!r} in {folder} holds no recognition network")
    return networks[0]
