"""Sweep files: what they expand to, and what is refused."""

from pathlib import Path

import pytest

from lrface.errors import LrfaceError
from lrface.sweep.spec import load_sweep, recipe_of
from lrface.train.recipe import load_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def test_axes_are_combined(write_sweep):
    spec = load_sweep(write_sweep(axes={"optim.lr": [0.1, 0.2], "augment.flip": [True, False]}))
    assert spec.expand() == [
        {"optim.lr": 0.1, "augment.flip": True},
        {"optim.lr": 0.1, "augment.flip": False},
        {"optim.lr": 0.2, "augment.flip": True},
        {"optim.lr": 0.2, "augment.flip": False},
    ]


def test_each_point_with_each_combination(write_sweep):
    spec = load_sweep(write_sweep(axes={"optim.lr": [0.1, 0.2]}, points=[{"optim.epochs": 3}, {"optim.epochs": 1}]))
    assert [tuple(point.values()) for point in spec.expand()] == [(3, 0.1), (3, 0.2), (1, 0.1), (1, 0.2)]


def test_points_one_by_one(write_sweep):
    points = [{"optim.lr": 0.1, "optim.epochs": 3}, {"optim.lr": 0.2, "optim.epochs": 1}]
    assert load_sweep(write_sweep(axes=None, points=points)).expand() == points


def test_a_recipe_is_the_base_with_overrides_and_point_and_seed(write_sweep, tmp_path):
    spec = load_sweep(
        write_sweep(
            overrides={"optim.epochs": 7, "loss.cosine": {"weight": 3}, "teacher.model": "t.onnx"},
            axes={"loss.classification": [None, {"scale": 9}]},
        )
    )
    without, scaled = (
        recipe_of(tmp_path / "tiny.yaml", spec, point, 11, ("optim.batch_size=4",)) for point in spec.expand()
    )
    assert without.loss.classification is None
    assert (scaled.loss.classification.scale, scaled.loss.classification.margin) == (9, 0.5), (
        "the section replaces the recipe's, margin and all"
    )
    for recipe in (without, scaled):
        assert (recipe.optim.epochs, recipe.optim.batch_size, recipe.seed, recipe.name) == (7, 4, 11, "rates")
        assert recipe.loss.cosine.weight == 3
        assert recipe.data == load_recipe(tmp_path / "tiny.yaml").data


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axis": {}}, ["unknown key 'axis'", "did you mean 'axes'"]),
        ({"recipe": None}, ["the key 'recipe' is missing"]),
        ({"axes": None}, ["give axes or points"]),
        ({"axes": {"optim.lr": [1]}, "points": [{"optim.lr": 1}]}, ["optim.lr is both an axis and among the points"]),
        ({"axes": {"optim.lr": []}}, ["at least one value"]),
        ({"axes": {"optim.lr": [0.1, 0.1]}}, ["two points are the same"]),
        ({"axes": None, "points": [{"optim.lr": 1}, {"optim.epochs": 1}]}, ["the same keys", "optim.lr"]),
        ({"axes": {"seed": [1, 2]}}, ["seed", "give seeds"]),
        ({"overrides": {"optim.lr": 1}}, ["optim.lr", "both"]),
        ({"seeds": [5, 5]}, ["two seeds are the same"]),
        ({"seeds": []}, ["seeds"]),
        ({"seeds": ["a"]}, ["seeds.0"]),
        ({"figure": "rank1"}, ["figure", "'auc'"]),
        ({"name": "a/b"}, ["name"]),
    ],
)
def test_what_is_refused(write_sweep, changes, words):
    path = write_sweep(**changes)
    with pytest.raises(LrfaceError) as error:
        load_sweep(path)
    assert str(error.value).startswith(f"{path}: ")
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"axes": {"optim.epoch": [1, 2]}}, ["sweep rates", "optim.epoch", "did you mean 'epochs'"]),
        ({"axes": {"loss.crrcd.negative": [1, 2]}}, ["did you mean 'negatives'"]),
        ({"axes": {"optim.lr": [0.1, "much"]}}, ["optim.lr", "much"]),
        ({"overrides": {"data.holdout_identities": 0}}, ["no validation", "data.holdout_identities"]),
    ],
)
def test_points_that_no_recipe_takes(write_sweep, tmp_path, changes, words):
    spec = load_sweep(write_sweep(**changes))
    last = spec.expand()[-1]
    with pytest.raises(LrfaceError) as error:
        recipe_of(tmp_path / "tiny.yaml", spec, last, 5)
    assert all(word in str(error.value) for word in words), error.value


def test_a_sweep_that_is_not_there(tmp_path):
    with pytest.raises(LrfaceError, match="no such sweep"):
        load_sweep(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("figure", "epoch", "expected"),
    [("auc", "last", 0.6), ("auc", "best", 0.8), ("eer", "best", 0.2), ("eer", "last", 0.3), ("accuracy", "best", 0.7)],
)
def test_the_figure_of_a_run(write_sweep, figure, epoch, expected):
    history = [{"auc": 0.8, "eer": 0.2, "accuracy": 0.7}, {"auc": 0.6, "eer": 0.3, "accuracy": 0.5}]
    assert load_sweep(write_sweep(figure=figure, epoch=epoch)).value(history) == expected


def has(found, value):
    """Whether a key has a value; of a section, whether all that is given of it is there."""
    if not isinstance(value, dict):
        return found == value
    return all(has(found[key], each) for key, each in value.items())


@pytest.mark.parametrize("path", sorted(RECIPES.glob("ablation_*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("base", ["casia_r18_16px", "celeba_thin_16px"])
def test_the_ablations_fit_the_recipes(path, base):
    spec = load_sweep(path)
    assert spec.name == path.stem
    assert (RECIPES / spec.recipe).is_file()
    for point in spec.expand():
        recipe = recipe_of(RECIPES / f"{base}.yaml", spec, point, 5)
        for key, value in point.items():
            found = recipe.model_dump()
            for part in key.split("."):
                found = found[part]
            assert has(found, value)


def test_a_section_of_a_point_replaces_the_recipes(write_sweep, tmp_path):
    spec = load_sweep(
        write_sweep(
            overrides={"teacher.model": "t.onnx"}, axes={"loss": [{"classification": {}}, {"cosine": {"weight": 3}}]}
        )
    )
    plain, cosine = (recipe_of(tmp_path / "tiny.yaml", spec, point, 5).loss for point in spec.expand())
    assert plain.classification.margin == 0.5, "not the recipe's 0.2"
    assert (cosine.classification, cosine.cosine.weight) == (None, 3)
