"""The data of ``lrface finetune``: a folder per person, a store, UCCS, or TinyFace. The kind is detected from the files."""

from dataclasses import dataclass
from pathlib import Path

from lrface.data.crop import Settings
from lrface.data.face_list import FaceList, read_marker
from lrface.data.sets.uccs import SPLIT_FILE, Uccs, read_uccs
from lrface.data.sets.uccs_challenge import is_challenge
from lrface.errors import LrfaceError
from lrface.files import require_path
from lrface.finetune.labelled_images import LabelledImages, from_folder, from_images, from_list, from_store
from lrface.models.embedder import Embedder
from lrface.recognition.encoder import FaceEncoder


@dataclass(frozen=True)
class FinetuneData:
    """Opened data.

    Attributes:
        kind: ``folder``, ``store``, ``uccs`` or ``tinyface``.
        people: the people to learn.
        test: test images of the same people for UCCS, else None.
        notes: remarks for reports.
    """

    kind: str
    people: LabelledImages
    test: LabelledImages | None = None
    notes: tuple[str, ...] = ()


def open_data(
    source: str | Path,
    embedder: Embedder,
    detector: str = "auto",
    face: str = "largest-central",
    device: str = "cpu",
    turn: bool = True,
) -> FinetuneData:
    """Open data. No image is read.

    Args:
        source: see the module's text.
        embedder: the backbone.
        detector: as for :class:`lrface.recognition.encoder.FaceEncoder`. By default TinyFace's images are used as faces,
            and UCCS's faces are aligned by its own landmarks.
        face: the rule for several faces.
        device: of the detector.
        turn: as for :class:`lrface.recognition.encoder.FaceEncoder`.

    Raises:
        LrfaceError: there is no such data, or it is damaged.
    """
    root = Path(require_path(source))
    if root.is_dir() and any(root.glob("shard-*-of-*")):
        if detector not in ("auto", "none"):
            raise LrfaceError(f"{root} is a store, whose crops are cut already: leave --detector out")
        return FinetuneData("store", from_store(root))
    if (root / "Training_Set").is_dir():
        chosen = "none" if detector == "auto" else detector
        encoder = FaceEncoder(embedder, chosen, face, device, turn=turn)
        people = from_folder(root / "Training_Set", encoder, {"detector": chosen, "face": face})
        return FinetuneData("tinyface", people, notes=_rehearsal(root))
    encoder = FaceEncoder(embedder, detector, face, device, turn=turn)
    if root.suffix == ".csv" or (root / SPLIT_FILE).is_file() or is_challenge(root):
        return _open_uccs(read_uccs(root), str(root), encoder, detector, face, device)
    return FinetuneData(
        "folder", from_folder(root, encoder, {"detector": encoder.detector, "face": face}), None, _rehearsal(root)
    )


def _open_uccs(uccs: Uccs, source: str, encoder: FaceEncoder, detector: str, face: str, device: str) -> FinetuneData:
    def part(faces: FaceList) -> LabelledImages:
        if faces.landmarks is not None and detector == "auto":
            return from_list(faces, Settings(detector="landmarks"), uccs.names, device=device, source=source)
        return from_images(faces, uccs.names, encoder, {"detector": encoder.detector, "face": face}, source)

    notes = (f"split: {uccs.split}", *uccs.notes, *(("a rehearsal, not UCCS itself",) if uccs.rehearsal else ()))
    return FinetuneData("uccs", part(uccs.train), part(uccs.test), notes)


def _rehearsal(root: Path) -> tuple[str, ...]:
    return ("a rehearsal, not the set itself",) if root.is_dir() and read_marker(root) else ()
