"""What headers tell is compared before a teacher embeds anything."""

import pytest

from lrface.errors import LrfaceError
from lrface.train import teach
from lrface.train.preflight import Preflight
from lrface.train.run import train

WRONG = [
    ({"loss": {"cosine": {}}, "model": {"kw": {"embedding_dim": 24}}}, "loss.cosine compares embeddings of equal length"),
    ({"model": {"name": "iresnet18", "kw": {"width": 2}}}, r"takes 112 px and the data of the recipe have 16 px"),
    ({"model": {"kw": {"input_size": 24}}}, "the model takes 24 px and the store"),
    ({"loss": {"methods": {"no_method": {}}}}, "unknown distillation method"),
    ({"optim": {"batch_size": 64}}, "do not fill one batch of 64"),
    ({"validation": {"images": "nowhere", "pairs": ["pairs.txt"]}}, "no store at"),
    ({"validation": {"images": "faces", "pairs": ["gone.txt"]}}, "cannot read .*gone.txt"),
    ({"teacher": {"model": "nowhere.onnx"}}, "no model at"),
    ({"teacher": {"map": "nowhere.safetensors"}}, "no teacher map at"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_does_not_fit_is_said_before_anything_is_embedded(
    data_root, recipe, tmp_path, monkeypatch, changes, message
):
    def embed(*arguments, **options):
        raise AssertionError("the teacher was asked to embed the store")

    monkeypatch.setattr(teach, "cached_embeddings", embed)
    wrong = recipe(**changes)
    with pytest.raises(LrfaceError, match=message):
        Preflight(data_root).check(wrong)
    with pytest.raises(LrfaceError, match=message):
        train(wrong, tmp_path / "run", data_root, "cpu")
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_fits_passes(data_root, recipe):
    Preflight(data_root).check(recipe())


def test_initial_weights_that_are_not_there(data_root, recipe):
    with pytest.raises(LrfaceError, match=r"no model at .*gone, model\.initial of the recipe \(looked in"):
        Preflight(data_root).check(recipe(model={"initial": "gone"}))
