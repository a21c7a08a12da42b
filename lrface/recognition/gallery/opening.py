"""Opening the store of a gallery: that it is whole, and with which model its faces were embedded."""

from pathlib import Path

from lrface.errors import LrfaceError
from lrface.recognition.encoder import FaceEncoder
from lrface.recognition.gallery.protocol import EXACT_LIMIT, GalleryStore
from lrface.recognition.gallery.stores import open_store

#: Smallest ``exact_limit``: the number of faces needed to train an approximate index.
LEAST_LIMIT = 100


def open_whole(place: str | Path) -> GalleryStore:
    """Open the store of an existing gallery.

    Raises:
        LrfaceError: there is no gallery, it is an incomplete copy, it is damaged, or it cannot be read or written.
    """
    return _checked(open_store(place))


def open_for(
    place: str | Path, encoder: FaceEncoder | None, create: bool, exact_limit: int | None
) -> tuple[GalleryStore, FaceEncoder | None]:
    """Open the store of a gallery for a model; see :meth:`lrface.recognition.gallery.gallery.Gallery.open`.

    Returns:
        The store, and the encoder that embeds its faces: the given one, or one with a member of its family.
    """
    if exact_limit is not None and exact_limit < LEAST_LIMIT:
        raise LrfaceError(f"an exact limit of {exact_limit} makes no sense: {LEAST_LIMIT} at least")
    if encoder is None or not create:
        store = open_whole(place)
    else:
        embedder = encoder.embedder
        name = str(embedder.card.get("name", "unnamed"))
        store = _checked(open_store(place, lambda: (embedder.fingerprint, name, embedder.dim)))
    try:
        if encoder is not None:
            encoder = _encoder_of(store, encoder)
        if exact_limit is not None and store.meta.get("exact_limit", EXACT_LIMIT) != exact_limit:
            store.write_meta("exact_limit", exact_limit)
    except BaseException:
        store.close()
        raise
    return store, encoder


def _checked(store: GalleryStore) -> GalleryStore:
    """The store. Closes it, and raises LrfaceError, if it is an incomplete copy."""
    if origin := store.meta.get("copying"):
        store.close()
        raise LrfaceError(
            f"{store.place} is a copy of {origin} that is not whole: run `lrface gallery copy {origin} {store.place}` again"
        )
    return store


def _encoder_of(store: GalleryStore, encoder: FaceEncoder) -> FaceEncoder:
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
