"""How every ONNX file of lrface is opened in ONNX Runtime: networks of embeddings and of detectors alike."""

import os
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.runtimes.batches import first_line

_NO_CUDA = "this ONNX Runtime cannot use CUDA: install onnxruntime-gpu, or run with --device cpu"


def load_onnxruntime() -> Any:
    """Import ONNX Runtime, for all of lrface.

    Its official builds, from 1.29 on, report to Microsoft which models are run, unless told otherwise before the import.
    Whoever wants that sets ``ORT_DISABLE_TELEMETRY=0``.

    Returns:
        The module ``onnxruntime``.

    Raises:
        ImportError: it is not installed, or broken.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def open_session(
    path: str | Path,
    device: str = "cpu",
    threads: int | None = None,
    advice: str = "",
    small: bool = False,
    any_size: bool = False,
) -> Any:
    """Open an ONNX file.

    Args:
        path: the file.
        device: ``cpu``, ``cuda`` or ``cuda:N``; on any other it runs on the CPU.
        threads: CPU threads; ONNX Runtime's own default, all cores, if None.
        advice: what to do if the file cannot be opened; it ends the error.
        small: a call takes a few milliseconds, and the shape of its input is another one at nearly every call: then
            threads do not stay awake between calls, and CUDA looks for no better convolutions.
        any_size: the file fixes the number and size of its images, and shall take any.

    Returns:
        ``onnxruntime.InferenceSession``, safe to call from several threads.

    Raises:
        LrfaceError: ONNX Runtime is missing, the file is no ONNX model, or the device cannot be had.
    """
    try:
        onnxruntime = load_onnxruntime()
    except ImportError as error:
        raise LrfaceError(f"ONNX Runtime cannot be imported ({first_line(error)}): pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    if small:
        # By default threads spin until the next call comes, which costs several times what such a network does.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: list[Any] = ["CPUExecutionProvider"]
    if device.startswith("cuda"):
        if not cuda_available():
            raise LrfaceError(_NO_CUDA)
        providers.insert(0, ("CUDAExecutionProvider", _cuda_options(device, small)))
    try:
        model = _freed(path) if any_size else str(path)
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no public base
        raise LrfaceError(f"{path} is not an ONNX model that can be run: {first_line(error)}{advice}") from error
    if len(providers) > 1 and "CUDAExecutionProvider" not in session.get_providers():
        raise LrfaceError(_NO_CUDA)  # it falls back to the CPU silently where CUDA's libraries are missing
    return session


def _freed(path: str | Path) -> bytes:
    """An ONNX file of convolutions, whose input and outputs ``[n, channels, h, w]`` have a fixed size, for any size.

    Weights that the file lists as inputs, too, are taken out of that list: ONNX Runtime folds no weights that a caller
    might replace, which costs half of the speed.
    """
    import onnx

    model = onnx.load(str(path))
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    for value in (*model.graph.input, *model.graph.output):
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = f"{value.name}_{axis}"
    freed: bytes = model.SerializeToString()
    return freed


def cuda_available() -> bool:
    """Whether there is an ONNX Runtime, and this build of it knows CUDA."""
    try:
        return "CUDAExecutionProvider" in load_onnxruntime().get_available_providers()
    except ImportError:
        return False


def _cuda_options(device: str, small: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"device_id": int(device.partition(":")[2] or 0)}
    if small:
        # By default every new shape starts a search for the fastest convolution, which takes longer than many calls.
        options["cudnn_conv_algo_search"] = "HEURISTIC"
    return options
