"""A network that turns aligned crops into embeddings, wherever its weights come from.

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
from lrface.files import file_digest
from lrface.preprocessing import Preprocessing

#: How an opened model is named: a file, or a pack of insightface.
SPECS = "MODEL.safetensors (ours), MODEL.onnx, MODEL.pt or .pth (arcface_torch), insightface:PACK (buffalo_l, ...)"


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


class TorchNetwork:
    """A torch module in evaluation mode."""

    def __init__(self, module: Any, device: str = "cpu") -> None:
        import torch

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise LrfaceError("this PyTorch finds no CUDA device: run with --device cpu")
        self.module = module.eval().to(device)
        self._device = device

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            result: np.ndarray = self.module(torch.from_numpy(batch).to(self._device)).float().cpu().numpy()
        return result


class OnnxNetwork:
    """An ONNX file in ONNX Runtime, of any batch size; safe to call from several threads."""

    def __init__(self, path: Path, device: str = "cpu", threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        wanted: list[Any] = ["CPUExecutionProvider"]
        no_cuda = "this ONNX Runtime cannot use CUDA: install onnxruntime-gpu, or run with --device cpu"
        if device.startswith("cuda"):
            if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
                raise LrfaceError(no_cuda)
            wanted.insert(0, ("CUDAExecutionProvider", {"device_id": int(device.partition(":")[2] or 0)}))
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # ONNX Runtime's exceptions share no public base
            raise LrfaceError(f"{path} is not an ONNX model that can be run: {_first_line(error)}") from error
        if len(wanted) > 1 and "CUDAExecutionProvider" not in self.session.get_providers():
            raise LrfaceError(no_cuda)  # it falls back to the CPU silently where CUDA's libraries are missing
        self._path = path
        self._input = self.session.get_inputs()[0]
        self._output = self.session.get_outputs()[0].name
        fixed = self._input.shape[0] if self._input.shape else None
        self._fixed_batch = fixed if isinstance(fixed, int) else None

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        step = self._fixed_batch or len(batch)
        return np.concatenate([self._run(batch[start : start + step], step) for start in range(0, len(batch), step)])

    def _run(self, batch: np.ndarray, size: int) -> np.ndarray:
        count = len(batch)
        if count < size:
            batch = np.concatenate([batch, np.zeros((size - count, *batch.shape[1:]), batch.dtype)])
        try:
            result: np.ndarray = self.session.run([self._output], {self._input.name: batch})[0]
        except Exception as error:  # see above
            raise LrfaceError(
                f"{self._path} takes {self._input.type} {self._input.shape} and got float32 {list(batch.shape)}: "
                f"{_first_line(error)}"
            ) from error
        if len(result) != size:
            raise LrfaceError(f"{self._path} gives {list(result.shape)} for {size} faces: not an embedding for each")
        return result.reshape(size, -1)[:count]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def open_embedder(
    spec: str | Path, device: str = "cpu", threads: int | None = None, declared: dict[str, Any] | None = None
) -> Embedder:
    """Open a model.

    Args:
        spec: a file or ``insightface:PACK``; see ``SPECS``.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads of ONNX Runtime; its own default if None.
        declared: preprocessing of an ONNX file that does not carry its own: ``input_size``, ``mean``, ``scale``,
            ``colour``, ``layout``.

    Raises:
        LrfaceError: no such file, not a model, or an ONNX file of which nobody says how it wants its input.
    """
    if str(spec).startswith("insightface:"):
        return _open_onnx(_insightface_pack(str(spec).partition(":")[2]), device, threads, {"input_size": 112})
    path = Path(spec)
    if not path.is_file():
        raise LrfaceError(f"no model at {path}: give {SPECS}")
    if path.suffix == ".onnx":
        return _open_onnx(path, device, threads, declared)
    from lrface.models.weights import load_arcface_torch, load_model

    if path.suffix in (".pt", ".pth"):
        module, card = load_arcface_torch(path), {"source": path.name, "kind": "arcface_torch"}
        preprocessing = Preprocessing(input_size=int(module.input_size))  # type: ignore[arg-type]
    elif path.suffix == ".safetensors":
        module, card = load_model(path)
        preprocessing = Preprocessing.from_card(card["preprocessing"], path)
        if preprocessing.input_size != module.input_size:
            raise LrfaceError(f"{path} takes {module.input_size} pixels and its card says {preprocessing.input_size}")
    else:
        raise LrfaceError(f"cannot tell what kind of model {path} is: give {SPECS}")
    return Embedder(TorchNetwork(module, device), preprocessing, file_digest(path), card)


def _open_onnx(path: Path, device: str, threads: int | None, declared: dict[str, Any] | None) -> Embedder:
    network = OnnxNetwork(path, device, threads)
    own = network.session.get_modelmeta().custom_metadata_map.get("lrface")
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
    try:
        card: Any = json.loads(own) if own else declared
    except ValueError as error:
        raise LrfaceError(f"{path} carries a preprocessing record that is not JSON") from error
    return Embedder(network, Preprocessing.from_card(card, path), _onnx_digest(path), card)


def _onnx_digest(path: Path) -> str:
    """SHA-256 of the file and, in case the weights lie there, of the data file that exporters write beside it."""
    beside = (path.with_name(name) for name in (f"{path.name}.data", f"{path.name}_data", f"{path.stem}.data"))
    return " ".join(file_digest(file) for file in (path, *beside) if file.is_file())


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
    networks = [file for file in files if file.stem.startswith(("w600k", "glint360k", "webface"))]
    if not networks:
        raise LrfaceError(f"the insightface pack {name!r} in {folder} holds no recognition network")
    return networks[0]
