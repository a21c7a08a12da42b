"""The runs of a sweep and their folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.files import looked_in
from lrface.objects.recipe import ObjectRecipe
from lrface.reporting.fingerprint import FileDigests, digest
from lrface.reporting.style import slug
from lrface.sweep.objects import ObjectSets
from lrface.sweep.spec import Point, SweepSpec, recipe_of
from lrface.train.recipe import Recipe
from lrface.train.split import split_store


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        point: values of the keys in which the runs differ.
        seed: of the run.
        recipe: the full recipe.
        folder: of the run, named after the point and the key.
        key: digest of the recipe and of the data. Runs with different keys are different runs.
        images: number of training images over all epochs.
    """

    point: Point
    seed: int
    recipe: Recipe | ObjectRecipe
    folder: Path
    key: str
    images: int


def plan_runs(spec: SweepSpec, base: Path, out: Path, root: Path, extra: tuple[str, ...] = ()) -> list[Run]:
    """The runs in order: all points with the first seed, then with the next seed.

    Args:
        spec: the sweep.
        base: file of the base recipe.
        out: folder of the sweep's results.
        root: the data root.
        extra: overrides from the command line.

    Raises:
        LrfaceError: a recipe is wrong, or its data are missing.
    """
    files = FileDigests(out / "cache" / "digests.json")
    stores: dict[str, Store] = {}
    pairs = [(point, seed) for seed in spec.seeds for point in spec.expand()]
    recipes = [
        recipe_of(base, spec, point, seed, extra) for point, seed in pairs
    ]  # check all recipes before data are read
    runs = []
    objects = ObjectSets(root, files)
    for (point, seed), recipe in zip(pairs, recipes, strict=True):
        if isinstance(recipe, ObjectRecipe):
            facts, images = objects.facts(recipe), objects.images(recipe)
        else:
            facts, images = _faces(recipe, root, stores, files)
        probes = {name: objects.set_facts(name) for name in spec.probes}
        key = digest([recipe.model_dump(exclude={"name", "description"}), facts, *([probes] if probes else [])])
        folder = out / "runs" / f"{slug(f'{point_name(point)} seed {seed}')[:80]}-{key[:8]}"
        runs.append(Run(point, seed, recipe, folder, key, images))
    return runs


def _faces(recipe: Recipe, root: Path, stores: dict[str, Store], files: FileDigests) -> tuple[dict[str, Any], int]:
    """Digests of the data of a face recipe, and its number of training images over all epochs."""
    for name in filter(None, (recipe.data.store, recipe.validation.images)):
        stores[name] = stores.get(name) or Store(root / name)
    facts = _data(recipe, root, stores, files)
    split = split_store(stores[recipe.data.store], recipe.data)
    batches = len(split.train) // recipe.optim.batch_size
    return facts, recipe.optim.epochs * batches * recipe.optim.batch_size


def _data(recipe: Recipe, root: Path, stores: dict[str, Store], files: FileDigests) -> dict[str, Any]:
    """Digests of the files and stores that a recipe names."""
    teachers = [recipe.teacher.model, *recipe.teacher.ensemble] if recipe.teacher else []
    named = [*recipe.validation.pairs, *(teacher for teacher in teachers if not teacher.startswith("insightface:"))]
    absent = [name for name in named if not (root / name).exists()]
    if absent:
        raise LrfaceError(f"no such file: {root / absent[0]}, which the recipe names ({looked_in(root / absent[0])})")
    return {
        "stores": {name: stores[name].fingerprint for name in (recipe.data.store, recipe.validation.images) if name},
        "files": {name: files.of(root / name) for name in named},
    }


def point_name(point: Point) -> str:
    """A point in words: ``negatives 64, temperature 0.1``."""
    return ", ".join(f"{short} {value_name(point[key])}" for key, short in short_names(list(point)).items())


def short_names(keys: list[str]) -> dict[str, str]:
    """Each key with its shortest unique ending: ``negatives``, or ``kd.weight`` if there is also ``crrcd.weight``."""
    result = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        unique = (end for end in ends if not any(other != key and f".{other}".endswith(f".{end}") for other in keys))
        result[key] = next(unique, key)
    return result


def value_name(value: Any) -> str:
    """A value as it is written in recipes."""
    if value is None:
        return "none"
    if isinstance(value, dict):  # a whole section: its keys and their values
        return " + ".join(f"{key} {value_name(each)}".rstrip() for key, each in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)
