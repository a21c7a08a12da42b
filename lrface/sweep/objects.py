"""Facts about object recipes for a sweep: the data that they depend on, and their number of training pictures."""

from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import looked_in
from lrface.objects.data import Pictures
from lrface.objects.recipe import ObjectData, ObjectRecipe, read_part
from lrface.reporting.fingerprint import FileDigests


class ObjectSets:
    """The sets of a sweep's recipes. Each is read once.

    Args:
        root: the data root.
        files: digests of the teachers' files.
    """

    def __init__(self, root: Path, files: FileDigests) -> None:
        self._root, self._files = root, files
        self._known: dict[str, tuple[str, int]] = {}

    def facts(self, recipe: ObjectRecipe) -> dict[str, Any]:
        """Digests of the data and of the teacher that a recipe names.

        Raises:
            LrfaceError: something is missing.
        """
        found: dict[str, Any] = {"train": self._of(recipe, "train")[0], "test": self._of(recipe, "test")[0]}
        if recipe.teacher is not None and recipe.teacher.file:
            path = self._root / recipe.teacher.file
            if not path.is_file():
                raise LrfaceError(f"no such file: {path}, which the recipe names ({looked_in(path)})")
            found["teacher"] = self._files.of(path)
        return found

    def set_facts(self, name: str) -> list[str]:
        """Digests of the set of a linear probe.

        Raises:
            LrfaceError: it is missing.
        """
        data = ObjectData(set=name)  # type: ignore[arg-type]
        return [self._read(data, split)[0] for split in ("train", "test")]

    def images(self, recipe: ObjectRecipe) -> int:
        """Number of training pictures over all epochs, without the preliminary stage and the teacher's training."""
        classes, total = self._classes(recipe), self._of(recipe, "train")[1]
        steps = (total - classes * recipe.data.holdout) // recipe.optim.batch_size
        return recipe.optim.epochs * steps * recipe.optim.batch_size

    def _of(self, recipe: ObjectRecipe, split: str) -> tuple[str, int]:
        return self._read(recipe.data, split)

    def _read(self, data: ObjectData, split: str) -> tuple[str, int]:
        key = f"{data.set} {data.path} {data.per_class} {data.classes} {split}"
        if key not in self._known:
            pictures: Pictures = read_part(data, self._root, split)
            self._known[key] = pictures.fingerprint, len(pictures)
            self._known[f"{data.set} {data.path} {data.classes} classes"] = "", len(pictures.names)
        return self._known[key]

    def _classes(self, recipe: ObjectRecipe) -> int:
        self._of(recipe, "train")
        return self._known[f"{recipe.data.set} {recipe.data.path} {recipe.data.classes} classes"][1]


def budget_of(recipe: ObjectRecipe, images: int) -> str:
    """The training budget of a run in words, for the report.

    Args:
        recipe: of the run.
        images: number of training pictures over all epochs.
    """
    data, optim, teacher = recipe.data, recipe.optim, recipe.teacher
    networks = recipe.model.name
    if teacher is not None and recipe.loss.teaches:
        networks += f" under {teacher.network or Path(str(teacher.file)).parent.name}"
    parts = [
        networks,
        f"{data.classes} classes of {data.set}" if data.classes else data.set,
        f"{data.low or data.side} px" if data.low or data.side else "the set's own pixels",
        f"{optim.epochs} epoch{'s' * (optim.epochs > 1)} of {images // optim.epochs:,} pictures",
        f"batch {optim.batch_size}",
    ]
    return ", ".join(parts)
