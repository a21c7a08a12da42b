"""A student that begins with another one's weights, at the same side or a larger one."""

import pytest
import torch
import torch.nn.functional as F

from lrface.errors import LrfaceError
from lrface.models import create, save_model
from lrface.models.preprocessing import Preprocessing
from lrface.train.initial import begin_with

KW = {"width": 4, "embedding_dim": 8}


@pytest.fixture
def file(tmp_path):
    """A model of 16 px whose norms have statistics."""
    torch.manual_seed(0)
    model = create("resnet18", **KW)
    with torch.no_grad():
        model(torch.randn(8, 3, 16, 16))
    save_model(tmp_path / "low.safetensors", model, {"preprocessing": Preprocessing(16).as_dict()})
    return tmp_path, model.eval()


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_student_begins_as_the_other_on_the_reduced_image(file, stride):
    root, low = file
    student = create("resnet18", stride=stride, input_size=16 * stride, **KW)
    begin_with(student, "low.safetensors", root)
    images = torch.randn(3, 3, 16 * stride, 16 * stride)
    with torch.no_grad():
        torch.testing.assert_close(student.eval()(images), low(F.avg_pool2d(images, stride)), atol=1e-4, rtol=1e-4)


def test_another_architecture_is_named(file):
    root, _ = file
    with pytest.raises(LrfaceError, match="another architecture"):
        begin_with(create("resnet18", width=8, embedding_dim=8), "low.safetensors", root)
    with pytest.raises(LrfaceError, match="no model file"):
        begin_with(create("resnet18", **KW), "missing.safetensors", root)


def test_a_stem_can_only_grow_by_whole_factors(file):
    root, _ = file
    wide = create("resnet18", stride=2, input_size=32, **KW)
    save_model(root / "wide.safetensors", wide, {"preprocessing": Preprocessing(32).as_dict()})
    with pytest.raises(LrfaceError, match="multiple"):
        begin_with(create("resnet18", stride=3, input_size=48, **KW), "wide.safetensors", root)
