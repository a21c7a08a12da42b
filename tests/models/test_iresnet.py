"""IResNet against a description of arcface_torch's state dicts that is written from its construction, not our code."""

import pytest
import torch

from lrface.errors import LrfaceError
from lrface.models import create, describe

STATISTICS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
BLOCKS = {
    "iresnet18": (2, 2, 2, 2),
    "iresnet34": (3, 4, 6, 3),
    "iresnet50": (3, 4, 14, 3),
    "iresnet100": (3, 13, 30, 3),
}


def norm(prefix: str, channels: int) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.{part}": () if part == "num_batches_tracked" else (channels,) for part in STATISTICS}


def expected_layout(name: str, width: int = 64, features: int = 512, side: int = 7) -> dict[str, tuple[int, ...]]:
    """Names and shapes, in order."""
    layout: dict[str, tuple[int, ...]] = {"conv1.weight": (width, 3, 3, 3)}
    layout |= norm("bn1", width)
    layout["prelu.weight"] = (width,)
    before = width
    for stage, blocks in enumerate(BLOCKS[name], start=1):
        channels = width * 2 ** (stage - 1)
        for block in range(blocks):
            prefix = f"layer{stage}.{block}"
            layout |= norm(f"{prefix}.bn1", before)
            layout[f"{prefix}.conv1.weight"] = (channels, before, 3, 3)
            layout |= norm(f"{prefix}.bn2", channels)
            layout[f"{prefix}.prelu.weight"] = (channels,)
            layout[f"{prefix}.conv2.weight"] = (channels, channels, 3, 3)
            layout |= norm(f"{prefix}.bn3", channels)
            if block == 0:
                layout[f"{prefix}.downsample.0.weight"] = (channels, before, 1, 1)
                layout |= norm(f"{prefix}.downsample.1", channels)
            before = channels
    layout |= norm("bn2", before)
    layout["fc.weight"] = (features, before * side * side)
    layout["fc.bias"] = (features,)
    layout |= norm("features", features)
    return layout


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_state_dict_has_the_names_shapes_and_order_of_arcface_torch(name):
    with torch.device("meta"):
        model = create(name)
    found = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert list(found.items()) == list(expected_layout(name).items())


def test_a_few_names_written_out_by_hand():
    with torch.device("meta"):
        state = create("iresnet50").state_dict()
    assert state["layer3.13.conv2.weight"].shape == (256, 256, 3, 3)
    assert state["layer1.0.downsample.0.weight"].shape == (64, 64, 1, 1)
    assert state["layer4.0.bn1.running_mean"].shape == (256,)
    assert state["fc.weight"].shape == (512, 25088)
    assert state["features.num_batches_tracked"].shape == ()
    assert not any(key.startswith("dropout") for key in state)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("iresnet18", 24_025_600), ("iresnet34", 34_139_328), ("iresnet50", 43_590_848), ("iresnet100", 65_156_160)],
)
def test_parameter_counts(name, parameters):
    with torch.device("meta"):
        model = create(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    shapes = expected_layout(name)
    counted = [s for key, s in shapes.items() if not key.endswith(("mean", "var", "tracked"))]
    assert sum(torch.Size(s).numel() for s in counted) == parameters


def test_scale_of_the_last_norm_is_one_and_not_trained():
    model = create("iresnet18", width=4, embedding_dim=8, input_size=16)
    assert not model.features.weight.requires_grad
    assert torch.equal(model.features.weight, torch.ones(8))
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen == ["features.weight"]


@pytest.mark.parametrize(("size", "side"), [(112, 7), (64, 4), (48, 3), (32, 2), (16, 1), (40, 3)])
def test_forward_shape_follows_the_input_size(size, side):
    model = create("iresnet18", width=4, embedding_dim=24, input_size=size)
    assert model.fc.in_features == 32 * side * side
    with torch.no_grad():
        embedding = model(torch.randn(2, 3, size, size))
    assert embedding.shape == (2, 24)
    assert embedding.dtype == torch.float32


def test_forward_equals_the_pre_activation_block_written_out():
    """One block, in float64, from the layers' own parameters."""
    torch.manual_seed(0)
    model = create("iresnet18", width=4, input_size=16).double().eval()
    block = model.layer2[0]
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    torch.nn.init.uniform_(block.prelu.weight, -0.5, 0.5)

    def normed(bn, x):
        column = [v[:, None, None] for v in (bn.running_mean, bn.running_var, bn.weight, bn.bias)]
        return (x - column[0]) / (column[1] + 1e-5).sqrt() * column[2] + column[3]

    def convolved(kernel, x, stride):
        side = kernel.shape[-1]
        x = torch.nn.functional.pad(x, (side // 2,) * 4)
        patches = x.unfold(2, side, stride).unfold(3, side, stride)
        return torch.einsum("bchwij,ocij->bohw", patches, kernel)

    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    y = normed(block.bn2, convolved(block.conv1.weight, normed(block.bn1, x), 1))
    y = torch.where(y > 0, y, y * block.prelu.weight[:, None, None])
    y = normed(block.bn3, convolved(block.conv2.weight, y, 2))
    shortcut = normed(block.downsample[1], convolved(block.downsample[0].weight, x, 2))
    torch.testing.assert_close(block(x), y + shortcut)


def test_dropout_acts_in_training_only_and_leaves_its_input_alone():
    model = create("iresnet18", width=4, input_size=16, dropout=0.5)
    x = torch.randn(4, 3, 16, 16)
    model.eval()
    assert torch.equal(model(x), model(x))
    model.train()
    assert not torch.equal(model(x), model(x))


def test_every_trainable_parameter_gets_a_gradient():
    model = create("iresnet18", width=4, embedding_dim=8, input_size=32)
    (model(torch.randn(4, 3, 32, 32)) * torch.randn(4, 8)).sum().backward()
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


@pytest.mark.parametrize("shape", [(2, 3, 48, 48), (2, 1, 32, 32), (3, 32, 32), (2, 3, 32, 31)])
def test_another_image_shape_is_refused(shape):
    model = create("iresnet18", width=4, input_size=32)
    with pytest.raises(LrfaceError, match=r"\[B, 3, 32, 32\]"):
        model(torch.zeros(shape))


def test_multiply_accumulates_of_the_published_network():
    """6.3 GMACs is the figure that arcface_torch publishes for IResNet-50."""
    assert describe(create("iresnet50"), 112).macs == pytest.approx(6.3e9, rel=0.01)
