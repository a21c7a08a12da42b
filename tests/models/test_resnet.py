import pytest
import torch
import torchvision

from lrface.errors import LrfaceError
from lrface.models import create, describe


def test_zero_arguments_make_the_students_shapes():
    model = create("resnet18")
    assert (model.input_size, model.embedding_dim, model.stem) == (16, 512, "native")
    assert model.conv1.weight.shape == (64, 3, 3, 3)
    assert model.fc.weight.shape == (512, 512 * 2 * 2)
    with torch.no_grad():
        assert model(torch.randn(2, 3, 16, 16)).shape == (2, 512)


def test_trunk_has_the_names_and_shapes_of_torchvision():
    """With torchvision's own stem the two trunks are interchangeable; only the heads differ."""
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    ours = create("resnet18", stem="upsample").state_dict()
    trunk = {name: value.shape for name, value in ours.items() if not name.startswith(("fc.", "features."))}
    assert trunk == {name: value.shape for name, value in theirs.items() if not name.startswith("fc.")}


def test_upsample_stem_is_torchvision_on_an_enlarged_image():
    torch.manual_seed(0)
    model = create("resnet18", stem="upsample").eval()
    reference = torchvision.models.resnet18(weights=None).eval()
    trunk = {name: value for name, value in model.state_dict().items() if not name.startswith(("fc.", "features."))}
    reference.load_state_dict(trunk, strict=False)
    maps = {}
    reference.layer4.register_forward_hook(lambda _m, _i, out: maps.update(theirs=out))
    model.layer4.register_forward_hook(lambda _m, _i, out: maps.update(ours=out))
    x = torch.randn(2, 3, 16, 16)
    enlarged = _enlarge(x, 112)
    with torch.no_grad():
        embedding = model(x)
        reference(enlarged)
    assert maps["ours"].shape == (2, 512, 4, 4)
    torch.testing.assert_close(maps["ours"], maps["theirs"], rtol=1e-3, atol=1e-4)
    assert embedding.shape == (2, 512)


def _enlarge(x: torch.Tensor, size: int) -> torch.Tensor:
    """Bilinear with half-pixel centres and clamped borders, one axis at a time, as a matrix."""
    n = x.shape[-1]
    place = ((torch.arange(size, dtype=torch.float64) + 0.5) * n / size - 0.5).clamp(0, n - 1)
    weights = (1 - (place[:, None] - torch.arange(n, dtype=torch.float64)).abs()).clamp(min=0)
    return torch.einsum("oh,bchw,pw->bcop", weights, x.double(), weights).float()


@pytest.mark.parametrize(("size", "side"), [(8, 1), (12, 2), (14, 2), (16, 2), (20, 3), (24, 3), (32, 4)])
def test_native_head_follows_the_input_size(size, side):
    model = create("resnet18", width=4, embedding_dim=10, input_size=size)
    assert model.fc.in_features == 32 * side * side
    with torch.no_grad():
        assert model(torch.randn(2, 3, size, size)).shape == (2, 10)


@pytest.mark.parametrize("size", [8, 16, 24])
def test_upsample_head_does_not_depend_on_the_input_size(size):
    model = create("resnet18", stem="upsample", width=4, embedding_dim=10, input_size=size).eval()
    assert model.fc.in_features == 32 * 4 * 4
    with torch.no_grad():
        assert model(torch.randn(1, 3, size, size)).shape == (1, 10)


@pytest.mark.parametrize("stem", ["native", "upsample"])
def test_evaluation_is_deterministic_and_does_not_depend_on_the_batch(stem):
    torch.manual_seed(0)
    model = create("resnet18", stem=stem, width=8, embedding_dim=16)
    with torch.no_grad():
        model(torch.randn(16, 3, 16, 16))  # running statistics away from their first values
        model.eval()
        x = torch.randn(5, 3, 16, 16)
        together = model(x)
        assert torch.equal(together, model(x))
        alone = torch.cat([model(face[None]) for face in x])
        shuffled = model(x.flip(0)).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together, shuffled, rtol=1e-4, atol=1e-5)


def test_channels_last_gives_the_same_embedding():
    torch.manual_seed(0)
    model = create("resnet18", width=8, embedding_dim=16).eval()
    x = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        usual = model(x)
        model = model.to(memory_format=torch.channels_last)
        torch.testing.assert_close(model(x.contiguous(memory_format=torch.channels_last)), usual, rtol=1e-4, atol=1e-5)


def test_input_is_left_alone():
    model = create("resnet18", width=4, embedding_dim=8)
    x = torch.randn(4, 3, 16, 16)
    before = x.clone()
    model(x)
    assert torch.equal(x, before)


def test_every_parameter_gets_a_gradient():
    model = create("resnet18", width=4, embedding_dim=8)
    (model(torch.randn(4, 3, 16, 16)) * torch.randn(4, 8)).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_another_image_size_is_refused():
    with pytest.raises(LrfaceError, match=r"\[B, 3, 16, 16\], not \[1, 3, 112, 112\]"):
        create("resnet18", width=4)(torch.zeros(1, 3, 112, 112))


def test_cost_of_the_student():
    """Multiply-accumulates counted layer by layer: (output side, output channels, input channels, kernel side)."""
    layers = [(16, 64, 3, 3)] + [(16, 64, 64, 3)] * 4
    for side, channels in ((8, 128), (4, 256), (2, 512)):
        layers += [(side, channels, channels // 2, 3), (side, channels, channels // 2, 1)]
        layers += [(side, channels, channels, 3)] * 3
    macs = sum(side * side * out * into * kernel * kernel for side, out, into, kernel in layers) + 2048 * 512
    weights = sum(out * into * kernel * kernel for _, out, into, kernel in layers) + 2048 * 512
    norms = 2 * (64 * 5 + 128 * 5 + 256 * 5 + 512 * 5 + 512)
    cost = describe(create("resnet18"), 16)
    assert cost.macs == macs
    assert cost.parameters == weights + norms


def test_describe_keeps_mode_and_statistics():
    model = create("resnet18", width=4)
    before = model.bn1.running_mean.clone()
    describe(model, 16)
    assert model.training
    assert torch.equal(model.bn1.running_mean, before)
    describe(model.eval(), 16)
    assert not model.training


def test_the_four_stages_may_have_widths_of_their_own():
    model = create("resnet18", width=[4, 5, 6, 7], embedding_dim=8)
    assert [model.conv1.out_channels, *(stage[-1].conv2.out_channels for stage in _stages(model))] == [4, 4, 5, 6, 7]
    assert model.fc.in_features == 7 * 2 * 2
    doubled = create("resnet18", width=(4, 8, 16, 32), embedding_dim=8).state_dict()
    usual = create("resnet18", width=4, embedding_dim=8).state_dict()
    assert {name: value.shape for name, value in doubled.items()} == {n: value.shape for n, value in usual.items()}


def test_the_small_student():
    model = create("resnet16")
    assert [len(stage) for stage in _stages(model)] == [1, 2, 2, 2]
    cost = describe(model, 16)
    assert (cost.parameters, cost.macs) == (1_292_128, 20_815_872)  # the goal is 1.5 M
    with torch.no_grad():
        assert model.eval()(torch.randn(2, 3, 16, 16)).shape == (2, 512)


@pytest.mark.parametrize("width", [[4, 5, 6], [4, 5, 6, 0], [4, 5, 6, 7, 8], [4, 5, 6, 7.0], "4567"])
def test_widths_that_are_none(width):
    with pytest.raises(LrfaceError, match="width must be an integer of at least 1"):
        create("resnet18", width=width)


def _stages(model):
    return [model.layer1, model.layer2, model.layer3, model.layer4]


@pytest.mark.parametrize(("stride", "size"), [(2, 32), (4, 64), (3, 48)])
def test_a_stem_of_stride_s_costs_the_trunk_of_a_smaller_image(stride, size):
    model = create("resnet18", stride=stride, input_size=size, width=4, embedding_dim=8)
    small = create("resnet18", width=4, embedding_dim=8)
    assert model.conv1.weight.shape == (4, 3, 3 * stride, 3 * stride)
    shapes = {name: value.shape for name, value in model.state_dict().items() if name != "conv1.weight"}
    assert shapes == {name: value.shape for name, value in small.state_dict().items() if name != "conv1.weight"}
    with torch.no_grad():
        assert model(torch.randn(2, 3, size, size)).shape == (2, 8)


@pytest.mark.parametrize("kw", [{"stride": 0}, {"stride": 2}, {"stride": 2, "stem": "upsample", "input_size": 32}])
def test_a_stride_that_fits_nothing_is_refused(kw):
    with pytest.raises(LrfaceError, match=r"stride|input_size"):
        create("resnet18", **{"input_size": 12, **kw})
