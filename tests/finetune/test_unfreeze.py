"""What of a network is finetuned."""

import pytest
import torch

from lrface.errors import LrfaceError
from lrface.finetune import unfreeze
from lrface.finetune.unfreeze import BackboneSettings, freeze, module_of, open_backbone
from lrface.models import create
from lrface.models.embedder import Embedder
from lrface.models.preprocessing import Preprocessing
from lrface.runtimes.torch import TorchNetwork

HEADS = {"resnet18": {"fc", "features"}, "iresnet18": {"bn2", "fc", "features"}}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("part", ["none", "last", "all"])
def test_what_is_left_to_train(name, part):
    model = create(name, width=2, input_size=16, embedding_dim=4)
    fixed = {key for key, value in model.named_parameters() if not value.requires_grad}
    freeze(model, part)
    trained = {key.split(".")[0] for key, value in model.named_parameters() if value.requires_grad}
    stages = {f"layer{number}" for number in (1, 2, 3, 4)}
    wanted = {
        "none": HEADS[name],
        "last": HEADS[name] | {"layer4"},
        "all": HEADS[name] | stages | {"conv1", "bn1"} | ({"prelu"} if name == "iresnet18" else set()),
    }[part]
    assert trained == wanted
    if part == "all":  # what never learns stays so
        assert fixed == {key for key, value in model.named_parameters() if not value.requires_grad}


def test_a_network_without_weights_of_ours():
    preprocessing = Preprocessing(16)
    for network in (lambda batch: batch, TorchNetwork(torch.nn.Flatten())):
        with pytest.raises(LrfaceError, match="only models of lrface"):
            module_of(Embedder(network, preprocessing, "digest", {}))
    ours = create("resnet18", width=2, embedding_dim=4)
    assert module_of(Embedder(TorchNetwork(ours), preprocessing, "digest", {})) is ours


@pytest.mark.parametrize(("images", "epochs"), [(10, 100), (64, 100), (640, 30), (6_400, 10), (100_000, 10)])
def test_small_sets_get_more_epochs(images, epochs):
    assert BackboneSettings(batch_size=64).epochs_for(images) == epochs
    assert BackboneSettings(epochs=3).epochs_for(images) == 3


def test_a_model_opens_in_torch_if_it_can_be_trained(tmp_path, monkeypatch):
    from lrface.models import shipped
    from lrface.models.weights import save_model

    ours = tmp_path / "ours.safetensors"
    save_model(ours, create("resnet18", width=2, embedding_dim=4), {"preprocessing": Preprocessing(16).as_dict()})
    module_of(open_backbone(ours))
    opened = []
    monkeypatch.setattr(unfreeze, "open_embedder", lambda spec, device, runtime: opened.append((spec, runtime)))
    monkeypatch.setattr(shipped, "default", lambda: "student")
    monkeypatch.setattr(shipped, "find", {"student": ours, "small": tmp_path / "small.onnx"}.get)
    for spec in (None, "student", "small", "a.pth", "b.onnx", "insightface:buffalo_l"):
        open_backbone(spec)
    assert opened == [
        (None, "torch"),
        ("student", "torch"),
        ("small", "auto"),
        ("a.pth", "torch"),
        ("b.onnx", "auto"),
        ("insightface:buffalo_l", "auto"),
    ]
