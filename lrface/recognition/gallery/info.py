"""Facts about a gallery: its model, its sizes, its risk."""

from typing import Any

from lrface.errors import LrfaceError
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery.protocol import GalleryStore
from lrface.recognition.gallery.risk import stranger_risk
from lrface.recognition.gallery.search import SEARCH_FAR


def describe(store: GalleryStore) -> dict[str, Any]:
    """See :meth:`lrface.recognition.gallery.gallery.Gallery.info`."""
    with store.reading():
        totals, record = store.totals(), store.read_base()
        meta, members = store.read_meta(), store.members()
    return {
        "folder": store.place,
        "people": totals.people,
        "faces": totals.faces,
        "model": meta["model"],
        "model_name": meta["model_name"],
        "members": members,
        "dim": meta["dim"],
        "created": meta["created"],
        "exact_limit": totals.exact_limit,
        "risk": stranger_risk(SEARCH_FAR, totals.faces),
        "risk_far": SEARCH_FAR,
        "index": record and {key: record[key] for key in ("kind", "faces", "bytes", "recall")},
        "bytes": store.size(),
    }


def encoder_of(store: GalleryStore, encoder: FaceEncoder) -> FaceEncoder:
    """The encoder with which a gallery was made: the given one, or one with a member of its family.

    Raises:
        LrfaceError: the gallery was made with another model.
    """
    own = encoder.embedder.fingerprint
    if store.meta["model"] == own:
        return encoder
    single = encoder.only(store.meta["model"])
    if single is not None:
        return single
    name = store.meta["model_name"]
    hint = "name that model with --model"
    if encoder.embedder.card.get("name") == name:
        hint = f"{name} had other members then: give the same --sharp as then, or none"
    raise LrfaceError(
        f"the gallery {store.place} was made with the model {name} ({store.meta['model'][:12]}), and this one is "
        f"{own[:12]}: {hint}, or move it to this model with lrface gallery reembed"
    )
