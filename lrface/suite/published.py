"""Published figures, from the CSV tables in ``benchmarks/published``."""

import csv
from dataclasses import dataclass
from pathlib import Path

from lrface.errors import LrfaceError


@dataclass(frozen=True)
class Published:
    """One published row.

    Attributes:
        model: name of the method.
        publication: its source.
        resolution: side of the input in pixels as printed, such as ``16x16``; empty if the table has none.
        values: by column, as fractions in [0, 1].
    """

    model: str
    publication: str
    resolution: str
    values: dict[str, float]


def read_published(folder: Path | None, name: str, percent: bool) -> list[Published]:
    """Read one table, such as ``lfw_verification``; empty if there is no such file.

    Args:
        folder: of the tables.
        name: of the file, without ``.csv``.
        percent: True if the file has percents and not fractions.

    Raises:
        LrfaceError: the table has a cell that is not a number, or lacks the columns of names.
    """
    path = folder / f"{name}.csv" if folder else None
    if path is None or not path.exists():
        return []
    rows = []
    with open(path, newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), 2):
            try:
                plain = {key: row.pop(key) for key in ("model", "publication")}
                resolution = row.pop("resolution", "")
                values = {key: float(text) / (100 if percent else 1) for key, text in row.items() if text}
            except (KeyError, ValueError) as error:
                raise LrfaceError(f"{path} line {number} is not as published tables are: {error}") from error
            rows.append(Published(plain["model"], plain["publication"], resolution, values))
    return rows
