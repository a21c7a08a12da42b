"""From a recipe to a trained model: builds all parts of a run and starts it."""

import copy
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from lrface.data.packed import PackedStore, is_pack
from lrface.data.store import Store
from lrface.errors import LrfaceError
from lrface.eval.embeddings import flip_sum
from lrface.files import atomic_write, require_path
from lrface.models import create
from lrface.models.weights import save_model
from lrface.train.batches import Batches, HighFaces, LowFaces, RandomViews, steps_ahead
from lrface.train.head import save_head
from lrface.train.initial import begin_with
from lrface.train.log import RunLog
from lrface.train.loop import BEST, LAST, Loop
from lrface.train.objective import Objective
from lrface.train.pack import check_made_for
from lrface.train.preflight import check_data, preprocessing_of
from lrface.train.recipe import Recipe
from lrface.train.split import Split, split_store
from lrface.train.teach import prepare_lesson
from lrface.train.validation import calibrate, pixels, validate, validation_pairs
from lrface.train.whiten import chosen_images, fold, whitening
from lrface.version import code_version


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        finished: False if it was interrupted.
        model: the model file of the best epoch (of the last epoch if there is no validation).
        history: validation results, one entry per validated epoch.
    """

    finished: bool
    model: Path
    history: list[dict[str, float]]


def train(
    recipe: Recipe, out: str | Path, data_root: str | Path = ".", device: str = "auto", resume: bool = False
) -> Outcome:
    """Train a model according to a recipe.

    Args:
        recipe: see :mod:`lrface.train.recipe`.
        out: the run's folder: ``recipe.yaml``, ``log.jsonl``, ``tensorboard/``, ``last.ckpt``, ``best.ckpt``, and at
            the end ``model.safetensors`` (the best epoch) with its ``head.safetensors``, and ``last.safetensors``.
        data_root: the folder to which the recipe's paths are relative, or a packed training (:mod:`lrface.data.packed`),
            which then replaces all of them.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``cuda:0,1``, ``mps``. With ``torchrun``, one process per device.
        resume: continue from ``last.ckpt``.

    Raises:
        LrfaceError: the data, the teacher or the checkpoint do not fit the recipe, the loss is not finite, or a file
            cannot be written.
    """
    out, root = Path(require_path(out)), Path(require_path(data_root))
    if not resume and (out / LAST).exists():
        raise LrfaceError(f"{out} holds a run already: --resume goes on with it, or choose another --out")
    fabric = make_fabric(device, recipe.precision)
    fabric.launch()
    each, rest = divmod(recipe.optim.batch_size, fabric.world_size)
    if rest or each < 2:
        raise LrfaceError(
            f"optim.batch_size {recipe.optim.batch_size} cannot be shared by {fabric.world_size} processes: "
            "it must be a multiple of their number, two images or more for each"
        )
    if recipe.loss.methods and fabric.world_size > 1:
        raise LrfaceError("loss.methods is for one process: its banks are not shared; start without torchrun")
    store = open_faces(recipe, root)
    split = split_store(store, recipe.data)
    fabric.print(split, file=sys.stderr)
    loop = build(recipe, fabric, store, split, root, out)
    if resume:
        loop.load(LAST)
    if fabric.is_global_zero:
        _write_recipe(recipe, out)
    batch = recipe.optim.batch_size
    total, done = loop.total_steps * batch, loop.progress.step * batch
    with RunLog(out, total, done, loop.progress.step, fabric.is_global_zero) as log:
        finished = loop.run(log)
    history = loop.progress.history
    if finished and fabric.is_global_zero:
        _write_models(loop, store, split, out)
    fabric.barrier()
    return Outcome(finished, out / "model.safetensors", history)


def open_faces(recipe: Recipe, root: Path) -> Store | PackedStore:
    """The recipe's store; or the packed training at ``root``.

    Raises:
        LrfaceError: as ``Store`` and ``PackedStore`` do, or the pack is of a recipe that reads other data.
    """
    if not is_pack(root):
        return Store(root / recipe.data.store, recipe.data.low_size)
    packed = PackedStore(root)
    check_made_for(recipe, packed)
    return packed


def make_fabric(device: str, precision: str) -> Fabric:
    """Set up device, precision and processes. Raises LrfaceError if the device is not available."""
    kind, _, numbers = device.partition(":")
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if kind not in ("cpu", "cuda", "mps") or (numbers and not numbers.replace(",", "").isdigit()):
        raise LrfaceError(f"unknown device {device!r}: choose auto, cpu, cuda, cuda:0, cuda:0,1 or mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise LrfaceError(f"--device {device}: this torch finds no CUDA device; `lrface doctor` tells more")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise LrfaceError("--device mps: this torch finds no Apple GPU; `lrface doctor` tells more")
    if precision == "auto":
        precision = "bf16-mixed" if kind == "cuda" else "32"
    if kind == "cpu" and precision != "32":
        raise LrfaceError(
            f"precision {precision} is for CUDA: on the CPU it is slower and less exact; set precision=32"
        )
    devices: Any = [int(number) for number in numbers.split(",") if number] if numbers and kind == "cuda" else 1
    if isinstance(devices, list) and not all(number < torch.cuda.device_count() for number in devices):
        raise LrfaceError(f"--device {device}: this machine has the CUDA devices 0 to {torch.cuda.device_count() - 1}")
    if "LOCAL_WORLD_SIZE" in os.environ:  # torchrun has started the processes
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 or (isinstance(devices, list) and len(devices) > 1)
    strategy = "ddp" if several else "auto"
    nodes = max(int(os.environ.get("WORLD_SIZE", "1")) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")), 1)
    return Fabric(accelerator=kind, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)  # type: ignore[arg-type]


def build(recipe: Recipe, fabric: Fabric, store: Store | PackedStore, split: Split, root: Path, out: Path) -> Loop:
    """The loop of a recipe, before its first step; arguments as ``train`` makes them. Raises LrfaceError as ``train`` does."""
    torch.manual_seed(recipe.seed)
    student = create(recipe.model.name, **recipe.model.kw)
    check_data(recipe, store, split, student, root)
    preprocessing = preprocessing_of(recipe, store)
    pairs = validation_pairs(recipe, store, split, root)
    if recipe.model.initial:
        begin_with(student, recipe.model.initial, root, store.initial() if isinstance(store, PackedStore) else None)
    with torch.random.fork_rng(devices=[]):  # a torch teacher draws random weights before it loads its own
        device = str(fabric.device) if fabric.device.type == "cuda" else "cpu"
        lesson = prepare_lesson(recipe, device, store, split, root, student)
    labels = torch.from_numpy(split.labels)
    dim, classifier = (None, None) if lesson is None else (lesson.dim, lesson.classifier)
    objective = Objective(student, recipe.loss, split.classes, len(split.train), dim, classifier, labels)
    if recipe.loss.classification and recipe.loss.classification.split and fabric.world_size > 1:
        objective.split()
    if compiles(recipe, fabric.device):
        objective.compile(graphs=recipe.compile == "graphs" and fabric.device.type == "cuda")
    section, low = recipe.augment, recipe.data.resolution == "low"
    high = None if low else HighFaces(store, split, preprocessing, recipe.data.workers)
    batches = Batches(
        faces=high or LowFaces(store, split, fabric.device),
        targets=None if lesson is None else lesson.targets(store, split, fabric.device),
        views=None if section.only_flips else RandomViews(store, split, section, fabric.device),
        split=split, section=section, size=preprocessing.input_size, batch_size=recipe.optim.batch_size,
        seed=recipe.seed, rank=fabric.global_rank, world=fabric.world_size, device=fabric.device,
        ahead=1 if high else steps_ahead(fabric.device, recipe.optim.batch_size),
    )  # fmt: skip
    return Loop(recipe, fabric, objective, batches, preprocessing, pairs, store.fingerprint, out)


def compiles(recipe: Recipe, device: torch.device) -> bool:
    """Whether to compile the student: as the recipe says; ``auto`` and ``graphs`` if torch finds its compiler."""
    if isinstance(recipe.compile, bool):
        return recipe.compile
    if device.type == "cuda":
        return importlib.util.find_spec("triton") is not None
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def _write_recipe(recipe: Recipe, out: Path) -> None:
    import yaml

    with atomic_write(out / "recipe.yaml", "w") as file:
        yaml.safe_dump(recipe.model_dump(mode="json"), file, sort_keys=False)


def _write_models(loop: Loop, store: Store | PackedStore, split: Split, out: Path) -> None:
    """Write the last and the best epoch as model files with cards, and the classifier over the training identities."""
    last, model = out / "last.safetensors", out / "model.safetensors"
    _write_model(loop, store, split, last)
    if (out / BEST).exists() and loop.progress.best_step != loop.progress.step:
        loop.load(BEST)
        _write_model(loop, store, split, model)
    else:  # the best epoch is the last one: whitening and calibration need not be repeated
        with atomic_write(model) as file:
            file.write(last.read_bytes())
    centres = loop.centres()
    if centres is not None:
        save_head(model, centres, store, split)


def _write_model(loop: Loop, store: Store | PackedStore, split: Split, path: Path) -> None:
    recipe, student, facts = loop.recipe, loop.student(), dict[str, Any]()
    if recipe.whiten is not None:
        student, facts = _whitened(loop, recipe.whiten, store, split)
    card = {
        "name": recipe.name,
        "code": code_version(),
        "preprocessing": loop.preprocessing.as_dict(),
        "recipe": recipe.model_dump(mode="json"),
        "step": loop.progress.step,
        "data": {"fingerprint": store.fingerprint, "images": len(split.train), "identities": split.classes},
        "alignment": store.settings,
        "validation": {"pairs": loop.pairs.name if loop.pairs else None, "history": loop.progress.history},
        "thresholds": calibrate(loop.embedder(student), recipe, store, split, loop.pairs),
        **facts,
    }
    save_model(path, student, card)


def _whitened(
    loop: Loop, shrinkage: float, store: Store | PackedStore, split: Split
) -> tuple[torch.nn.Module, dict[str, Any]]:
    """A copy of the student that includes the whitening, and the entries about it for a card."""
    chosen = chosen_images(split.labels)
    faces = pixels(loop.recipe, store, split.train[chosen])
    embeddings = flip_sum(loop.embedder(), faces, batch_size=256, progress="whiten")
    student = copy.deepcopy(loop.student())
    fold(student, whitening(embeddings, split.labels[chosen], shrinkage))
    facts: dict[str, Any] = {"shrinkage": shrinkage, "images": len(chosen)}
    if loop.pairs is not None:
        result = validate(loop.embedder(student), loop.pairs)
        facts |= {"validation": {"accuracy": result.accuracy, "std": result.std, "auc": result.auc}}
    return student, {"whitening": facts}
