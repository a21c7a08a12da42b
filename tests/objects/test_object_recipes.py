"""The recipes that come with the package are valid, and every method of their sweeps can be built."""

from pathlib import Path

import pytest
import yaml

from lrface.losses.registry import methods
from lrface.objects.networks import create_network
from lrface.objects.recipe import parse_object_recipe
from lrface.suite.object_tables import published_column
from lrface.sweep.spec import load_sweep, recipe_of

FOLDER = Path(__file__).parents[2] / "recipes" / "objects"
PUBLISHED = Path(__file__).parents[2] / "benchmarks" / "published"
TABLES = [FOLDER / "cifar100_peer.yaml", FOLDER / "cifar100_cross.yaml"]
SWEEPS = sorted([*FOLDER.glob("*_methods.yaml"), *TABLES])
TRANSFER = FOLDER / "transfer.yaml"
RECIPES = sorted(set(FOLDER.glob("*.yaml")) - {*SWEEPS, TRANSFER})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe(path):
    found = parse_object_recipe(yaml.safe_load(path.read_text()), str(path))
    assert found.name == path.stem
    create_network(found.model.name, 2)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweep(path):
    spec = load_sweep(path)
    assert spec.name == path.stem
    seen = set()
    for point in spec.expand():
        loss = recipe_of(path.parent / spec.recipe, spec, point, 5).loss
        seen |= set(loss.methods) | {name for name in ("kd", "crrcd") if getattr(loss, name)}
        seen |= set() if loss.teaches else {"none"}
    assert seen == {*methods(), "kd", "crrcd", "none"}


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_a_table_has_a_published_column_for_each_pair_and_a_network_for_each_name(path):
    spec = load_sweep(path)
    pairs = {(point["teacher.network"], point["model.name"]) for point in spec.expand()}
    for names in pairs:
        assert published_column(PUBLISHED, f"{spec.published} {'>'.join(names)}")
        for name in names:
            create_network(name, 2)
    assert len(spec.expand()) == len(pairs) * 18


def test_transfer():
    spec = load_sweep(TRANSFER)
    assert spec.probes == ["stl10", "tinyimagenet"]
    for point in spec.expand():
        found = recipe_of(FOLDER / spec.recipe, spec, point, 5)
        assert (found.model.name, found.data.set) == ("shufflenet_v1", "cifar100")


def test_the_paper_schedule_keeps_to_the_letter():
    for name in ("cifar100_paper", "svhn_8px"):
        optim = parse_object_recipe(yaml.safe_load((FOLDER / f"{name}.yaml").read_text()), name).optim
        assert (optim.batch_size, optim.lr, optim.milestones, optim.gamma) == (96, 0.05, (21, 28, 32), 0.1)
