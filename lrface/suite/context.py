"""The shared resources of the rows of one run: open models, loaded sets, and embeddings, which are computed once."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrface.errors import LrfaceError
from lrface.files import atomic_write, read_json, write_json
from lrface.reporting.fingerprint import code_digest, digest
from lrface.suite.located import Located
from lrface.suite.options import Options
from lrface.suite.peers import Model

if TYPE_CHECKING:
    from lrface.faces.degrade import Degradation
    from lrface.models.embedder import Embedder
    from lrface.models.family import Family

#: The code that determines an embedding, besides the weights and the pixels.
EMBEDDING_CODE = (
    "lrface.eval.embeddings", "lrface.models.preprocessing", "lrface.faces.degrade", "lrface.faces.align", "lrface.models.resnet",
    "lrface.models.iresnet", "lrface.runtimes.onnx", "lrface.runtimes.torch",
)  # fmt: skip


class NotApplicableError(LrfaceError):
    """A row does not apply to this model; the message gives the reason."""


class Context:
    """Opens models, loads sets and embeds images on demand.

    Embeddings are stored as files in ``out/cache/embeddings``. After a kill, a set need not be embedded again for the
    remaining rows. :meth:`forget` removes them.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self._embedders: dict[str, Embedder | Family] = {}
        self._loaded: tuple[str, Any] = ("", None)

    def embedder(self, model: Model) -> "Embedder | Family":
        """The open network of a model. Raises LrfaceError if it cannot be opened."""
        if model.digest not in self._embedders:
            self._embedders[model.digest] = model.open(self.options.device)
        return self._embedders[model.digest]

    def single(self, model: Model) -> "Embedder":
        """The open network of a model that is no family.

        Raises:
            NotApplicableError: it is a family.
            LrfaceError: it cannot be opened.
        """
        from lrface.models.embedder import Embedder

        embedder = self.embedder(model)
        if not isinstance(embedder, Embedder):
            raise NotApplicableError("families are measured over pairs of aligned faces only: name one of the members")
        return embedder

    def load(self, located: Located) -> Any:
        """The contents of a set. Only one set is in memory at a time."""
        if self._loaded[0] != located.fingerprint:
            self._loaded = ("", None)  # frees the old set first, so that only one is in memory
            self._loaded = (located.fingerprint, located.load())
        return self._loaded[1]

    def embed_pairs(self, model: Model, located: Located, degradation: "Degradation | None") -> np.ndarray:
        """Embeddings float32 ``[n, dim]`` of the images of a pair set, L2-normalised."""
        return self._embed(model, located, degradation, None)

    def embed_some(
        self, model: Model, located: Located, degradation: "Degradation | None", at: np.ndarray
    ) -> np.ndarray:
        """Embeddings of only the images ``at``, float32 ``[m, dim]``; read from stored results of :meth:`embed_pairs` if possible.

        Args:
            model, located, degradation: see :meth:`embed_pairs`.
            at: int ``[m]``, positions in the set's images.
        """
        return self._embed(model, located, degradation, at)

    def _embed(
        self, model: Model, located: Located, degradation: "Degradation | None", at: np.ndarray | None
    ) -> np.ndarray:
        embedder = self.embedder(model)
        images = self.load(located).images
        if degradation is not None and _changes_nothing(degradation, embedder, images):
            degradation = None
        operator = degradation.name if degradation else "none"
        name = f"{model.label}, {located.title}, {operator}"
        parts = [model.digest, located.fingerprint, operator, self.options.flip]
        if at is not None:
            if self._kept(parts).exists():
                return self._embed(model, located, degradation, None)[at]
            images, parts = [images[i] for i in at], [*parts, at.tolist()]

        def compute() -> tuple[np.ndarray, list[str]]:
            return _embed_images(embedder, images, degradation, name, self.options.flip), []

        return self.cached(parts, compute)[0]

    def cached(
        self, parts: Sequence[Any], compute: Callable[[], tuple[np.ndarray, list[str]]]
    ) -> tuple[np.ndarray, list[str]]:
        """The stored embeddings and notes for ``parts``, or else those that ``compute()`` makes, which are then stored."""
        path = self._kept(parts)
        beside = path.with_suffix(".json")
        if not path.exists():
            result, notes = compute()
            write_json(beside, notes)
            with atomic_write(path) as file:
                np.save(file, np.asarray(result, np.float32))
        array: np.ndarray = np.load(path, mmap_mode="r")
        return array, read_json(beside)

    def forget(self) -> None:
        """Remove the stored embeddings, once no row needs them any more."""
        for path in (self.options.out / "cache" / "embeddings").glob("*"):
            path.unlink()

    def _kept(self, parts: Sequence[Any]) -> Path:
        return self.options.out / "cache" / "embeddings" / f"{digest([*parts, self._code])[:32]}.npy"

    @cached_property
    def _code(self) -> str:
        return code_digest(EMBEDDING_CODE)


def _embed_images(
    embedder: "Embedder | Family",
    images: Sequence[np.ndarray],
    degradation: "Degradation | None",
    name: str,
    flip: bool,
) -> np.ndarray:
    """L2-normalised embeddings float32 ``[n, dim]``. A family estimates the detail of each reduced face."""
    from lrface.eval.embeddings import flip_sum
    from lrface.models.embedder import Embedder
    from lrface.recognition.encoder import FaceEncoder

    if isinstance(embedder, Embedder):
        return flip_sum(embedder, images, degradation, progress=name, flip=flip)
    if not flip:
        raise NotApplicableError("a family always embeds a face and its mirror image: leave --no-flip out")
    return FaceEncoder(embedder, "none").embed_crops([degradation(i) if degradation else i for i in images])


def _changes_nothing(degradation: "Degradation", embedder: "Embedder | Family", images: Sequence[np.ndarray]) -> bool:
    """Whether the reduction equals the network's own, or all crops already have its size."""
    size = degradation.size
    own = getattr(embedder, "preprocessing", None)  # a family has none
    return (own is not None and degradation == own.degradation) or all(
        image.shape[:2] == (size, size) for image in images
    )
