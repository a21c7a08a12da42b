"""What the teachers of a recipe give to its student: their embeddings of the training images, and a classifier over them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lrface.data.packed import PackedStore
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.losses.terms import needs_logits
from lrface.models.embedder import Embedder
from lrface.models.teacher_map import TeacherMap
from lrface.train.batches import TeacherTargets
from lrface.train.head import load_head
from lrface.train.objective import check_lengths, class_mean_classifier
from lrface.train.preflight import check_targets, open_teacher
from lrface.train.recipe import Recipe
from lrface.train.split import Split
from lrface.train.targets import centred_targets
from lrface.train.teacher_cache import cached_embeddings


@dataclass(frozen=True)
class Lesson:
    """What is taught.

    Attributes:
        dim: length of the targets.
        cached: float32 ``[2, N, dim]`` of the store's images, plain and flipped; None if the teacher is asked every time.
        online: who is asked then.
        classifier: float32 ``[classes, dim]``, for terms that read logits; None without such.
    """

    dim: int
    cached: np.ndarray | None
    online: Embedder | None = None
    classifier: Tensor | None = None

    def targets(self, store: Store | PackedStore, split: Split, device: torch.device) -> TeacherTargets:
        """Of the training images, on the device."""
        if self.online is None:
            return TeacherTargets(self.cached, None, split, device)
        assert isinstance(store, Store)
        return TeacherTargets(None, (store, self.online), split, device)


def prepare_lesson(
    recipe: Recipe, device: str, store: Store | PackedStore, split: Split, root: Path, student: torch.nn.Module
) -> Lesson | None:
    """What the teachers of a recipe give; computed and cached if need be. None without teachers.

    Args:
        recipe: the recipe.
        device: where teachers run.
        store, split: the faces.
        root: the data root.
        student: the network that is to learn.

    Raises:
        LrfaceError: a teacher or its map cannot be read, or does not fit the losses or the student.
    """
    if recipe.teacher is None:
        return None
    if isinstance(store, PackedStore):
        return _packed_lesson(recipe, store, split, student)
    section = recipe.teacher
    teachers = [open_teacher(model, section, root, device) for model in (section.model, *section.ensemble)]
    fingerprints = [teacher.fingerprint for teacher in teachers]
    check_targets(recipe, split, root, fingerprints, [teacher.dim for teacher in teachers], student)
    logits = wants_logits(recipe)
    classifier = own_classifier(recipe, store, split, root) if logits else None
    means = logits and classifier is None
    cached = None
    if section.cached or means:
        # Of several processes one computes and the others wait, for hours if need be, as no barrier would.
        parts = [cached_embeddings(store, teacher, flips=section.flips) for teacher in teachers]
        if section.map:
            cached = TeacherMap.load(root / section.map)(parts)
        else:
            centred = section.centred or section.ensemble
            dim = int(student.embedding_dim)  # type: ignore[arg-type]
            cached = centred_targets(parts, split.train, dim) if centred else parts[0]
        classifier = class_mean_classifier(cached, split) if means else classifier
    dim = teachers[0].dim if cached is None else cached.shape[2]
    return Lesson(dim, cached if section.cached else None, None if section.cached else teachers[0], classifier)


def wants_logits(recipe: Recipe) -> bool:
    """Whether a term reads the teacher's logits."""
    return recipe.loss.kd is not None or needs_logits(recipe.loss.methods)


def own_classifier(recipe: Recipe, store: Store, split: Split, root: Path) -> Tensor | None:
    """The classifier beside the teacher's file, if it is of these identities and knows the targets: those of one raw teacher."""
    section = recipe.teacher
    assert section is not None
    raw = not (section.ensemble or section.centred)
    return load_head(root / section.model, store, split) if raw else None


def _packed_lesson(recipe: Recipe, store: PackedStore, split: Split, student: torch.nn.Module) -> Lesson:
    own = int(student.embedding_dim)  # type: ignore[arg-type]
    if store.facts["made_for"]["embedding_dim"] != own:
        raise LrfaceError(
            f"{store.path} was packed for embeddings of {store.facts['made_for']['embedding_dim']} numbers and the student "
            f"gives {own}: set model.kw.embedding_dim, or pack anew"
        )
    cached = store.targets()
    if cached is None:
        raise LrfaceError(f"{store.path} was packed without a teacher, and the recipe has one: pack anew")
    check_lengths(recipe.loss, cached.shape[2], own)
    classifier = None
    if wants_logits(recipe):
        packed = store.classifier()
        classifier = class_mean_classifier(cached, split) if packed is None else torch.from_numpy(packed)
    return Lesson(cached.shape[2], cached, None, classifier)
