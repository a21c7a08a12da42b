import subprocess
import sys

import pytest
import torch

from lrface.errors import LrfaceError
from lrface.models import create, names, spec_of


def test_names():
    assert names() == ["iresnet100", "iresnet18", "iresnet34", "iresnet50", "mobilefacenet", "resnet16", "resnet18"]


@pytest.mark.parametrize(
    ("name", "kw", "message"),
    [
        ("resnet81", {}, "unknown model 'resnet81': did you mean 'resnet18'"),
        ("iresnet_50", {}, "did you mean 'iresnet50'"),
        ("vit", {}, "known: iresnet100, iresnet18"),
        ("resnet18", {"embeding_dim": 512}, "no keyword 'embeding_dim': did you mean 'embedding_dim'"),
        ("iresnet50", {"stem": "native"}, "iresnet50 has no keyword 'stem'"),
        ("iresnet50", {"depths": (1, 1, 1, 1)}, "no keyword 'depths'"),
        ("resnet18", {"stem": "upsampel"}, "resnet18: stem must be one of native, upsample"),
        ("resnet18", {"width": 0}, "width must be an integer of at least 1, not 0"),
        ("resnet18", {"embedding_dim": "512"}, "embedding_dim must be an integer of at least 1, not '512'"),
        ("resnet18", {"embedding_dim": True}, "embedding_dim must be an integer"),
        ("resnet18", {"input_size": 7}, "input_size must be an integer of at least 8, not 7"),
        ("iresnet18", {"input_size": 15}, "input_size must be an integer of at least 16, not 15"),
        ("iresnet18", {"dropout": 1.0}, r"dropout must be a number in \[0, 1\), not 1.0"),
        ("iresnet18", {"dropout": float("nan")}, "dropout must be a number"),
    ],
)
def test_mistakes_are_named(name, kw, message):
    with pytest.raises(LrfaceError, match=message) as caught:
        create(name, **kw)
    assert "\n" not in str(caught.value)


def test_spec_rebuilds_the_model_with_defaults_written_out():
    model = create("resnet18", width=4, stem="upsample")
    spec = spec_of(model)
    assert spec.name == "resnet18"
    assert spec.kw == {
        "stem": "upsample",
        "stride": 1,
        "width": 4,
        "embedding_dim": 512,
        "input_size": 16,
        "dropout": 0.0,
    }
    again = create(spec.name, **spec.kw)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}


def test_same_seed_same_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        states.append(create("resnet18", width=4, embedding_dim=8).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_spec_of_something_else_is_refused():
    with pytest.raises(LrfaceError, match=r"Linear was not made by lrface.models.create"):
        spec_of(torch.nn.Linear(1, 1))
    with pytest.raises(LrfaceError, match="unwrap it"):
        spec_of(torch.nn.DataParallel(create("resnet18", width=4)))


def test_import_sets_no_globals():
    code = """
import torch

def state():
    return torch.get_num_threads(), torch.initial_seed(), torch.get_default_dtype(), torch.is_grad_enabled()

before = state()
import lrface.models
assert state() == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)
