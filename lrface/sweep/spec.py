"""The schema of a sweep file: a base recipe, the overrides of all runs, and the keys in which they differ."""

import itertools
import json
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from lrface.errors import LrfaceError
from lrface.objects.recipe import ObjectRecipe, is_object_recipe, parse_object_recipe
from lrface.train.recipe import Recipe, parse_recipe
from lrface.train.schema import Section, parse, read_yaml

ProbeSet = Literal["shapes", "cifar100", "svhn", "stl10", "tinyimagenet"]
Figure = Literal["accuracy", "auc", "eer", "test", "shapes", "cifar100", "svhn", "stl10", "tinyimagenet"]
#: Dotted keys of a recipe and their values.
Point = dict[str, Any]


class SweepSpec(Section):
    """One sweep. Keys of the recipe are written with dots: ``loss.crrcd.negatives``."""

    name: str = Field(pattern=r"^[\w.-]+$")  # also the name of the results folder
    description: str = ""
    recipe: str  # relative to the sweep file
    overrides: Point = Field(default_factory=dict)  # for every run
    # key -> its values; every combination is a point. A whole section among the values replaces the recipe's.
    axes: dict[str, list[Any]] = Field(default_factory=dict)
    points: list[Point] = Field(
        default_factory=list
    )  # a list of points; with axes: each with every combination of these
    seeds: list[int] = Field(default=[5], min_length=1)
    figure: Figure = (
        # Of the recipe's validation; objects: accuracy, test (on the test set at the end), or a set of the probes.
        "auc"
    )
    probes: list[ProbeSet] = Field(default_factory=list)  # objects: sets for linear probes of each network's features
    # "TABLE COLUMN" of benchmarks/published, whose numbers the report shows next to these. With "TABLE" alone, the points'
    # networks name the columns: teacher>student.
    published: str | None = None
    # Epoch whose figure counts; the best of many epochs is slightly too optimistic.
    epoch: Literal["last", "best"] = "last"

    @model_validator(mode="after")
    def _agree(self) -> "SweepSpec":
        if not self.axes and not self.points:
            raise ValueError("give axes or points")
        twice = sorted(self.axes.keys() & {key for point in self.points for key in point})
        if twice:
            raise ValueError(f"{twice[0]} is both an axis and among the points")
        if self.figure in get_args(ProbeSet) and self.figure not in self.probes:
            raise ValueError(f"figure {self.figure} is of a linear probe: name the set under probes")
        if any(not values for values in self.axes.values()):
            raise ValueError("an axis needs at least one value")
        points = self.expand()
        for what, key in (("axes or points", "seed"), ("axes or points", "name"), ("overrides", "seed")):
            if key in (points[0] if what != "overrides" else self.overrides):
                raise ValueError(f"{key} cannot be among the {what}" + (": give seeds" if key == "seed" else ""))
        for point in points:
            if point.keys() != points[0].keys():
                raise ValueError(f"all points must set the same keys ({', '.join(points[0])})")
            twice = sorted(point.keys() & self.overrides.keys())
            if twice:
                raise ValueError(f"{twice[0]} is both among the overrides and swept over")
        for what, values in (("points", points), ("seeds", self.seeds)):
            written = [json.dumps(value, sort_keys=True, default=str) for value in values]
            if len(set(written)) != len(written):
                raise ValueError(f"two {what} are the same")
        return self

    def expand(self) -> list[Point]:
        """The points in order. The last axis changes fastest."""
        grid = [dict(zip(self.axes, values, strict=True)) for values in itertools.product(*self.axes.values())]
        return [point | values for point in self.points or [{}] for values in grid]

    def value(self, history: list[dict[str, float]]) -> float:
        """The figure of a run.

        Args:
            history: validation results of the run, one entry per epoch.
        """
        values = [entry[self.figure] for entry in history if self.figure in entry]
        if self.epoch == "last":
            return values[-1]
        return min(values) if self.figure == "eer" else max(values)


def load_sweep(path: str | Path) -> SweepSpec:
    """Read a sweep file.

    Raises:
        LrfaceError: the file is missing or not YAML, or a key is unknown, mistyped or missing.
    """
    return parse(SweepSpec, read_yaml(path, "sweep"), str(path))


def recipe_of(
    base: Path, spec: SweepSpec, point: Point, seed: int, extra: tuple[str, ...] = ()
) -> Recipe | ObjectRecipe:
    """The recipe of one run.

    Args:
        base: file of the base recipe.
        spec: the sweep.
        point: one of ``spec.expand()``.
        seed: of the run.
        extra: ``section.key=value`` for all runs. They replace the sweep's overrides, and the point's values replace them.

    Raises:
        LrfaceError: a key or a value is wrong, or the recipe has no validation to compare by.
    """
    changes = (*_dotted(spec.overrides), *extra, *_emptied(point), *_dotted(point), f"seed={seed}", f"name={spec.name}")
    try:
        content = read_yaml(base, "recipe", changes)
        if is_object_recipe(content):
            return _object_recipe(parse_object_recipe(content, str(base)), spec)
        recipe = parse_recipe(content, str(base))
    except LrfaceError as error:
        raise LrfaceError(f"sweep {spec.name}: {error}") from error
    if spec.figure == "test" or spec.probes:
        what = "probes are" if spec.probes else "figure test is"
        raise LrfaceError(f"sweep {spec.name}: {what} for objects: faces are measured by lrface benchmark")
    if not (recipe.data.holdout_identities or recipe.validation.images):
        raise LrfaceError(f"{base} has no validation to compare by: set data.holdout_identities or validation.images")
    return recipe


def _object_recipe(recipe: ObjectRecipe, spec: SweepSpec) -> ObjectRecipe:
    if spec.figure in ("auc", "eer"):
        raise LrfaceError(f"figure {spec.figure} is for faces: choose accuracy, test or a set of probes")
    if spec.figure == "accuracy" and not recipe.data.holdout:
        raise LrfaceError("figure accuracy is of held-out pictures: set data.holdout, or choose the figure test")
    return recipe


def _emptied(point: Point) -> list[str]:
    """Take away the recipe's sections that a point gives as a whole; otherwise both would be merged."""
    return [f"{key}=null" for key, value in point.items() if isinstance(value, dict)]


def _dotted(values: Point) -> list[str]:
    return [f"{key}={json.dumps(value, default=str)}" for key, value in values.items()]
