"""Times, as galleries write them."""

from datetime import UTC, datetime


def now() -> str:
    """The time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
