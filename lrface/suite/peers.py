"""The models of a suite, lrface's own and others. Each is an :class:`~lrface.models.embedder.Embedder` with a label and a cost.

``LABEL=MODEL[,KEY=VALUE...]`` names one. MODEL is anything that :func:`lrface.models.embedder.open_embedder` opens. The keys
declare the input of an ONNX file without a card (``input_size=112,colour=BGR``). ``hr=MODEL``, or the label of another model,
names the teacher that embeds the high-resolution side of HR-LR pairs. ``detector=NAME`` names the detector for photos.
MODEL can also be a shipped family, with ``sharp=dlib`` for the networks that embed sharp faces.
"""

import re
import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.faces.detect import DETECTORS, is_detector
from lrface.files import file_digest, looked_in
from lrface.models import shipped
from lrface.models.family import family_files
from lrface.models.preprocessing import Preprocessing
from lrface.reporting.fingerprint import digest

if TYPE_CHECKING:
    from lrface.models.embedder import Embedder
    from lrface.models.family import Family

_NUMBERS = {"input_size": int, "mean": float, "scale": float}


@dataclass(frozen=True)
class Model:
    """One model of the suite. It is opened only when something has to be computed.

    Attributes:
        label: its name in tables.
        spec: a file, a shipped model's name, or ``insightface:PACK``.
        declared: preprocessing of an ONNX file that has no card.
        hr: the model of the high-resolution side in HR-LR; None for the model itself.
        detector: its detector for photos; see :func:`lrface.faces.detect.create_detector`.
        sharp: the teachers of a family; see :func:`lrface.models.family.open_family`.
    """

    label: str
    spec: str
    declared: tuple[tuple[str, Any], ...] = ()
    hr: "Model | None" = None
    detector: str = "auto"
    sharp: tuple[str, ...] = ()

    @cached_property
    def family(self) -> Path | None:
        """The file of the shipped family, or None for a single model."""
        return shipped.find_family(self.spec)

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files with the weights; none for a pack that cannot be downloaded."""
        if self.spec.startswith("insightface:"):
            return self._of_pack() or self._fetched()
        if self.family:
            return family_files(self.family, self.sharp)
        path = shipped.find(self.spec) or Path(self.spec)
        # Exporters write the weights of a graph beside it: model.onnx.data, model.onnx_data, model.data.
        beside = [path.with_name(name) for name in (f"{path.name}.data", f"{path.name}_data", f"{path.stem}.data")]
        return tuple(file for file in (path, *(beside if path.suffix == ".onnx" else ())) if file.is_file())

    def _of_pack(self) -> tuple[Path, ...]:
        from lrface.faces.detect.insightface_backend import packs_folder
        from lrface.models.embedder import PACK_NETWORKS

        folder = packs_folder() / self.spec.partition(":")[2]
        return tuple(sorted(file for file in folder.rglob("*.onnx") if file.stem.startswith(PACK_NETWORKS))[:1])

    def _fetched(self) -> tuple[Path, ...]:
        """Download the pack before the first fingerprint, so that it does not change later. The rows report a failed download."""
        with suppress(LrfaceError):
            self.open()
        return self._of_pack()

    @cached_property
    def digest(self) -> str:
        """Digest of the weights and of the declared preprocessing, without opening the model."""
        weights = [file_digest(file) for file in self.files] or [self.spec]
        return digest([weights, sorted(self.declared), *([list(self.sharp)] if self.sharp else [])])

    def open(self, device: str = "cpu", threads: int | None = None) -> "Embedder | Family":
        """Open the network. Raises LrfaceError as ``open_embedder`` does."""
        from lrface.models.embedder import open_embedder
        from lrface.models.family import open_family

        if self.family:
            return open_family(self.family, self.sharp, device, threads)
        return open_embedder(self.spec, device, threads, dict(self.declared) or None)


def parse_models(texts: Iterable[str]) -> list[Model]:
    """Parse models as given on the command line. Without a label, the file's name is the label.

    Raises:
        LrfaceError: no such file, an unknown key, or one label for two models.
    """
    parsed = [_parse(text) for text in texts]
    labels = [model.label for model, _ in parsed]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice:
        raise LrfaceError(f"two models are called {twice!r}: name them apart, LABEL=MODEL")
    by_label = {model.label: model for model, _ in parsed}
    return [
        replace(model, hr=by_label[teacher] if teacher in by_label else _parse(teacher)[0]) if teacher else model
        for model, teacher in parsed
    ]


def _parse(text: str) -> tuple[Model, str | None]:
    """A model, and the name of the model for the high-resolution side."""
    known = [field.name for field in fields(Preprocessing) if field.name != "degradation"]
    rest, declared, own, sharp = text, {}, {"hr": None, "detector": "auto"}, list[str]()
    # Parsed from the right, because a label may contain commas.
    while found := re.fullmatch(rf"(.+),\s*({'|'.join((*own, 'sharp', *known))})=([^,]*)", rest, re.DOTALL):
        rest, key, value = found.groups()
        if key in own:
            own[key] = value
        elif key == "sharp":
            sharp.insert(0, value)
        else:
            declared[key] = _value(key, value, text)
    hr, detector = own["hr"], str(own["detector"])
    label, equals, spec = rest.partition("=")
    names = [*shipped.names(), *shipped.families()]
    if not equals:
        named = rest.startswith("insightface:") or rest in names
        label, spec = (rest if named else Path(rest).stem), rest
    if not label.strip() or not spec:
        raise LrfaceError(f"{text!r}: write a model as LABEL=MODEL")
    if (
        not spec.startswith("insightface:")
        and spec not in names
        and not shipped.find(spec)
        and not Path(spec).is_file()
    ):
        raise LrfaceError(
            f"no model at {spec} ({looked_in(spec)}): "
            f"write LABEL=MODEL[,KEY=VALUE...] with the keys hr, detector, sharp, {', '.join(known)}; MODEL is a file, "
            f"insightface:PACK or one of {', '.join(names)}"
        )
    if sharp and spec not in shipped.families():
        raise LrfaceError(
            f"{text!r}: sharp goes with a family ({', '.join(shipped.families())}), not with a single model"
        )
    if detector != "auto" and not is_detector(detector):
        raise LrfaceError(f"{text!r}: no such detector: choose auto, {', '.join(DETECTORS)}, or a file *.onnx")
    return Model(label.strip(), spec, tuple(sorted(declared.items())), None, detector, tuple(sharp)), hr


def _value(key: str, value: str, text: str) -> Any:
    try:
        return _NUMBERS.get(key, str)(value)
    except ValueError:
        raise LrfaceError(f"{text!r}: {key} is a number, not {value!r}") from None


def describe(embedder: "Embedder | Family") -> dict[str, Any]:
    """The origin of a model according to its file: recipe, losses, seed, commit and data; None for missing entries.

    The input of a family is the least detail of each member, in pixels.
    """
    from lrface.models.family import Family

    card = embedder.card
    recipe = card.get("recipe") or {}
    if isinstance(embedder, Family):
        taken: dict[str, Any] = {"members": {member.name: member.detail for member in embedder.members}}
    else:
        taken = embedder.preprocessing.as_dict()
    return {
        "fingerprint": embedder.fingerprint,
        "input": taken,
        "recipe": recipe.get("name"),
        "network": recipe.get("model"),
        "loss": recipe.get("loss"),
        "epochs": (recipe.get("optim") or {}).get("epochs"),
        "seed": recipe.get("seed"),
        "trained_by": card.get("code"),
        "trained_on": card.get("data"),
    }


def measure_cost(model: Model, runs: int = 30) -> dict[str, float | int]:
    """Measure the milliseconds per face and the megabytes on disk.

    Faces are embedded one at a time, on one thread, including preprocessing. The processor's time is counted. On an idle
    machine this is the elapsed time, and it depends little on other programs.

    Returns:
        ``ms`` (median of ``runs``), ``ms_spread`` (half the distance between the quartiles), ``megabytes``, and
        ``dimensions`` of the embedding.
    """
    import torch

    from lrface.models.embedder import Embedder
    from lrface.recognition.encoder import FaceEncoder

    before = torch.get_num_threads()
    face = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    try:
        opened = model.open(threads=1)  # with torch, threads=1 applies to the whole process
        embed: Callable[[list[np.ndarray]], np.ndarray] = (
            opened.embed
            if isinstance(opened, Embedder)
            else partial(FaceEncoder(opened, "none").embed_crops, resolutions=[112.0])
        )
        for _ in range(5):  # the first passes allocate memory
            dimensions = embed([face]).shape[1]
        times = [_clock(embed, face) for _ in range(runs)]
    finally:
        torch.set_num_threads(before)
    quartiles = statistics.quantiles(times, n=4)
    return {
        "ms": statistics.median(times),
        "ms_spread": (quartiles[2] - quartiles[0]) / 2,
        "megabytes": sum(file.stat().st_size for file in model.files) / 1e6,
        "dimensions": dimensions,
    }


def _clock(embed: Callable[[list[np.ndarray]], np.ndarray], face: np.ndarray) -> float:
    start = time.process_time()
    embed([face])
    return 1000 * (time.process_time() - start)
