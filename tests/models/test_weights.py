import json
import math
import os
import pickle
from collections import OrderedDict

import pytest
import safetensors.torch
import torch

from lrface.errors import LrfaceError
from lrface.models import create, load_arcface_torch, load_model, save_model, spec_of

CARD = {"preprocessing": {"size": 16, "colour": "RGB"}, "thresholds": {"0.001": 0.41}, "note": "naïve ☺"}


def small(name: str = "resnet18", **kw):
    torch.manual_seed(0)
    size = {"resnet18": 16}.get(name, 32)
    model = create(name, **{"width": 4, "embedding_dim": 8, "input_size": size, **kw})
    with torch.no_grad():
        model(torch.randn(8, 3, size, size))  # running statistics that are not 0 and 1
    return model


def write(path, tensors, card):
    metadata = None if card is None else {"lrface": card if isinstance(card, str) else json.dumps(card)}
    path.write_bytes(safetensors.torch.save(tensors, metadata=metadata))
    return path


def good_card(model, /, **changes):
    spec = spec_of(model)
    return {"format": 1, "model": {"name": spec.name, "kw": spec.kw}, "preprocessing": {}, **changes}


@pytest.fixture
def model():
    return small()


@pytest.mark.parametrize("name", ["resnet18", "iresnet18"])
def test_round_trip_is_bitwise(tmp_path, name):
    model = small(name)
    save_model(tmp_path / "m.safetensors", model, CARD)
    loaded, card = load_model(tmp_path / "m.safetensors")
    assert not loaded.training
    assert list(loaded.state_dict()) == list(model.state_dict())
    for key, value in model.state_dict().items():
        assert loaded.state_dict()[key].dtype == value.dtype, key
        assert torch.equal(loaded.state_dict()[key], value), key
    trainable = {key: p.requires_grad for key, p in model.named_parameters()}
    assert {key: p.requires_grad for key, p in loaded.named_parameters()} == trainable
    x = torch.randn(3, 3, model.input_size, model.input_size)
    assert torch.equal(loaded(x), model.eval()(x))
    assert spec_of(loaded) == spec_of(model)
    assert card == {**CARD, "format": 1, "model": {"name": name, "kw": spec_of(model).kw}}


def test_a_loaded_model_trains_and_is_saved_again(tmp_path, model):
    save_model(tmp_path / "a.safetensors", model, CARD)
    loaded, card = load_model(tmp_path / "a.safetensors")
    loaded.train()
    loaded(torch.randn(4, 3, 16, 16)).square().sum().backward()
    torch.optim.SGD(loaded.parameters(), lr=0.1).step()
    save_model(tmp_path / "a.safetensors", loaded, card)
    again, _ = load_model(tmp_path / "a.safetensors")
    assert not torch.equal(again.conv1.weight, model.conv1.weight)
    assert torch.equal(again.conv1.weight, loaded.conv1.weight)


def test_a_loaded_model_outlives_its_file(tmp_path, model):
    path = tmp_path / "m.safetensors"
    save_model(path, model, CARD)
    loaded, _ = load_model(path)
    size = path.stat().st_size
    with open(path, "r+b") as file:  # overwritten in place, as a copy over it would do
        file.write(os.urandom(size))
    assert torch.equal(loaded.fc.weight, model.fc.weight)


def test_half_is_half_the_bytes_and_nearly_the_same(tmp_path):
    model = small(width=16)
    model.bn1.running_var.fill_(1e6)  # beyond float16
    save_model(tmp_path / "full.safetensors", model, CARD)
    save_model(tmp_path / "half.safetensors", model, CARD, half=True)
    full, half = (tmp_path / f"{kind}.safetensors" for kind in ("full", "half"))
    assert half.stat().st_size < 0.6 * full.stat().st_size
    loaded, _ = load_model(half)
    for key, value in loaded.state_dict().items():
        expected = model.state_dict()[key]
        assert value.dtype == expected.dtype
        if value.ndim < 2:
            assert torch.equal(value, expected)
        else:
            assert torch.equal(value, expected.half().float())
    x = torch.randn(4, 3, 16, 16)
    same = torch.nn.functional.cosine_similarity(loaded(x), model.eval()(x))
    assert same.min() > 0.9999


def test_channels_last_models_are_stored_in_the_usual_order(tmp_path, model):
    save_model(tmp_path / "a", model, CARD)
    save_model(tmp_path / "b", model.to(memory_format=torch.channels_last), CARD)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_saving_draws_no_random_numbers_and_keeps_the_mode(tmp_path, model):
    state = torch.get_rng_state()
    save_model(tmp_path / "m", model.train(), CARD)
    load_model(tmp_path / "m")
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({}, "needs a mapping called 'preprocessing'"),
        ({"preprocessing": None}, "needs a mapping called 'preprocessing'"),
        ({"preprocessing": {}, "when": object()}, "does not fit JSON"),
        ({"preprocessing": {"mean": math.nan}}, "does not fit JSON"),
    ],
)
def test_bad_cards_are_not_written(tmp_path, model, card, message):
    with pytest.raises(LrfaceError, match=message):
        save_model(tmp_path / "m", model, card)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("half", [False, True])
def test_weights_that_are_not_finite_are_not_written(tmp_path, model, half):
    model.layer2[0].conv1.weight.data[0, 0, 0, 0] = 1e9 if half else math.nan
    with pytest.raises(LrfaceError, match=r"not finite .* layer2.0.conv1.weight"):
        save_model(tmp_path / "m", model, CARD, half=half)
    assert list(tmp_path.iterdir()) == []


def test_a_model_made_elsewhere_is_not_written(tmp_path):
    with pytest.raises(LrfaceError, match="not made by"):
        save_model(tmp_path / "m", torch.nn.Linear(2, 2), CARD)


@pytest.mark.parametrize("load", [load_model, load_arcface_torch])
def test_missing_file(tmp_path, load):
    with pytest.raises(LrfaceError, match="no model file at"):
        load(tmp_path / "nothing.safetensors")
    with pytest.raises(LrfaceError, match="no model file at"):
        load(tmp_path)


HUGE_HEADER = (2**63).to_bytes(8, "little") + b"{}"


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 4096, HUGE_HEADER, pickle.dumps(1)])
def test_other_files_are_not_safetensors(tmp_path, content):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(LrfaceError, match="not a whole safetensors file"):
        load_model(tmp_path / "m")


def test_truncated_at_any_place(tmp_path, model):
    save_model(tmp_path / "whole", model, CARD)
    whole = (tmp_path / "whole").read_bytes()
    for length in (1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(LrfaceError, match="not a whole safetensors file"):
            load_model(tmp_path / "cut")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (None, "no model card"),
        ("{not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "without 'preprocessing'"),
        ({"preprocessing": 3}, "without 'preprocessing'"),
        ({"format": 2}, "card of format 2; this version reads 1"),
        ({"model": "resnet18"}, "does not name its model"),
        ({"model": {"name": "resnet18"}}, "does not name its model"),
        ({"model": {"name": "resnet19", "kw": {}}}, "did you mean 'resnet18'"),
        ({"model": {"name": "resnet18", "kw": {"wdth": 4}}}, "did you mean 'width'"),
        ({"model": {"name": "resnet18", "kw": {"width": [4]}}}, "width must be an integer"),
        ({"model": {"name": "resnet18", "kw": {"stem": ["native"]}}}, "stem must be one of"),
        ({"model": {"name": "resnet18", "kw": {"width": 10**6}}}, "another architecture"),
        ({"model": {"name": "resnet18", "kw": {"width": 10**18}}}, "cannot be built"),
        ({"model": {"name": "resnet18", "kw": {"embedding_dim": 10**30}}}, "cannot be built"),
    ],
)
def test_hostile_and_foreign_cards(tmp_path, model, changes, message):
    card = good_card(model, **changes) if isinstance(changes, dict) else changes
    path = write(tmp_path / "m", model.state_dict(), card)
    with pytest.raises(LrfaceError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_architecture_names_the_first_tensors_that_do_not_fit(tmp_path, model):
    path = write(tmp_path / "m", small("iresnet18").state_dict(), good_card(model))
    first = r"layer2.0.bn1.weight is \[4\] and not \[8\]; layer2.0.bn1.bias is .* and \d+ more"
    with pytest.raises(LrfaceError, match=f"another architecture than resnet18: {first}"):
        load_model(path)


def test_missing_extra_and_misshapen_tensors_are_named(tmp_path, model):
    state = dict(model.state_dict())
    del state["bn1.bias"]
    state["head.weight"] = torch.zeros(2)
    state["fc.weight"] = state["fc.weight"][:, :-1].contiguous()
    path = write(tmp_path / "m", state, good_card(model))
    with pytest.raises(LrfaceError) as caught:
        load_model(path)
    faults = "bn1.bias is missing; fc.weight is [8, 127] and not [8, 128]; head.weight is unknown"
    assert str(caught.value) == f"{path} is of another architecture than resnet18: {faults}"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_not_finite_are_not_loaded(tmp_path, model, value):
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    state["layer4.1.bn2.running_var"][3] = value
    path = write(tmp_path / "m", state, good_card(model))
    with pytest.raises(LrfaceError, match=r"not finite .* layer4.1.bn2.running_var"):
        load_model(path)


def test_a_double_beyond_float32_is_not_finite(tmp_path, model):
    state = {key: tensor.double() if key == "fc.weight" else tensor for key, tensor in model.state_dict().items()}
    state["fc.weight"][0, 0] = 1e300
    with pytest.raises(LrfaceError, match=r"not finite .* fc.weight"):
        load_model(write(tmp_path / "m", state, good_card(model)))


@pytest.mark.parametrize(("key", "dtype"), [("fc.weight", torch.int32), ("bn1.num_batches_tracked", torch.float32)])
def test_tensors_of_another_kind_are_refused(tmp_path, model, key, dtype):
    state = {**model.state_dict(), key: model.state_dict()[key].to(dtype)}
    with pytest.raises(LrfaceError, match=f"{key} has the type {dtype}"):
        load_model(write(tmp_path / "m", state, good_card(model)))


def fabricate(name: str, **kw) -> tuple[torch.nn.Module, OrderedDict]:
    """A state dict as arcface_torch's DDP training leaves it."""
    model = small(name, **kw)
    return model, OrderedDict((f"module.{key}", value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["iresnet18", "iresnet34", "iresnet50", "iresnet100"])
def test_arcface_torch_state_dict_with_prefix_and_without_a_name(tmp_path, name):
    model, state = fabricate(name, width=2)
    torch.save(state, tmp_path / "backbone.pth")
    loaded = load_arcface_torch(tmp_path / "backbone.pth")
    assert not loaded.training
    assert spec_of(loaded).name == name
    assert (loaded.input_size, loaded.embedding_dim) == (32, 8)
    assert not loaded.features.weight.requires_grad
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(x), model.eval()(x))


def test_arcface_torch_at_its_published_size(tmp_path):
    torch.manual_seed(0)
    model = create("iresnet18").eval()
    torch.save(model.state_dict(), tmp_path / "backbone.pth")
    loaded = load_arcface_torch(tmp_path / "backbone.pth", "iresnet18")
    assert spec_of(loaded) == spec_of(create("iresnet18"))
    x = torch.randn(1, 3, 112, 112)
    with torch.no_grad():
        assert torch.equal(loaded(x), model(x))


def test_arcface_torch_training_checkpoint_and_half_weights(tmp_path):
    model, state = fabricate("iresnet18")
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    torch.save({"epoch": 3, "global_step": 7, "state_dict_backbone": halves}, tmp_path / "checkpoint_gpu_0.pt")
    loaded = load_arcface_torch(tmp_path / "checkpoint_gpu_0.pt")
    assert loaded.fc.weight.dtype == torch.float32
    assert torch.equal(loaded.fc.weight, model.fc.weight.half().float())


def test_arcface_torch_converts_to_our_own_file(tmp_path):
    model, state = fabricate("iresnet18")
    torch.save(state, tmp_path / "backbone.pth")
    save_model(tmp_path / "m.safetensors", load_arcface_torch(tmp_path / "backbone.pth"), CARD)
    loaded, _ = load_model(tmp_path / "m.safetensors")
    assert torch.equal(loaded.fc.weight, model.fc.weight)


def test_arcface_torch_of_another_name(tmp_path):
    torch.save(fabricate("iresnet18")[1], tmp_path / "b.pth")
    with pytest.raises(LrfaceError, match="holds iresnet18, not iresnet50"):
        load_arcface_torch(tmp_path / "b.pth", "iresnet50")


class Exploit:
    def __reduce__(self):
        return (os.mkdir, (os.environ["LRFACE_TEST_TRAP"],))


def test_a_hostile_pickle_runs_nothing(tmp_path, monkeypatch):
    trap = tmp_path / "trap"
    monkeypatch.setenv("LRFACE_TEST_TRAP", str(trap))
    torch.save({"conv1.weight": Exploit()}, tmp_path / "b.pth")
    (tmp_path / "raw.pkl").write_bytes(pickle.dumps(Exploit()))
    for name in ("b.pth", "raw.pkl"):
        with pytest.raises(LrfaceError, match="not a PyTorch state dict") as caught:
            load_arcface_torch(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not trap.exists()


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, {3: torch.zeros(1)}, torch.zeros(3), {"state_dict": {}}])
def test_other_pickles_are_no_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "b.pth")
    with pytest.raises(LrfaceError, match="not a PyTorch state dict"):
        load_arcface_torch(tmp_path / "b.pth")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 64])
def test_other_files_are_no_state_dict(tmp_path, content):
    (tmp_path / "b.pth").write_bytes(content)
    with pytest.raises(LrfaceError, match="not a PyTorch state dict"):
        load_arcface_torch(tmp_path / "b.pth")


def test_state_dicts_of_other_networks(tmp_path):
    torch.save(small().state_dict(), tmp_path / "resnet.pth")  # ResNet18 has the stages of IResNet-18, not its layers
    with pytest.raises(LrfaceError, match=r"another architecture than iresnet18: prelu.weight is missing"):
        load_arcface_torch(tmp_path / "resnet.pth")
    torch.save({"a.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(LrfaceError, match=r"not an IResNet-18/34/50/100: blocks per stage are \[0, 0, 0, 0\]"):
        load_arcface_torch(tmp_path / "other.pth")


@pytest.mark.parametrize("change", ["drop", "flatten", "empty"])
def test_a_state_dict_whose_size_cannot_be_told(tmp_path, change):
    _, state = fabricate("iresnet18")
    if change == "drop":
        del state["module.fc.weight"]
    elif change == "flatten":
        state["module.fc.weight"] = state["module.fc.weight"].flatten()
    else:
        state["module.conv1.weight"] = torch.zeros(0, 3, 3, 3)
    torch.save(state, tmp_path / "b.pth")
    with pytest.raises(LrfaceError, match=r"conv1.weight or fc.weight is missing or misshapen"):
        load_arcface_torch(tmp_path / "b.pth")


def test_arcface_torch_weights_that_are_not_finite(tmp_path):
    _, state = fabricate("iresnet18")
    state["module.fc.bias"][0] = math.nan
    torch.save(state, tmp_path / "b.pth")
    with pytest.raises(LrfaceError, match=r"not finite .* fc.bias"):
        load_arcface_torch(tmp_path / "b.pth")
