"""``lrface export``: graph, quantisation, built-in preprocessing, checks, and one file at the end."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrface.data.sets.pair_set import PairSet
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.export.graph import set_card, trace
from lrface.export.parity import check_accuracy, check_batches, check_parity, check_whole
from lrface.export.quantize import quantize
from lrface.export.whole import IMAGES, make_whole
from lrface.files import atomic_write, require_path
from lrface.models.embedder import WHOLE_INPUT, Embedder, open_embedder
from lrface.version import code_version

if TYPE_CHECKING:
    import onnx

#: Number of faces for the ranges of activations. Each is also used mirrored.
CALIBRATION_FACES = 512
#: Number of pairs of each kind that are drawn from the calibration store if no pairs are given.
PAIRS_PER_KIND = 1000
SEED = 0


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        path, size: the file and its size in bytes.
        cosine: smallest cosine between embeddings of the float32 graph and of torch.
        whole_cosine: smallest cosine between the graph with built-in preprocessing and lrface; None without it.
        accuracies: of float32 and of int8 on the pairs, 0 to 1; None without int8.
        pairs: name of the pairs.
    """

    path: Path
    size: int
    cosine: float
    whole_cosine: float | None = None
    accuracies: tuple[float, float] | None = None
    pairs: str | None = None


def export(
    model: str | Path,
    out: str | Path,
    int8: bool = False,
    whole: bool = False,
    calibration: Store | None = None,
    pairs: PairSet | None = None,
) -> Exported:
    """Write a model as one ONNX file with a dynamic batch size and the model's card.

    Args:
        model: a model that :func:`lrface.models.embedder.open_embedder` opens with torch.
        out: the file, ``*.onnx``. It is written at the end, after all checks.
        int8: quantise weights and activations.
        whole: put preprocessing and mirror image into the graph: uint8 RGB crops of any size in, embeddings of length 1 out.
        calibration: store of real faces, for int8.
        pairs: verification pairs on which int8 may lose at most 0.3 points of accuracy. None: pairs of the calibration
            store, drawn from images that are not used for the calibration.

    Raises:
        LrfaceError: the model cannot be exported, int8 has no faces, a check fails, or the file cannot be written.
    """
    if Path(require_path(out)).suffix != ".onnx":
        raise LrfaceError(f"--out {out}: call the file something.onnx")
    if int8 and calibration is None:
        raise LrfaceError("int8 needs real faces to read ranges from: name a store with --calibration")
    reference = open_embedder(model, runtime="torch")
    preprocessing = reference.preprocessing
    module: Any = reference.network.module  # type: ignore[attr-defined]
    card = reference.card | {"preprocessing": preprocessing.as_dict(), "exported": {"by": code_version()}}
    proto = trace(module, preprocessing.input_size)
    with tempfile.TemporaryDirectory() as folder:
        embedder = _save_and_open(proto, card, Path(folder) / "float32.onnx")
        cosine = check_parity(embedder, reference)
        accuracies = None
        if int8 and calibration is not None:
            chosen, pairs = _calibration(calibration, pairs)
            proto = quantize(proto, _batches(calibration, chosen, embedder))
            quantised = _save_and_open(proto, card, Path(folder) / "int8.onnx")
            check_batches(quantised)
            accuracies = check_accuracy(quantised, embedder, pairs)
            card["exported"] |= {"precision": "int8", "pairs": pairs.name, "float32_accuracy": accuracies[0]}
            card["exported"] |= {"int8_accuracy": accuracies[1], "calibration": calibration.fingerprint}
            embedder = quantised
        whole_cosine = None
        if whole:
            proto = make_whole(proto, preprocessing, int(module.embedding_dim))
            card["input"] = WHOLE_INPUT
            whole_cosine = _check_whole(proto, embedder)
        set_card(proto, card)
        content = proto.SerializeToString()
    with atomic_write(out) as file:
        file.write(content)
    return Exported(Path(out), len(content), cosine, whole_cosine, accuracies, pairs.name if int8 and pairs else None)


def _save_and_open(proto: "onnx.ModelProto", card: dict[str, Any], path: Path) -> Embedder:
    set_card(proto, card)
    path.write_bytes(proto.SerializeToString())
    return open_embedder(path)


def _calibration(store: Store, pairs: PairSet | None) -> tuple[np.ndarray, PairSet]:
    """Images for the calibration, and pairs: the given ones, or pairs of other images of the store."""
    from lrface.train.split import draw_pairs

    order = np.random.default_rng(SEED).permutation(len(store))
    chosen, others = np.split(order, [min(CALIBRATION_FACES, len(order) // 2)])
    if pairs is not None:
        return chosen, pairs
    others = others[store.labels[others] >= 0]
    try:
        a, b, same = draw_pairs(store.labels[others], PAIRS_PER_KIND)
    except LrfaceError as error:
        raise LrfaceError(f"{store.path} has too few images to draw pairs from: give some with --pairs") from error
    used, positions = np.unique(np.concatenate([a, b]), return_inverse=True)
    crops = [store.crop(int(others[i])) for i in used]
    return chosen, PairSet(
        crops, positions[: len(a)], positions[len(a) :], same, f"drawn from {store.path.name}", "as prepared"
    )


def _batches(store: Store, chosen: np.ndarray, embedder: Embedder) -> list[np.ndarray]:
    fit = embedder.preprocessing.fit
    pixels = np.stack([fit(store.crop(int(image))) for image in chosen])
    both = embedder.preprocessing.batch(np.concatenate([pixels, pixels[:, :, ::-1]]))
    return [both[start : start + 64] for start in range(0, len(both), 64)]


def _check_whole(proto: "onnx.ModelProto", embedder: Embedder) -> float:
    from lrface.runtimes.session import load_onnxruntime

    session = load_onnxruntime().InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(crops: np.ndarray) -> np.ndarray:
        result: np.ndarray = session.run(None, {IMAGES: crops})[0]
        return result

    return check_whole(run, embedder)
