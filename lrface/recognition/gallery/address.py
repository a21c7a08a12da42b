"""Addresses of galleries in PostgreSQL. They are never shown with a password."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from lrface.errors import LrfaceError

_SCHEMES = ("postgresql", "postgres")

#: Default schema of the tables.
SCHEMA = "lrface"

#: Parameters that are shown.
_SHOWN = ("host", "port", "dbname", "user", "schema")


def is_address(place: str | Path) -> bool:
    """Whether a gallery's place is an address, perhaps a wrong one, rather than a folder."""
    return re.match(rf"({'|'.join(_SCHEMES)}):|[a-z][a-z0-9+.-]*://", str(place), re.IGNORECASE) is not None


def shown(place: str | Path) -> str:
    """A gallery's place for messages: an address without its password, a folder unchanged.

    Raises:
        LrfaceError: the address is invalid.
    """
    return Address.parse(str(place)).shown if is_address(place) else str(place)


@dataclass(frozen=True)
class Address:
    """Where a gallery is in PostgreSQL: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME``.

    All but the schema is a connection URI of libpq, whose parameters and environment variables count:
    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING. A password is better kept in ``PGPASSWORD``
    or in the file ``~/.pgpass``.

    Attributes:
        uri: for libpq.
        schema: of the tables: lower-case letters, digits and underscores.
        shown: the address without its password.
    """

    uri: str
    schema: str
    shown: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address.

        Raises:
            LrfaceError: it is invalid. The message does not repeat it, as a password may be anywhere in it.
        """
        try:
            parts = urlsplit(text)
            query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError:
            raise _unreadable() from None
        user, _, hosts = parts.netloc.rpartition("@")
        # An unencoded @, /, ? or # of a password ends up in one of these parts.
        doubtful = "@" in user + parts.path + parts.query or bool(parts.fragment) or "://" not in text
        doubtful = doubtful or parts.scheme not in _SCHEMES
        if doubtful or not all(_is_host(host) for host in hosts.split(",")):
            raise _unreadable()
        schema = dict(query).get("schema", SCHEMA)
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
            raise LrfaceError(
                "the schema of a gallery's address is a name of lower-case letters, digits and underscores"
            )
        passed = urlencode([(key, value) for key, value in query if key != "schema"])
        uri = f"postgresql://{parts.netloc}{parts.path}"
        named = user.partition(":")[0]
        public = urlencode([(key, value) for key, value in query if key in _SHOWN], safe="/")
        netloc = f"{named}@{hosts}" if named else hosts
        plain = f"postgresql://{netloc}{unquote(parts.path)}"
        return cls(f"{uri}?{passed}" if passed else uri, schema, f"{plain}?{public}" if public else plain)


def _is_host(text: str) -> bool:
    """Whether this is ``HOST``, ``HOST:PORT``, ``[IPv6]:PORT`` or nothing."""
    return re.fullmatch(r"(\[[0-9A-Fa-f:.%]*\]|[^:\[\]]*)(:\d*)?", text) is not None


def _unreadable() -> LrfaceError:
    return LrfaceError(
        "the address of the gallery cannot be read: give postgresql://USER@HOST:PORT/DATABASE, with the signs @ : / ? # % "
        "of a password written %40 %3A %2F %3F %23 %25, or the password in PGPASSWORD or ~/.pgpass"
    )
