"""Times in the format of galleries."""

from datetime import UTC, datetime


def now() -> str:
    """The present time, ISO 8601 in UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
