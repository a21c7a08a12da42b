import pytest
import torch
from torch import nn

from lrface.errors import LrfaceError
from lrface.objects.files import load_network, save_network
from lrface.objects.networks import create_network, network_names

#: Parameters with 100 classes, counted in RepDistiller (b84f547), of ``wrn_50_2`` in torchvision's with a 3x3 stem.
PARAMETERS = {
    "resnet8": 83_892, "resnet14": 181_108, "resnet20": 278_324, "resnet32": 472_756, "resnet44": 667_188,
    "resnet56": 861_620, "resnet110": 1_736_564, "resnet8x4": 1_233_540, "resnet32x4": 7_433_860,
    "resnet18": 11_220_132, "wrn_16_1": 180_916, "wrn_16_2": 703_284, "wrn_40_1": 569_780, "wrn_40_2": 2_255_156,
    "wrn_50_2": 67_031_460, "vgg8": 3_965_028, "vgg11": 9_277_284, "vgg13": 9_462_180, "shufflenet_v1": 949_258,
    "shufflenet_v2": 1_355_528,
}  # fmt: skip
#: Channels and side of the maps for 32 pixels.
MAPS = {
    "resnet20": [(16, 32), (16, 32), (32, 16), (64, 8)],
    "resnet8x4": [(32, 32), (64, 32), (128, 16), (256, 8)],
    "resnet18": [(64, 32), (64, 32), (128, 16), (256, 8), (512, 4)],
    "wrn_16_2": [(16, 32), (32, 32), (64, 16), (128, 8)],
    "vgg8": [(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)],
    "shufflenet_v1": [(24, 32), (240, 16), (480, 8), (960, 4)],
    "shufflenet_v2": [(24, 32), (116, 16), (232, 8), (464, 4)],
}


def test_parameter_counts():
    with torch.device("meta"):
        counts = {name: sum(p.numel() for p in create_network(name, 100).parameters()) for name in network_names()}
    assert counts == PARAMETERS


@pytest.mark.parametrize("name", MAPS)
def test_maps_by_stage(name):
    torch.manual_seed(0)
    network = create_network(name, 7)
    found = network.outputs(torch.randn(2, 3, 32, 32))
    assert [(each.shape[1], each.shape[2]) for each in found.maps] == MAPS[name]
    assert [each.shape for each in found.preacts] == [each.shape for each in found.maps]
    assert found.logits.shape == (2, 7)
    assert found.embedding.shape == (2, network.embedding_dim)
    assert found.classifier is network.fc.weight
    if name.startswith(("resnet", "vgg")):
        for map_, before in zip(found.maps, found.preacts, strict=True):
            assert torch.equal(map_, before.relu())


@pytest.mark.parametrize("name", ["resnet8", "wrn_16_1", "vgg8", "shufflenet_v1", "shufflenet_v2", "resnet18"])
@pytest.mark.parametrize("side", [8, 13])
def test_any_side_from_8_pixels_on(name, side):
    network = create_network(name, 3).eval()
    assert network(torch.randn(2, 3, side, side)).shape == (2, 3)
    with pytest.raises(LrfaceError, match="8 pixels and more"):
        network(torch.randn(2, 3, 7, 7))


@pytest.mark.parametrize("name", ["wrn_16_1", "resnet8", "shufflenet_v2"])
def test_running_statistics_count_a_batch_once(name):
    network = create_network(name, 3)
    network.outputs(torch.randn(4, 3, 8, 8))
    norms = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    assert {int(each.num_batches_tracked) for each in norms} == {1}


def test_preactivations_of_a_wide_network_are_those_of_the_next_norm():
    network = create_network("wrn_16_1", 3).eval()
    found = network.outputs(torch.randn(2, 3, 16, 16))
    torch.testing.assert_close(found.preacts[1], network.blocks[1][0].bn1(found.maps[1]))
    torch.testing.assert_close(found.preacts[3], network.bn(found.maps[3]))


def test_unknown_network():
    with pytest.raises(LrfaceError, match="unknown object network 'resnet21': did you mean 'resnet"):
        create_network("resnet21", 3)


def test_files(tmp_path):
    network = create_network("resnet8", 4).eval()
    card = {"network": "resnet8", "classes": list("abcd"), "view": {"side": 32}}
    save_network(tmp_path / "a.safetensors", network, card)
    found, read = load_network(tmp_path / "a.safetensors")
    pixels = torch.randn(2, 3, 32, 32)
    assert read == card
    assert torch.equal(found(pixels), network(pixels))
    (tmp_path / "b.safetensors").write_bytes(b"no")
    with pytest.raises(LrfaceError, match="is damaged"):
        load_network(tmp_path / "b.safetensors")
    save_network(tmp_path / "c.safetensors", network, card | {"classes": ["a"]})
    with pytest.raises(LrfaceError, match="is damaged, or of another version"):
        load_network(tmp_path / "c.safetensors")
    with pytest.raises(LrfaceError, match="no such object network"):
        load_network(tmp_path / "d.safetensors")
