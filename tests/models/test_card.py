"""Cards and places of tensors, read without torch; what a card may not be is tested with the weights."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from lrface.errors import LrfaceError
from lrface.models import create, save_model
from lrface.models.card import TensorPlace, places_digest, read_header


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    module = create("resnet18", width=4, embedding_dim=8)
    save_model(tmp_path / "x.safetensors", module, {"preprocessing": {"input_size": 16}}, half=True)
    return tmp_path / "x.safetensors", module


def test_every_tensor_lies_where_it_is_said_to(model):
    path, module = model
    card, places = read_header(path)
    assert card["model"]["name"] == "resnet18"
    content = path.read_bytes()
    state = module.state_dict()
    assert set(places) == set(state)
    kinds = {"F16": np.float16, "F32": np.float32, "I64": np.int64}
    for name, place in places.items():
        found = np.frombuffer(content[place.offset : place.offset + place.length], kinds[place.dtype])
        assert place.shape == tuple(state[name].shape)
        np.testing.assert_array_equal(found.reshape(place.shape), state[name].numpy().astype(found.dtype))


def test_the_digest_names_places_and_not_contents():
    places = {"a": TensorPlace("F16", (2, 3), 100, 12), "b": TensorPlace("F32", (4,), 112, 16)}
    digest = places_digest(places)
    assert digest == places_digest(dict(reversed(places.items())))
    for change in ({"dtype": "F32"}, {"shape": (3, 2)}, {"offset": 101}, {"length": 11}):
        assert places_digest(places | {"a": places["a"]._replace(**change)}) != digest


@pytest.mark.parametrize("content", [b"", b"\5", b"\xff" * 20, (10).to_bytes(8, "little") + b"{}"])
def test_files_that_are_none(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(LrfaceError, match=r"x\.safetensors is not a whole safetensors file"):
        read_header(tmp_path / "x.safetensors")


def test_a_cut_file(model):
    path, _ = model
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(LrfaceError, match="not a whole safetensors file"):
        read_header(path)


def test_no_file(tmp_path):
    with pytest.raises(LrfaceError, match=r"none\.safetensors"):
        read_header(tmp_path / "none.safetensors")


def test_torch_is_not_needed(model):
    code = "import sys; from lrface.models.card import read_header; read_header(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(model[0])], check=True, timeout=120)
