"""People's names: how they are kept, and when two are the same."""

import unicodedata

from lrface.errors import LrfaceError


def checked_name(name: str) -> str:
    """A person's name as it is kept: in Unicode's composed form, without blanks around it.

    Raises:
        LrfaceError: it is empty, longer than 200 characters, or holds control characters.
    """
    kept = unicodedata.normalize("NFC", name).strip()
    if not kept or len(kept) > 200 or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in kept):
        raise LrfaceError(f"{name!r} cannot be a person's name: give 1 to 200 characters without line breaks")
    return kept


def name_key(name: str) -> str:
    """What two spellings of one name have in common: neither case nor blanks around or repeated nor composition count."""
    folded = " ".join(unicodedata.normalize("NFC", name).split()).casefold()
    return unicodedata.normalize("NFC", folded)
