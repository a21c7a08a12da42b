"""Facts about a gallery: its model, its sizes, its risk."""

from typing import Any

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
