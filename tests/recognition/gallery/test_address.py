"""Addresses of galleries: what is read of them, and that no password is shown."""

from pathlib import Path

import pytest

from lrface.errors import LrfaceError
from lrface.recognition.gallery.address import Address, is_address, shown


@pytest.mark.parametrize(
    ("text", "uri", "schema", "seen"),
    [
        ("postgresql://db.local/faces", "postgresql://db.local/faces", "lrface", "postgresql://db.local/faces"),
        (
            "postgres://ann:s3cret@db:5433/faces?schema=staff", "postgresql://ann:s3cret@db:5433/faces", "staff",
            "postgresql://ann@db:5433/faces?schema=staff",
        ),
        (
            "POSTGRESQL://ann:p%40ss@a:1,b:2/faces?sslmode=require&password=s3cret",
            "postgresql://ann:p%40ss@a:1,b:2/faces?sslmode=require&password=s3cret", "lrface",
            "postgresql://ann@a:1,b:2/faces",
        ),
        (
            "postgresql:///faces?host=/run/pg&user=ann", "postgresql:///faces?host=%2Frun%2Fpg&user=ann", "lrface",
            "postgresql:///faces?host=/run/pg&user=ann",
        ),
        ("postgresql://ann@[::1]:5432/faces", "postgresql://ann@[::1]:5432/faces", "lrface", "postgresql://ann@[::1]:5432/faces"),
    ],
)  # fmt: skip
def test_what_is_read_and_shown(text, uri, schema, seen):
    assert is_address(text)
    address = Address.parse(text)
    assert (address.uri, address.schema, address.shown, shown(text)) == (uri, schema, seen, seen)


@pytest.mark.parametrize("place", ["gallery", Path("gallery"), "/srv/postgresql", "postgresql", "my-postgresql:/x"])
def test_folders_are_no_addresses(place):
    assert not is_address(place)
    assert shown(place) == str(place)


@pytest.mark.parametrize("sign", "@/?#")
def test_a_password_with_signs_that_are_not_encoded_is_never_repeated(sign):
    for place in (f"postgresql://ann:s3{sign}cret@db/faces", f"postgresql://ann:{sign}s3cret@db:5432/faces?schema=x"):
        with pytest.raises(LrfaceError, match="cannot be read: give postgresql://USER@HOST") as error:
            Address.parse(place)
        assert "s3" not in str(error.value)
        assert "cret" not in str(error.value)
        assert error.value.__cause__ is None


@pytest.mark.parametrize(
    "text",
    [
        "postgresql:/db/faces",
        "postgresql:faces",
        "mysql://db/faces",
        "postgresql://db:port/faces",
        "postgresql://[::1/faces",
        "postgresql://db/faces?schema",
    ],
)
def test_what_is_no_address(text):
    assert is_address(text)
    with pytest.raises(LrfaceError, match="cannot be read"):
        Address.parse(text)


@pytest.mark.parametrize("schema", ["", "Staff", "a-b", 'x";drop table faces', "1st", "x" * 64])
def test_what_is_no_schema(schema):
    with pytest.raises(LrfaceError, match="lower-case letters, digits and underscores"):
        Address.parse(f"postgresql://db/faces?schema={schema}")
