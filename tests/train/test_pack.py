"""A packed training: what it holds, that it trains as the store does, and with how little installed."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors
import torch
import yaml

from lrface.data.crop import Settings
from lrface.data.pack_writer import PartWriter
from lrface.data.packed import PackedStore
from lrface.data.prepare import prepare
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.faces.degrade import resize
from lrface.faces.images import encode_image
from lrface.models import create
from lrface.models.embedder import open_embedder
from lrface.models.preprocessing import Preprocessing
from lrface.models.weights import save_model
from lrface.train import loop, pack
from lrface.train.log import read_log
from lrface.train.pack import PackSettings, make_pack
from lrface.train.run import train
from lrface.train.split import split_store
from lrface.train.store_detail import store_detail
from lrface.train.teacher_cache import cached_embeddings

VIEWS = {
    "loss": {"classification": None, "cosine": {"weight": 5.0}},
    "augment": {"rotate": 5, "noise": 0.02, "sides": [12, 20], "probability": 0.7, "source_size": 48},
}
EXACT = PackSettings("float32", 100, 60_000)
EIGHT_BITS = PackSettings("int8", 100, 60_000)
SMALL = PackSettings("int8", 95, 60_000)
TRAINED = 35  # of 50 faces; those of three people are held out

#: What a machine that only trains need not have.
ABSENT = (
    "cv2", "pyarrow", "pandas", "onnxruntime", "onnx", "sklearn", "scipy", "insightface", "torchvision", "tensorboard",
    "matplotlib",
)  # fmt: skip


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(pack, "GROUP", 4)
    monkeypatch.setattr(loop, "LOG_EVERY", 1)


@pytest.fixture(scope="module")
def packed(data_root, recipe, tmp_path_factory):
    """The same training packed without loss, with targets of eight bits, and with JPEG besides."""
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pack, "GROUP", 4)
        for name, settings in {"exact": EXACT, "eight bits": EIGHT_BITS, "small": SMALL}.items():
            folders[name] = tmp_path_factory.mktemp("packs") / name
            make_pack(recipe(**VIEWS), folders[name], data_root, settings, progress=False)
    return folders


@pytest.fixture(scope="module")
def run_on_store(data_root, recipe, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "LOG_EVERY", 1)
        out = tmp_path_factory.mktemp("runs") / "store"
        train(recipe(**VIEWS), out, data_root, "cpu")
    return out


def facts_of(folder):
    return json.loads((folder / "pack.json").read_text())


def tensors(path):
    with safetensors.safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key).numpy().tobytes() for key in file.keys()}  # noqa: SIM118


def test_without_loss_a_run_on_the_pack_is_the_run_on_the_store(packed, recipe, run_on_store, tmp_path):
    train(recipe(**VIEWS), tmp_path / "run", packed["exact"], "cpu")
    assert read_log(tmp_path / "run") == read_log(run_on_store)
    assert tensors(tmp_path / "run" / "model.safetensors") == tensors(run_on_store / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "steps", "near"), [("eight bits", 1, 1e-3), ("eight bits", 2, 1e-2), ("small", 1, 2e-2)]
)
def test_a_pack_with_losses_begins_as_the_store_does(name, steps, near, packed, recipe, run_on_store, tmp_path):
    train(recipe(**VIEWS, optim={"epochs": 1}), tmp_path / "run", packed[name], "cpu")
    ours, theirs = read_log(tmp_path / "run")[:steps], read_log(run_on_store)[:steps]
    assert ours != theirs  # int8 and JPEG do lose something
    assert [line["step"] for line in ours] == [line["step"] for line in theirs] == list(range(1, steps + 1))
    for key in ("loss", "cosine"):
        assert [line[key] for line in ours] == pytest.approx([line[key] for line in theirs], rel=near)


def test_a_run_on_the_store_goes_on_on_the_pack(packed, recipe, run_on_store, data_root, tmp_path):
    out = tmp_path / "run"
    train(recipe(**VIEWS, optim={"epochs": 1}), out, data_root, "cpu")
    train(recipe(**VIEWS), out, packed["exact"], "cpu", resume=True)
    assert read_log(out) == read_log(run_on_store)


def test_a_pack_holds_the_faces_that_have_the_least_detail(data_root, recipe, tmp_path):
    store = Store(data_root / "faces")
    least = float(np.median(store_detail(store, progress=False)))
    sharp = recipe(**VIEWS, data={"least_detail": least})
    make_pack(sharp, tmp_path / "pack", data_root, EXACT, progress=False)
    expected, found = split_store(store, sharp.data), split_store(PackedStore(tmp_path / "pack"), sharp.data)
    assert 0 < len(expected.train) < TRAINED
    assert found.train.tolist() == expected.train.tolist()
    assert found.holdout.tolist() == expected.holdout.tolist()


def test_parts_are_small_and_have_their_checksums(packed):
    for folder in packed.values():
        facts = facts_of(folder)
        assert len(facts["parts"]) > 2
        assert {part["file"] for part in facts["parts"]} == {path.name for path in folder.glob("*.safetensors")}
        for part in facts["parts"]:
            content = (folder / part["file"]).read_bytes()
            assert len(content) == part["bytes"] <= EXACT.part_bytes
            assert hashlib.sha256(content).hexdigest() == part["sha256"]
        assert facts["bytes"] == sum(part["bytes"] for part in facts["parts"])


def test_the_loss_that_is_said_is_the_loss(packed, data_root, recipe):
    store = Store(data_root / "faces")
    split = split_store(store, recipe(**VIEWS).data)
    exact = cached_embeddings(store, open_embedder(data_root / "teacher" / "model.safetensors"), progress=False)
    found = PackedStore(packed["small"]).targets()
    cosines = [
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for view in range(2)
        for a, b in zip(exact[view, split.train].astype(float), found[view, split.train].astype(float), strict=True)
    ]
    said = facts_of(packed["small"])["loss"]
    assert len(cosines) == 2 * TRAINED
    assert said["cosine"]["mean"] == pytest.approx(np.mean(cosines), abs=1e-9)
    assert said["cosine"]["min"] == pytest.approx(min(cosines), abs=1e-9)
    assert 0.999 < said["cosine"]["min"] < 1
    assert 30 < said["psnr"] < 70
    assert facts_of(packed["exact"])["loss"] == {"cosine": {"mean": pytest.approx(1), "min": pytest.approx(1)}}


def test_half_precision_loses_less_than_eight_bits(data_root, recipe, packed, tmp_path):
    half = make_pack(recipe(**VIEWS), tmp_path / "half", data_root, PackSettings("float16"), progress=False)
    assert 1 - half["loss"]["cosine"]["mean"] < 0.1 * (1 - facts_of(packed["small"])["loss"]["cosine"]["mean"])


def test_pixels_are_those_of_the_store(packed, data_root, recipe):
    store, found = Store(data_root / "faces"), PackedStore(packed["exact"])
    split = split_store(store, recipe(**VIEWS).data)
    assert len(found) == len(store)
    assert found.fingerprint == store.fingerprint
    np.testing.assert_array_equal(found.labels, store.labels)
    everything = np.concatenate([split.train, split.holdout])
    np.testing.assert_array_equal(found.low(everything), store.low(everything))
    for image in split.train[::7]:
        np.testing.assert_array_equal(found.crop(image), resize(store.crop(image), 48))


def test_killed_the_packing_goes_on(data_root, recipe, packed, tmp_path, monkeypatch):
    out, add, written = tmp_path / "pack", PartWriter.add, []

    def dying(self, arrays, images=None):
        if len(written) == 2:
            raise KeyboardInterrupt
        add(self, arrays, images)
        written.append(self.facts["parts"][-1]["file"])

    with monkeypatch.context() as patch:
        patch.setattr(PartWriter, "add", dying)
        with pytest.raises(KeyboardInterrupt):
            make_pack(recipe(**VIEWS), out, data_root, EXACT, progress=False)
    with pytest.raises(LrfaceError, match="is not complete"):
        PackedStore(out)
    before = (out / written[0]).stat().st_mtime_ns
    assert make_pack(recipe(**VIEWS), out, data_root, EXACT, progress=False) == facts_of(packed["exact"])
    assert (out / written[0]).stat().st_mtime_ns == before


def test_another_pack_is_not_written_over(data_root, recipe, packed):
    before = facts_of(packed["exact"])
    with pytest.raises(LrfaceError, match="holds another pack"):
        make_pack(recipe(**VIEWS), packed["exact"], data_root, SMALL, progress=False)
    assert facts_of(packed["exact"]) == before


@pytest.fixture
def copy(packed, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in packed["small"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_missing_part_is_named(copy, recipe, tmp_path):
    (copy / "part-00001.safetensors").unlink()
    with pytest.raises(LrfaceError, match=r"lacks 1 of \d+ parts: part-00001\.safetensors"):
        train(recipe(**VIEWS), tmp_path / "run", copy, "cpu")
    assert not (tmp_path / "run").exists()


def test_a_changed_part_is_named(copy):
    part = copy / "part-00000.safetensors"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    with pytest.raises(LrfaceError, match=r"checksum does not fit of part-00000\.safetensors"):
        PackedStore(copy)


def test_a_pack_of_another_version_is_refused(copy):
    (copy / "pack.json").write_text(json.dumps(facts_of(copy) | {"format": 99}))
    with pytest.raises(LrfaceError, match="format 99"):
        PackedStore(copy)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"augment": {"source_size": 64}}, "augment.source_size"),
        ({"data": {"min_images": 2}}, "data"),
        ({"teacher": {"centred": True}}, "teacher"),
        ({"model": {"initial": "lrface-small-16px"}}, "model.initial"),
        ({"validation": {"images": "faces", "pairs": ["pairs.txt"]}}, "validation"),
    ],
)
def test_what_was_not_packed_is_not_trained(packed, recipe, changes, word, tmp_path):
    merged = {key: {**VIEWS.get(key, {}), **value} for key, value in (VIEWS | changes).items()}
    for key, value in changes.items():
        merged[key] = VIEWS.get(key, {}) | value
    with pytest.raises(LrfaceError, match=f"packed for another recipe: {word} "):
        train(recipe(**merged), tmp_path / "run", packed["exact"], "cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 6, "loss": {"crrcd": None}},
        {"teacher": None, "loss": {"classification": {"scale": 16}, "crrcd": None, "cosine": None}},
        {"loss": {"kd": {"weight": 1.0}}},
        {"augment": {"rotate": 0, "noise": 0, "sides": None, "probability": 1.0}},
    ],
)
def test_losses_seed_and_milder_views_may_change(packed, recipe, data_root, changes, tmp_path):
    merged = VIEWS | {
        key: {**VIEWS.get(key, {}), **value} if isinstance(value, dict) else value for key, value in changes.items()
    }
    for where, root in (("pack", packed["exact"]), ("store", data_root)):
        train(recipe(**merged, optim={"epochs": 1}), tmp_path / where, root, "cpu")
    assert read_log(tmp_path / "pack") == read_log(tmp_path / "store")


def test_a_student_of_other_length_is_refused(packed, recipe, tmp_path):
    with pytest.raises(LrfaceError, match="packed for embeddings of 8 numbers"):
        train(recipe(**VIEWS, model={"kw": {"embedding_dim": 16}}), tmp_path / "run", packed["exact"], "cpu")


def test_a_teacher_that_is_asked_every_time_cannot_be_packed(data_root, recipe, tmp_path):
    with pytest.raises(LrfaceError, match="a pack has no teacher"):
        make_pack(recipe(teacher={"cached": False}), tmp_path / "pack", data_root, progress=False)
    assert not (tmp_path / "pack").exists()


def test_stored_pixels_need_no_crops(data_root, recipe, tmp_path):
    make_pack(recipe(), tmp_path / "pack", data_root, EXACT, progress=False)
    found = PackedStore(tmp_path / "pack")
    with pytest.raises(LrfaceError, match="holds no crops"):
        found.crop(0)
    train(recipe(), tmp_path / "one", tmp_path / "pack", "cpu")
    train(recipe(), tmp_path / "other", data_root, "cpu")
    assert read_log(tmp_path / "one") == read_log(tmp_path / "other")


def test_the_weights_to_begin_with_travel(data_root, recipe, content, tmp_path):
    kw = content()["model"]["kw"]
    torch.manual_seed(1)
    student = create("resnet18", **kw)
    root = tmp_path / "root"
    root.mkdir()
    for name in ("faces", "teacher"):
        (root / name).symlink_to(data_root / name)
    save_model(root / "begin.safetensors", student, {"preprocessing": Preprocessing(16).as_dict()})
    changes = {"model": {"initial": "begin.safetensors"}, "optim": {"epochs": 1}}
    make_pack(recipe(**changes), tmp_path / "pack", root, EXACT, progress=False)
    assert PackedStore(tmp_path / "pack").initial() == (root / "begin.safetensors").read_bytes()
    train(recipe(**changes), tmp_path / "one", tmp_path / "pack", "cpu")
    train(recipe(**changes), tmp_path / "other", root, "cpu")
    assert read_log(tmp_path / "one") == read_log(tmp_path / "other")


@pytest.fixture
def root_with_pairs(data_root, tmp_path):
    """The small data root, and a store of four people with pairs over it."""
    root = tmp_path / "root"
    root.mkdir()
    for name in ("faces", "teacher"):
        (root / name).symlink_to(data_root / name)
    rng = np.random.default_rng(0)
    for person in range(4):
        for number in range(3):
            path = root / "source" / f"p{person}" / f"p{person}_{number + 1:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            image = resize(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8), 112)
            path.write_bytes(encode_image(image))
    prepare(root / "source", root / "views", Settings(detector="none"), progress=False)
    same = [f"p{p}\t{a}\t{b}" for p in range(4) for a, b in ((1, 2), (1, 3))]
    different = [f"p{p}\t{n}\tp{(p + 1) % 4}\t{n}" for p in range(4) for n in (1, 2)]
    (root / "pairs.txt").write_text("\n".join([str(len(same)), *same, *different]) + "\n")
    return root


def test_pairs_of_another_store_travel(root_with_pairs, recipe, tmp_path):
    changes = VIEWS | {"validation": {"images": "views", "pairs": ["pairs.txt"]}, "optim": {"epochs": 1}}
    make_pack(recipe(**changes), tmp_path / "pack", root_with_pairs, EXACT, progress=False)
    train(recipe(**changes), tmp_path / "one", tmp_path / "pack", "cpu")
    train(recipe(**changes), tmp_path / "other", root_with_pairs, "cpu")
    assert read_log(tmp_path / "one")[-1]["kind"] == "validation"
    assert read_log(tmp_path / "one") == read_log(tmp_path / "other")


def test_sharp_crops_travel_as_they_are(data_root, recipe, tmp_path):
    changes = {
        "data": {"resolution": "high", "workers": 0}, "model": {"name": "iresnet18", "kw": {"width": 2, "input_size": 32}},
        "optim": {"epochs": 1}, "loss": {"crrcd": None},
    }  # fmt: skip
    make_pack(recipe(**changes), tmp_path / "pack", data_root, PackSettings("float32", 95, 10_000_000), progress=False)
    train(recipe(**changes), tmp_path / "one", tmp_path / "pack", "cpu")
    train(recipe(**changes), tmp_path / "other", data_root, "cpu")
    assert read_log(tmp_path / "one") == read_log(tmp_path / "other")


def test_training_from_a_pack_needs_little_installed(packed, tmp_path):
    code = (
        "import sys\n"
        f"for name in {ABSENT!r}: sys.modules[name] = None\n"
        "from lrface.cli.main import main\n"
        "sys.argv = ['lrface', *sys.argv[1:]]\n"
        "main()\n"
    )
    args = ["train", packed["small"] / "recipe.yaml", "--data", packed["small"], "--out", tmp_path / "run"]
    options = ["--device", "cpu", "--set", "optim.epochs=1", "--set", "loss.crrcd=null", "--set", "seed=6"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args), *options],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "best epoch 1" in done.stdout
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())["loss"]["crrcd"] is None
