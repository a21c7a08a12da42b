"""The training of an object recipe: teacher, preliminary stage, main training, and test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric

from lrface.errors import LrfaceError
from lrface.files import atomic_write, locked, read_json, write_json
from lrface.objects.batches import ObjectBatches
from lrface.objects.data import Pictures
from lrface.objects.evaluate import accuracy
from lrface.objects.files import load_network, save_network
from lrface.objects.loop import ObjectLoop
from lrface.objects.networks import ObjectNetwork, create_network
from lrface.objects.objective import ObjectObjective, setting_of
from lrface.objects.recipe import ObjectData, ObjectLoss, ObjectRecipe, data_path, read_part
from lrface.objects.teacher_cache import TeacherCache, cached_outputs
from lrface.objects.view import View
from lrface.reporting.fingerprint import digest
from lrface.train.log import RunLog
from lrface.train.loop import LAST
from lrface.train.run import make_fabric
from lrface.version import code_version

MODEL, RESULT = "model.safetensors", "result.json"
#: The held-out pictures are the same for every seed of a recipe, so that its runs can be compared.
HOLDOUT_SEED = 20_000


@dataclass(frozen=True)
class ObjectOutcome:
    """The result of a run.

    Attributes:
        finished: False if the run was interrupted.
        model: file of the network after the last epoch.
        history: one entry per validated epoch, with the accuracy on held-out training pictures.
        accuracy: on the test set after the last epoch, 0 to 1; None if the run was interrupted.
    """

    finished: bool
    model: Path
    history: list[dict[str, float]]
    accuracy: float | None = None


@dataclass(frozen=True)
class _Sets:
    """The pictures of a run: for training, held out (or None), and for the test."""

    train: Pictures
    held: Pictures | None
    test: Pictures


def train_objects(
    recipe: ObjectRecipe, out: str | Path, data_root: str | Path = ".", device: str = "auto", resume: bool = False,
    teachers: Path | None = None,
) -> ObjectOutcome:  # fmt: skip
    """Train the network that an object recipe describes.

    Args:
        recipe: see :mod:`lrface.objects.recipe`.
        out: folder of the run, as for faces. It also gets ``result.json`` (accuracy on the test set), ``teacher/`` (if
            the recipe trains one) and ``before/`` (if a method has a preliminary stage).
        data_root: the recipe's paths are relative to it.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``. One process only.
        resume: continue from the last checkpoint.
        teachers: folder of trained teachers that several runs share: of runs with the same teacher, one trains it. By
            default the run has its own, in ``teacher/``.

    Raises:
        LrfaceError: the data, the teacher or the checkpoint do not fit the recipe, or the loss is not finite.
    """
    out, root = Path(out), Path(data_root)
    if not resume and (out / LAST).exists():
        raise LrfaceError(f"{out} holds a run already: --resume goes on with it, or choose another --out")
    fabric = make_fabric(device, recipe.precision)
    if fabric.world_size > 1:
        raise LrfaceError("object recipes are trained by one process: start them without torchrun, on one device")
    fabric.launch()
    sets = _open(recipe.data, root)
    teacher = None
    if recipe.teacher is not None:
        home = _teacher_folder(recipe, out, root, teachers)
        teacher = _teacher(recipe, home, root, device)
        if teacher is None:
            return ObjectOutcome(False, out / MODEL, [])
    torch.manual_seed(recipe.seed)
    view = _view(recipe.data, sets.train.side)
    student = create_network(recipe.model.name, len(sets.train.names))
    setting = setting_of(student, teacher, (view.low or view.side, view.side), torch.from_numpy(sets.train.labels))
    objective = ObjectObjective(student, recipe.loss, setting)
    if recipe.compile:
        objective.compile()
    cache = _cache(recipe, objective, teacher, sets.train, fabric.device, home) if teacher else None
    run = _Run(recipe, fabric, objective, sets, view, teacher, out, cache)
    if objective.staged and not (out / LAST).exists() and not run.before(resume):
        return ObjectOutcome(False, out / MODEL, [])
    begun = any((out / place / LAST).exists() for place in ("", "before", "teacher"))
    return run.main(resume and ((out / LAST).exists() or not begun))  # if no stage has begun, loading raises the error


@dataclass
class _Run:
    """The objects that one run needs."""

    recipe: ObjectRecipe
    fabric: Fabric
    objective: ObjectObjective
    sets: _Sets
    view: View
    teacher: ObjectNetwork | None
    out: Path
    cache: TeacherCache | None

    def before(self, resume: bool) -> bool:
        """Run the preliminary stage in its own folder. Returns whether it was finished."""
        section, out = self.recipe.before, self.out / "before"
        most = min(each.before_lr for each in self.objective.each_method() if each.staged)
        lr = section.lr or min(self.recipe.optim.lr, most)
        optim = self.recipe.optim.model_copy(update={"epochs": section.epochs, "lr": lr, "average": 0.0})
        if (out / LAST).exists() and not resume:
            raise LrfaceError(f"{out} holds a stage begun already: --resume goes on with it, or choose another --out")
        self.objective.before = True
        loop = self._loop(self.recipe.model_copy(update={"optim": optim}), out, None)
        finished = self._go(loop, out, resume and (out / LAST).exists())
        self.objective.before = False
        return finished

    def main(self, resume: bool) -> ObjectOutcome:
        """Run the main training, and write its results."""
        loop = self._loop(self.recipe, self.out, self.sets.held)
        finished = self._go(loop, self.out, resume)
        history = loop.progress.history
        if not finished:
            return ObjectOutcome(False, self.out / MODEL, history)
        network = cast(ObjectNetwork, loop.student())
        found = accuracy(network, self.sets.test, self.view, self.fabric.device)
        card = self._card() | {"validation": history, "accuracy": found}
        save_network(self.out / MODEL, network, card)
        write_json(self.out / RESULT, card)
        return ObjectOutcome(True, self.out / MODEL, history, found)

    def _loop(self, recipe: ObjectRecipe, out: Path, held: Pictures | None) -> ObjectLoop:
        batches = ObjectBatches(
            self.sets.train, self.view, self.teacher, recipe.augment, self.objective.rotated,
            recipe.optim.batch_size, recipe.seed, self.fabric.device, self.cache,
        )  # fmt: skip
        if not batches.steps:
            raise LrfaceError(
                f"{len(self.sets.train)} training pictures do not fill one batch of {recipe.optim.batch_size}: "
                "lower optim.batch_size"
            )
        # The loop uses only those parts of a recipe, an objective and batches that objects have too.
        make: Any = ObjectLoop
        loop: ObjectLoop = make(
            recipe, self.fabric, self.objective, batches, self.view, held, self.sets.train.fingerprint, out
        )
        return loop

    def _go(self, loop: ObjectLoop, out: Path, resume: bool) -> bool:
        if resume:
            loop.load(LAST)
        with atomic_write(out / "recipe.yaml", "w") as file:
            import yaml

            yaml.safe_dump(loop.recipe.model_dump(mode="json"), file, sort_keys=False)
        batch = loop.recipe.optim.batch_size
        total, done = loop.total_steps * batch, loop.progress.step * batch
        with RunLog(out, total, done, loop.progress.step, True) as log:
            for each in self.objective.each_method():
                if each.note:
                    log.message(each.note)
            return loop.run(log)

    def _card(self) -> dict[str, Any]:
        recipe, sets = self.recipe, self.sets
        return {
            "name": recipe.name,
            "code": code_version(),
            "network": recipe.model.name,
            "classes": list(sets.train.names),
            "view": self.view.as_dict() | {"name": self.view.name},
            "recipe": recipe.model_dump(mode="json"),
            "data": {"fingerprint": sets.train.fingerprint, "pictures": len(sets.train), "test": len(sets.test)},
        }


def _open(section: ObjectData, root: Path) -> _Sets:
    train, test = (read_part(section, root, split) for split in ("train", "test"))
    if train.names != test.names:
        raise LrfaceError(
            f"the training and the test set of {data_path(section, root) or section.set} have different classes"
        )
    side = section.side or train.side
    train, test = train.resized(side), test.resized(side)
    if not section.holdout:
        return _Sets(train, None, test)
    held, rest = train.part(section.holdout, HOLDOUT_SEED)
    return _Sets(train.take(rest), train.take(held), test)


def _view(section: ObjectData, side: int) -> View:
    low = None if section.low in (None, side) else section.low
    if low is not None and low > side:
        raise LrfaceError(f"data.low is {low} and the pictures have {side} pixels: low resolution is the smaller one")
    return View(side, low, section.kernel, section.antialias)


def _cache(
    recipe: ObjectRecipe, objective: ObjectObjective, teacher: ObjectNetwork, pictures: Pictures, device: torch.device,
    folder: Path,
) -> TeacherCache | None:  # fmt: skip
    """Outputs of the teacher for all pictures, if the recipe wants a cache. Its file lies next to the teacher."""
    if recipe.teacher is None or not recipe.teacher.cache:
        return None
    if objective.rotated:
        turning = next(each.name for each in objective.each_method() if each.rotated)
        raise LrfaceError(f"loss.methods.{turning} shows the teacher turned pictures: set teacher.cache=false")
    needs = {part for each in objective.each_method() for part in each.needs}
    return cached_outputs(teacher.to(device), pictures, needs, device, folder)


def _teacher_recipe(recipe: ObjectRecipe) -> ObjectRecipe:
    """The recipe of the teacher's own training: on full-size pictures, with the student's settings but for its own."""
    section = recipe.teacher
    assert section is not None
    assert section.network is not None
    optim = {"epochs": section.epochs or recipe.optim.epochs, "lr": section.lr or recipe.optim.lr}
    return recipe.model_copy(
        update={
            "name": f"{section.network}-teacher",
            "description": "",
            "data": recipe.data.model_copy(update={"low": None}),
            "model": recipe.model.model_copy(update={"name": section.network}),
            "teacher": None,
            "loss": ObjectLoss(),
            "optim": recipe.optim.model_copy(update=optim),
            "seed": section.seed,
        }
    )


def _teacher_folder(recipe: ObjectRecipe, out: Path, root: Path, teachers: Path | None) -> Path:
    """Where the teacher is: beside its file, in the folder that several runs share, or in this run's ``teacher/``."""
    section = recipe.teacher
    assert section is not None
    if section.file:
        return (root / section.file).parent
    if teachers is None:
        return out / "teacher"
    own = _teacher_recipe(recipe)
    return teachers / f"{section.network}-{digest(own.model_dump(mode='json'))[:8]}"


def _teacher(recipe: ObjectRecipe, folder: Path, root: Path, device: str) -> ObjectNetwork | None:
    """The teacher: from its file, or from ``folder``, where it is trained now if it is not there; None if interrupted."""
    section = recipe.teacher
    assert section is not None
    if section.file:
        return load_network(root / section.file)[0]
    own = _teacher_recipe(recipe)
    with locked(folder / "lock"):  # of several runs, one trains it and the others wait
        if (folder / RESULT).exists() and read_json(folder / RESULT).get("recipe") == own.model_dump(mode="json"):
            return load_network(folder / MODEL)[0]
        result = train_objects(own, folder, root, device, resume=(folder / LAST).exists())
    return load_network(result.model)[0] if result.finished else None
