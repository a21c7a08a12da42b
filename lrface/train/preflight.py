"""Checks before a long run: lengths of embeddings, sides of images, classes, kinds of files.

A teacher needs minutes to hours to embed a store, and a sweep has many recipes. These checks only open the files. They embed
no face except one black crop per network, which gives the length of its embeddings.
"""

from pathlib import Path

import torch
from torch import nn

from lrface.data.sets.pairs import read_pairs
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import looked_in
from lrface.losses.method import Setting, Shape
from lrface.losses.terms import build_terms
from lrface.models import create
from lrface.models.embedder import Embedder, open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.models.teacher_map import TeacherMap
from lrface.train.objective import GIVEN, check_lengths
from lrface.train.recipe import Recipe, TeacherSection
from lrface.train.split import Split, split_store
from lrface.train.whiten import check_network, chosen_images


class Preflight:
    """Checks recipes under one data root. A file that several recipes use is opened only once.

    Args:
        root: the data root.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stores: dict[tuple[str, int | None], Store] = {}
        self._teachers: dict[str, tuple[str, int]] = {}

    def check(self, recipe: Recipe) -> None:
        """Raise LrfaceError if the recipe, its stores, its teachers and its student do not fit together."""
        store = self._store(recipe.data.store, recipe.data.low_size)
        split = split_store(store, recipe.data)
        with torch.random.fork_rng(devices=[]):
            student = create(recipe.model.name, **recipe.model.kw)
        check_data(recipe, store, split, student, self._root)
        check_initial(recipe, self._root)
        if recipe.teacher is None:
            return
        models = (recipe.teacher.model, *recipe.teacher.ensemble)
        teachers = [self._teacher(model, recipe.teacher) for model in models]
        names, lengths = [name for name, _ in teachers], [dim for _, dim in teachers]
        check_targets(recipe, split, self._root, names, lengths, student)

    def _store(self, name: str, low_size: int | None) -> Store:
        if (name, low_size) not in self._stores:
            self._stores[name, low_size] = Store(self._root / name, low_size)
        return self._stores[name, low_size]

    def _teacher(self, model: str, section: TeacherSection) -> tuple[str, int]:
        """Fingerprint and length of the embeddings. The network is not kept."""
        declared = section.declared if model == section.model else None
        key = f"{model} {declared}"
        if key not in self._teachers:
            with torch.random.fork_rng(devices=[]):  # a torch teacher draws random weights before it loads its own
                opened = open_teacher(model, section, self._root)
            self._teachers[key] = opened.fingerprint, opened.dim
        return self._teachers[key]


def open_teacher(model: str, section: TeacherSection, root: Path, device: str = "cpu") -> Embedder:
    """Open one of a recipe's teachers. Raises LrfaceError as ``open_embedder`` does."""
    spec = model if model.startswith("insightface:") else root / model
    return open_embedder(spec, device, declared=section.declared if model == section.model else None)


def check_data(recipe: Recipe, store: Store, split: Split, student: nn.Module, root: Path) -> None:
    """Check everything that does not need a teacher: labels, sides, batches, and the files of validation.

    Raises:
        LrfaceError: something does not fit; the message says what, and what to change.
    """
    check_labels(recipe, store, split)
    takes = preprocessing_of(recipe, store).input_size
    if int(student.input_size) != takes:  # type: ignore[arg-type]
        raise LrfaceError(
            f"the model {recipe.model.name} takes {student.input_size} px and the data of the recipe have {takes} px: "
            f"set model.kw.input_size={takes}"
        )
    if len(split.train) < recipe.optim.batch_size:
        raise LrfaceError(
            f"{len(split.train)} training images do not fill one batch of {recipe.optim.batch_size}: "
            "lower optim.batch_size"
        )
    if recipe.whiten is not None:
        check_network(student)
        if not len(chosen_images(split.labels)):
            raise LrfaceError("whiten: no training identity has two images, so nothing varies within them")
    if recipe.validation.images:
        if not recipe.validation.pairs:
            raise LrfaceError("validation.images needs validation.pairs, files with pairs over those images")
        Store(root / recipe.validation.images)
        for file in recipe.validation.pairs:
            read_pairs(root / file)


def check_labels(recipe: Recipe, store: Store, split: Split) -> None:
    """Raise LrfaceError if some faces have no label and no term of the recipe can use them."""
    if bool((split.labels < 0).any()) and not (recipe.loss.cosine or recipe.loss.crrcd):
        raise LrfaceError(
            f"{store.path} holds {int((split.labels < 0).sum())} faces of nobody in particular, and every term of the "
            "recipe needs to know who they are: add loss.cosine or loss.crrcd, or set data.unlabelled=false"
        )


def preprocessing_of(recipe: Recipe, store: Store) -> Preprocessing:
    """The preprocessing of the student. Raises LrfaceError if model and store differ in their low resolution."""
    size = int(recipe.model.kw.get("input_size", 16 if recipe.data.resolution == "low" else 112))
    if recipe.data.resolution == "high":
        return Preprocessing(input_size=size)
    if size != store.degradation.size:
        raise LrfaceError(
            f"the model takes {size} px and the store {store.path} holds {store.degradation.size} px: "
            "set model.kw.input_size, or data.low_size"
        )
    return Preprocessing(input_size=size, degradation=store.degradation)


def check_targets(
    recipe: Recipe, split: Split, root: Path, fingerprints: list[str], lengths: list[int], student: nn.Module
) -> None:
    """Check that the teachers' embeddings suit the losses.

    Args:
        recipe: a recipe with a teacher.
        split: the training images.
        root: the data root.
        fingerprints, lengths: of the teachers, and of their embeddings.
        student: the network.

    Raises:
        LrfaceError: the teachers' map belongs to other teachers or lengths, a loss cannot compare the lengths, or a method
            of ``loss.methods`` or one of its options is unknown.
    """
    section, own = recipe.teacher, int(student.embedding_dim)  # type: ignore[arg-type]
    assert section is not None
    if section.map:
        file = root / section.map
        mapping = TeacherMap.load(file)
        mapping.check(fingerprints, file)
        if [len(centre) for centre in mapping.centres] != lengths:
            wanted = [len(centre) for centre in mapping.centres]
            raise LrfaceError(f"{file} maps embeddings of the lengths {wanted}, and the teachers give {lengths}")
        dim = mapping.dim
    elif section.ensemble or section.centred:
        dim = min(own, sum(lengths))
    else:
        dim = lengths[0]
    check_lengths(recipe.loss, dim, own)
    if recipe.loss.methods:
        with torch.random.fork_rng(devices=[]):
            setting = Setting(Shape(embedding=own), Shape(embedding=dim), torch.from_numpy(split.labels))
            build_terms(recipe.loss.methods, setting, GIVEN)


def check_initial(recipe: Recipe, root: Path) -> None:
    """Raise LrfaceError if the initial weights do not exist."""
    from lrface.models import shipped

    initial = recipe.model.initial
    if initial and not shipped.find(initial) and not (root / initial).is_file():
        raise LrfaceError(f"no model at {root / initial}, model.initial of the recipe ({looked_in(root / initial)})")
