"""The protocols on native low-resolution faces: identification, retrieval, open-set search, distance."""

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lrface.data.crop import Settings
from lrface.faces.degrade import Degradation
from lrface.reporting.fingerprint import code_digest, digest
from lrface.suite.context import EMBEDDING_CODE, Context, NotApplicableError
from lrface.suite.native import describe_alignment
from lrface.suite.peers import Model
from lrface.suite.task import Task

if TYPE_CHECKING:
    from lrface.data.face_list import FaceList

Result = tuple[dict[str, Any], dict[str, np.ndarray]]

#: The code that determines the embedding of a face in a file.
LIST_CODE = (
    "lrface.data.face_crops",
    "lrface.data.face_list",
    "lrface.data.crop",
    "lrface.suite.native_rows",
    *EMBEDDING_CODE,
)

FINETUNE_CODE = (
    "lrface.finetune.run", "lrface.finetune.backbone", "lrface.finetune.unfreeze", "lrface.finetune.labelled_images",
    "lrface.train.augment",
)  # fmt: skip

RANKS = (1, 5, 10, 20, 50)

#: First seed of all training; the paper's.
FIRST_SEED = 5


@cache
def _list_code() -> str:
    return code_digest(LIST_CODE)


class _Faces:
    """Embeds lists of a set with one model, and collects notes for the report."""

    def __init__(self, context: Context, task: Task, model: Model | None = None) -> None:
        self._context, self._task, self._model = context, task, model or task.model
        self.notes: list[str] = []
        self.alignment = ""

    def __call__(self, part: str, faces: "FaceList") -> np.ndarray:
        """float32 ``[n, dim]``, L2-normalised. If the detector does not find a face, the image is used as it is, and counted."""
        from lrface.eval.embeddings import embed_list

        options = self._context.options
        wanted = self._task.options.get("degradation")
        operator = Degradation(**wanted) if wanted else None
        embedder = self._context.single(self._model)
        name = f"{self._model.label}, {self._task.set.title}, {part}"
        # Landmarks tell the faces of a photo apart. Without them the whole photo would be taken as the face.
        detector = options.alignment if faces.landmarks is None else "landmarks"
        settings = Settings(detector=detector)
        common: dict[str, Any] = {"workers": options.workers, "device": options.device, "progress": name}

        def compute() -> tuple[np.ndarray, list[str]]:
            if detector == "none":
                return embed_list(embedder, faces, settings, operator, options.flip, **common), []
            lost: dict[int, str] = {}
            result = embed_list(embedder, faces, settings, operator, options.flip, refused=lost, **common)
            if not lost:
                return result, []
            counted = f"{part}: {len(lost):,} of {len(faces):,} faces"
            if detector == "landmarks":
                return result, [f"{counted} without usable landmarks: left out of training, wrong in a test"]
            rest = faces.subset(sorted(lost))
            result[sorted(lost)] = embed_list(
                embedder, rest, Settings(detector="none"), operator, options.flip, **common
            )
            return result, [f"{counted} not found by {detector}, taken as given"]

        self.alignment = "landmarks of the set" if detector == "landmarks" else describe_alignment(detector)
        parts = [self._model.digest, self._task.set.fingerprint, part, detector, options.flip, wanted, _list_code()]
        array, notes = self._context.cached(parts, compute)
        self.notes += notes
        return array


def identification(context: Context, task: Task) -> Result:
    """UCCS: train a softmax layer over the people on the frozen backbone, once per seed."""
    from lrface.eval.identification import summarise
    from lrface.finetune.uccs_protocol import train_and_test

    split = context.load(task.set)
    embed = _Faces(context, task)
    train, test = embed("train", split.train), embed("test", split.test)
    seeds = range(FIRST_SEED, FIRST_SEED + task.options["seeds"])
    runs = train_and_test(train, split.train, test, split.test, split.subjects, seeds)
    summary = summarise(runs).as_dict()
    metrics = {f"top{k}": share for k, share in summary["mean"].items()}
    metrics |= {f"top{k}_spread": share for k, share in summary["spread"].items()}
    counts = {"subjects": split.subjects, "train": len(split.train), "test": len(split.test), "split": split.split}
    return metrics | counts | {"seeds": len(seeds)} | _report_facts(embed, split), {}


def _report_facts(embed: _Faces, faces: Any) -> dict[str, Any]:
    """Notes of a row about its faces."""
    return {"alignment": embed.alignment, "notes": [*faces.notes, *embed.notes]}


def retrieval(context: Context, task: Task) -> Result:
    """TinyFace: 1:N search, with or without the distractors."""
    from lrface.eval.retrieval import evaluate

    faces = context.load(task.set)
    if task.options["distractors"] and not len(faces.distractors):
        raise NotApplicableError("there are no distractors in Testing_Set/Gallery_Distractor")
    model = finetuned(context, task) if task.options["finetuned"] else task.model
    embed = _Faces(context, task, model)
    gallery, ids = embed("match", faces.match), faces.match.ids
    if task.options["distractors"]:
        gallery = np.concatenate([gallery, embed("distractors", faces.distractors)])
        ids = np.concatenate([ids, faces.distractors.ids])
    result = evaluate(embed("probe", faces.probe), faces.probe.ids, gallery, ids, RANKS)
    metrics: dict[str, Any] = {f"rank{rank}": share for rank, share in result.cmc.items()}
    metrics |= {"map": result.mean_ap, "probes": result.probes, "without_mate": result.without_mate}
    metrics |= {"gallery": result.gallery, "distractors": result.distractors} | _report_facts(embed, faces)
    return metrics, {"curve": result.curve(RANKS[-1])}


def finetuned(context: Context, task: Task) -> Model:
    """The task's model, finetuned on the training set. It is made once; a killed training resumes.

    Raises:
        NotApplicableError: there is no training set.
        LrfaceError: the model cannot be trained.
        KeyboardInterrupt: the training was interrupted.
    """
    from lrface.finetune.labelled_images import from_list
    from lrface.finetune.run import make_model, run_folder
    from lrface.finetune.unfreeze import BackboneSettings, open_backbone

    options, wanted = context.options, task.options
    # The same for rows with and without distractors.
    lesson = [wanted[key] for key in ("finetuned", "distil", "alignment")]
    name = digest([task.model.digest, task.set.fingerprint, lesson, code_digest(FINETUNE_CODE)])[:32]
    path = options.out / "cache" / "finetuned" / f"{name}.safetensors"
    if not path.exists():
        faces = context.load(task.set).train
        if not len(faces):
            raise NotApplicableError("there is no Training_Set to finetune on")
        settings = BackboneSettings(unfreeze=wanted["finetuned"], distil=wanted["distil"], seed=FIRST_SEED)
        people = from_list(faces, Settings(detector=options.alignment), (), options.workers, options.device, "TinyFace")
        embedder, begun = open_backbone(task.model.spec, options.device), (run_folder(path) / "last.ckpt").exists()
        shown = sys.stderr.isatty()
        made = make_model(
            embedder, task.model.label, people, path, settings, device=options.device, resume=begun, progress=shown
        )
        if made is None:
            raise KeyboardInterrupt
    return Model(f"{task.model.label}, finetuned", str(path))


def open_set(context: Context, task: Task) -> Result:
    """QMUL-SurvFace: TPIR at rank 20 for each FPIR, and the verification pairs if there are any."""
    from lrface.eval import open_set as protocol
    from lrface.eval.verification import evaluate

    faces = context.load(task.set)
    embed = _Faces(context, task)
    gallery, mated = embed("gallery", faces.gallery), embed("mated", faces.mated)
    unmated = embed("unmated", faces.unmated)
    result = protocol.evaluate(mated, faces.mated.ids, unmated, gallery, faces.gallery.ids)
    metrics: dict[str, Any] = result.as_dict() | {"verification": {}}
    if faces.pairs is not None:
        images = embed("pairs", faces.pairs.faces)
        metrics["verification"] = evaluate(images[faces.pairs.a], images[faces.pairs.b], faces.pairs.same).as_dict()
    fpirs = np.geomspace(1e-3, 1, 200)
    return metrics | _report_facts(embed, faces), {"fpir": fpirs, "tpir": result.curve(fpirs)}


def distance(context: Context, task: Task) -> Result:
    """SCface: rank-1 rate of the camera images at each distance among the mugshots."""
    from lrface.eval.retrieval import evaluate

    faces = context.load(task.set)
    embed = _Faces(context, task)
    gallery = embed("mugshots", faces.mugshots)
    metrics: dict[str, Any] = {"gallery": len(faces.mugshots)}
    for number, cameras in faces.cameras.items():
        probes = embed(f"distance {number}", cameras)
        metrics[f"rank1_{number}"] = evaluate(probes, cameras.ids, gallery, faces.mugshots.ids, (1,)).cmc[1]
        metrics[f"probes_{number}"] = len(cameras)
    return metrics | _report_facts(embed, faces), {}
