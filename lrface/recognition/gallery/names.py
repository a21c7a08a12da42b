"""People's names: their stored form, and when two names are equal."""

import unicodedata

from lrface.errors import LrfaceError


def checked_name(name: str) -> str:
    """The stored form of a person's name: in Unicode's composed form, without spaces around it.

    Raises:
        LrfaceError: it is empty, longer than 200 characters, or has control characters.
    """
    kept = unicodedata.normalize("NFC", name).strip()
    if not kept or len(kept) > 200 or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in kept):
        raise LrfaceError(f"{name!r} cannot be a person's name: give 1 to 200 characters without line breaks")
    return kept


def name_key(name: str) -> str:
    """The key of a name. Names that differ only in case, extra spaces or Unicode composition have the same key."""
    folded = " ".join(unicodedata.normalize("NFC", name).split()).casefold()
    return unicodedata.normalize("NFC", folded)
