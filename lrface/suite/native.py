"""Sets of native low-resolution faces (UCCS, TinyFace, QMUL-SurvFace, SCface): their location, and their rows."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lrface.faces.degrade import Degradation
from lrface.reporting.fingerprint import FileDigests, digest
from lrface.suite.located import TITLES, Located, is_rehearsal
from lrface.suite.options import Options
from lrface.suite.peers import Model
from lrface.suite.task import Task

#: Name in the suite -> folder in the data root, and files of which at least one must exist for the set to count as present.
FOLDERS = {
    "uccs": ("uccs", ("gallery.csv", "split.csv")),
    "tinyface": ("tinyface", ("Testing_Set",)),
    "survface": ("QMUL-SurvFace", ("Face_Identification_Test_Set",)),
    "scface": ("SCface", ("mugshot_frontal_cropped_all",)),
}

#: Part of a network that TinyFace's training set may change -> its name in tables.
SCOPES = {"none": "embedding layer", "last": "last stage", "all": "whole"}


def locate_native(name: str, options: Options, digests: FileDigests, rehearsal: Path | None = None) -> Located | None:
    """Find the set; None if it does not exist. No image is decoded. An incomplete set raises an error when it is read.

    Args:
        name: of the set.
        options: of the run; the set is searched in its data root.
        digests: of files.
        rehearsal: another root, in which only sets of ``lrface data rehearse`` count.
    """
    folder, signs = FOLDERS[name]
    root = (rehearsal or options.data) / folder
    if not any((root / sign).exists() for sign in signs) or (rehearsal and not is_rehearsal(root)):
        return None
    contents = digest([digests.of(root), options.alignment])
    return Located(
        name,
        TITLES[name],
        contents,
        describe_alignment(options.alignment),
        is_rehearsal(root),
        lambda: _read(name, root),
    )


def describe_alignment(detector: str) -> str:
    """How faces are aligned, for tables."""
    return "as given" if detector == "none" else f"{detector}, else as given"


def _read(name: str, root: Any) -> Any:
    if name == "uccs":
        from lrface.data.sets.uccs import read_uccs

        return read_uccs(root)
    if name == "tinyface":
        from lrface.data.sets.tinyface import read_tinyface

        return read_tinyface(root)
    if name == "survface":
        from lrface.data.sets.survface import read_survface

        return read_survface(root)
    from lrface.data.sets.scface import read_scface

    return read_scface(root)


def native_tasks(options: Options, model: Model, found: Located) -> list[Task]:
    """The tasks of one model on one set."""
    common = {"flip": options.flip, "alignment": options.alignment}
    facts = {"alignment": found.alignment}
    if found.name == "uccs":
        operator = Degradation(options.side, options.kernel, options.antialias)
        trained = {"degradation": asdict(operator), "seeds": options.seeds}
        shown = {"operator": operator.name, "side": operator.size}
        return [Task("identification", model, found, common | trained, facts | shown)]
    if found.name == "survface":
        return [Task("open-set", model, found, common, facts)]
    if found.name == "scface":
        return [Task("distance", model, found, common, facts)]
    tasks = []
    for scope in (None, *(options.finetune if can_learn(model) else ())):
        learned = {"finetuned": scope, "distil": options.distil} if scope else {"finetuned": None}
        text = f"{SCOPES[scope]}, {'distilled' if options.distil else 'not distilled'}" if scope else None
        for distractors in (True, False):
            shown = {"distractors": distractors, "finetuned": text}
            tasks.append(
                Task("retrieval", model, found, common | learned | {"distractors": distractors}, facts | shown)
            )
    return tasks


def can_learn(model: Model) -> bool:
    """Whether a model's weights can be finetuned: lrface models can, an ONNX graph cannot."""
    return bool(model.files) and model.files[0].suffix == ".safetensors"
