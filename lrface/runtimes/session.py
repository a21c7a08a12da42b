"""Opening of ONNX files in ONNX Runtime, for embedding networks and detectors."""

import os
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.runtimes.batches import first_line

_NO_CUDA = "this ONNX Runtime cannot use CUDA: install onnxruntime-gpu, or run with --device cpu"


def load_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry switched off.

    The official builds from 1.29 on report to Microsoft which models are run, unless an environment variable is set before
    the import. To allow these reports, set ``ORT_DISABLE_TELEMETRY=0``.

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
        device: ``cpu``, ``cuda`` or ``cuda:N``. Any other device means the CPU.
        threads: CPU threads; None: ONNX Runtime's default, all cores.
        advice: text for the end of the error message if the file cannot be opened.
        small: for networks whose calls take a few milliseconds, with a new input shape at nearly every call. Threads then do
            not stay awake between calls, and CUDA does not search for faster convolutions.
        any_size: accept any number and size of images, although the file fixes them.

    Returns:
        ``onnxruntime.InferenceSession``. It may be called from several threads.

    Raises:
        LrfaceError: ONNX Runtime is missing, the file is not an ONNX model, or the device is not available.
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
        # By default threads spin until the next call, which costs several times the work of such a network.
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
        raise LrfaceError(_NO_CUDA)  # ONNX Runtime silently uses the CPU if CUDA's libraries are missing
    return session


def _freed(path: str | Path) -> bytes:
    """Change a convolutional network with a fixed input size, so that it takes any size.

    Its input and outputs are ``[n, channels, h, w]``. Some files list their weights also as inputs. ONNX Runtime does not
    fold such weights, because a caller could replace them, which halves the speed. They are removed from the inputs.

    Returns:
        The changed ONNX file.
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
    """Whether ONNX Runtime is installed and its build supports CUDA."""
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
