"""The files that install lrface agree with each other."""

import re
from pathlib import Path

import pytest
import tomllib
import yaml

from lrface.train.recipe import load_recipe

ROOT = Path(__file__).parent.parent
CONDA_NAMES = {"torch": "pytorch"}


def requirement(text: str) -> tuple[str, str]:
    """``pandas>=2.1`` as name and range."""
    found = re.fullmatch(r"([A-Za-z0-9_.-]+)(.*)", text.strip())
    assert found, text
    return CONDA_NAMES.get(found[1], found[1]), found[2]


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def conda() -> dict[str, str]:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    plain = [item for item in listed if isinstance(item, str)]
    pip = next(item["pip"] for item in listed if isinstance(item, dict))
    return dict(requirement(item) for item in [*plain, *pip] if not item.startswith("--"))


def test_environment_names_what_pyproject_names(project: dict, conda: dict[str, str]) -> None:
    extras = project["optional-dependencies"]
    for text in [*project["dependencies"], *extras["train"], *extras["insightface"]]:
        name, wanted = requirement(text)
        assert conda.get(name) == wanted, f"environment.yml has {name}{conda.get(name)}, pyproject.toml {name}{wanted}"


def test_environment_names_nothing_that_pyproject_does_not(project: dict, conda: dict[str, str]) -> None:
    extras = project["optional-dependencies"]
    known = {requirement(text)[0] for group in [project["dependencies"], *extras.values()] for text in group}
    assert set(conda) - known <= {"python", "pip", "faiss-gpu"}


def test_faiss_builds_are_separate_choices(project: dict, conda: dict[str, str]) -> None:
    extras = project["optional-dependencies"]
    for name, group in extras.items():
        builds = {requirement(text)[0] for text in group if requirement(text)[0].startswith("faiss")}
        assert len(builds) <= 1, name
    assert not any(requirement(text)[0].startswith("faiss") for text in project["dependencies"])
    assert "faiss-gpu" in conda
    assert "faiss-cpu" not in conda


def test_conda_python_is_the_projects(project: dict, conda: dict[str, str]) -> None:
    assert conda["python"] == project["requires-python"]


RECIPES = sorted(path for path in (ROOT / "recipes").glob("*.yaml") if not path.name.startswith("ablation_"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_named_as_its_file(path: Path) -> None:
    assert load_recipe(path).name == path.stem


def test_paper_recipe_keeps_to_the_letter() -> None:
    recipe = load_recipe(ROOT / "recipes" / "casia_r18_16px.yaml")
    assert (recipe.optim.batch_size, recipe.optim.lr, recipe.optim.milestones, recipe.optim.gamma) == (
        96,
        0.05,
        (21, 28, 32),
        0.1,
    )
    assert recipe.seed == 5
    kd, crrcd = recipe.loss.kd, recipe.loss.crrcd
    assert kd is not None
    assert crrcd is not None
    assert (kd.weight, kd.temperature) == (0.5, 4)
    assert (crrcd.weight, crrcd.temperature, crrcd.negatives, crrcd.projected_dim) == (2, 0.1, 512, 128)
    assert (crrcd.sampling, crrcd.queue) == ("supervised", True)
