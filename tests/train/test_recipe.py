"""The recipe: what is written is what runs, and what is wrong is named."""

from pathlib import Path

import pytest
import yaml

from lrface.errors import LrfaceError
from lrface.train.recipe import AugmentSection, Recipe, load_recipe, parse_recipe

SWEEPS = "ablation_"  # sweeps over recipes, which tests/sweep reads
RECIPES = sorted(
    path for path in (Path(__file__).parents[2] / "recipes").glob("*.yaml") if not path.name.startswith(SWEEPS)
)


def content(**sections):
    """A small recipe; ``sections`` replace its own."""
    return {"name": "small", "data": {"store": "faces"}, "loss": {"classification": {}}, **sections}


def refusal(recipe):
    with pytest.raises(LrfaceError) as error:
        parse_recipe(recipe, "small.yaml")
    assert str(error.value).startswith("small.yaml: ")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content()))
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_of_the_repository_are_valid(path):
    assert load_recipe(path).name == path.stem


def test_the_papers_recipe_says_what_the_paper_says():
    recipe = load_recipe(Path(__file__).parents[2] / "recipes" / "casia_r18_16px.yaml")
    assert (recipe.model.name, recipe.optim.batch_size, recipe.optim.lr, recipe.seed) == ("resnet18", 96, 0.05, 5)
    assert (recipe.optim.schedule, recipe.optim.milestones, recipe.optim.gamma) == ("step", (21, 28, 32), 0.1)
    assert (recipe.loss.kd.weight, recipe.loss.kd.temperature) == (0.5, 4)
    crrcd = recipe.loss.crrcd
    assert (crrcd.weight, crrcd.negatives, crrcd.temperature, crrcd.projected_dim) == (2, 512, 0.1, 128)
    assert (crrcd.queue, crrcd.sampling) == (True, "supervised")
    assert recipe.loss.classification is not None
    assert recipe.loss.cosine is None


def test_a_recipe_survives_being_written_into_a_checkpoint(path):
    recipe = load_recipe(
        path, ("optim.milestones=[1,2]", "augment.sides=[12,24]", "teacher.model=t.onnx", "loss.kd={}")
    )
    assert recipe.optim.milestones == (1, 2)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert parse_recipe(recipe.model_dump(mode="json"), "checkpoint") == recipe


@pytest.mark.parametrize(
    ("sections", "wrong", "right"),
    [
        ({"optimizer": {}}, "optimizer", "optim"),
        ({"optim": {"learning_rat": 1, "epochs": 1}}, "optim.learning_rat", None),
        ({"optim": {"epoch": 1}}, "optim.epoch", "epochs"),
        ({"optim": {"weight_decy": 1}}, "optim.weight_decy", "weight_decay"),
        ({"data": {"store": "x", "min_image": 2}}, "data.min_image", "min_images"),
        ({"loss": {"arcface": {}}}, "loss.arcface", None),
        ({"loss": {"crcd": {}}}, "loss.crcd", "crrcd"),
        ({"loss": {"crrcd": {"negative": 5}}, "teacher": {"model": "t"}}, "loss.crrcd.negative", "negatives"),
        ({"loss": {"kd": {"temprature": 5}}, "teacher": {"model": "t"}}, "loss.kd.temprature", "temperature"),
        ({"teacher": {"model": "t", "cache": True}}, "teacher.cache", "cached"),
    ],
)
def test_an_unknown_key_names_the_nearest(sections, wrong, right):
    text = refusal(content(**sections))
    assert f"unknown key {wrong!r}" in text
    assert (f"did you mean {right!r}?" in text) if right else ("known here: " in text)


@pytest.mark.parametrize(
    ("sections", "place", "given"),
    [
        ({"optim": {"epochs": "many"}}, "optim.epochs", "'many'"),
        ({"optim": {"epochs": 1.5}}, "optim.epochs", "1.5"),
        ({"optim": {"epochs": 0}}, "optim.epochs", "0"),
        ({"optim": {"lr": float("nan")}}, "optim.lr", "nan"),
        ({"optim": {"schedule": "steps"}}, "optim.schedule", "'steps'"),
        ({"optim": [1, 2]}, "optim", "[1, 2]"),
        ({"data": {"store": 5}}, "data.store", "5"),
        ({"loss": {"classification": {"kind": "arc"}}}, "loss.classification.kind", "'arc'"),
        ({"augment": {"sides": [12]}}, "augment.sides.1", "missing"),
        ({"precision": 16}, "precision", "16"),
    ],
)
def test_a_wrong_value_is_shown_with_its_place(sections, place, given):
    text = refusal(content(**sections))
    assert place in text
    assert given in text


@pytest.mark.parametrize(("key", "place"), [("name", "name"), ("data", "data"), ("loss", "loss")])
def test_a_missing_key_is_named(key, place):
    recipe = content()
    del recipe[key]
    assert f"the key {place!r} is missing" in refusal(recipe)
    assert "the key 'data.store' is missing" in refusal(content(data={}))


def test_all_faults_come_at_once():
    text = refusal(content(sed=3, optim={"epochs": "many"}))
    assert "'sed'" in text
    assert "optim.epochs" in text


@pytest.mark.parametrize("term", ["kd", "crrcd", "cosine"])
def test_a_distilling_term_needs_a_teacher(term):
    assert "need a teacher" in refusal(content(loss={term: {}}))
    parse_recipe(content(loss={term: {}}, teacher={"model": "t.onnx"}), "small.yaml")


def test_sections_that_contradict_each_other():
    assert "names no term" in refusal(content(loss={}))
    assert "resolution: low" in refusal(content(data={"store": "x", "resolution": "high"}, augment={"rotate": 3}))
    assert "validation.images" in refusal(content(validation={"pairs": ["pairs.txt"]}))


def test_only_flips_means_the_stored_pixels_serve():
    assert AugmentSection().only_flips
    assert AugmentSection(flip=False, probability=0.5, source_size=32).only_flips
    for key, value in {"rotate": 1, "sides": (12, 24), "noise": 0.1, "grey": 0.1, "erase": 0.1}.items():
        assert not AugmentSection(**{key: value}).only_flips


def test_overrides_come_last_and_in_order(path):
    recipe = load_recipe(path, ("optim.lr=0.5", "optim.lr=0.25", "loss.classification.margin=0.3", "name=other"))
    assert (recipe.optim.lr, recipe.loss.classification.margin, recipe.name) == (0.25, 0.3, "other")
    assert load_recipe(path).optim.lr == 0.05


@pytest.mark.parametrize("text", ["optim.lr", "=3", ".=3", "optim..lr=3", "optim.=3", "op tim=3", ""])
def test_a_malformed_override(path, text):
    with pytest.raises(LrfaceError, match=r"--set .*write it as section\.key=value"):
        load_recipe(path, (text,))


@pytest.mark.parametrize("text", ["optim.lr=[1", "optim.lr=*x"])
def test_an_override_that_is_not_yaml(path, text):
    with pytest.raises(LrfaceError, match="the value is not YAML"):
        load_recipe(path, (text,))


def test_an_override_of_a_value_as_a_section(path):
    with pytest.raises(LrfaceError, match=r"data\.store: .*string"):
        load_recipe(path, ("data.store.x=3",))
    with pytest.raises(LrfaceError, match=r"optim: .*dictionary"):
        load_recipe(path, ("optim=5",))


@pytest.mark.parametrize("text", ["a: [1", "a: 1\na: 2", "- a\n- b", "5", "a: ${nothing}", "\x00", "hello"])
def test_files_that_are_no_recipes(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(LrfaceError, match=r"broken\.yaml") as error:
        load_recipe(path)
    assert "\n" not in str(error.value)


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "image.yaml").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(LrfaceError, match=r"image\.yaml"):
        load_recipe(tmp_path / "image.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(LrfaceError, match="'name' is missing"):
        load_recipe(tmp_path / "empty.yaml")
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(LrfaceError, match="no such recipe"):
            load_recipe(path)


def test_interpolation(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content(name="faces-${seed}", seed=3)))
    assert load_recipe(path, ("seed=4",)).name == "faces-4"
