"""The report section with the hardest errors. It shows faces of the data, so it can be left out."""

from pathlib import Path
from typing import Any

from lrface.data.sets.pair_set import PairSet
from lrface.faces.degrade import Degradation
from lrface.faces.images import encode_image
from lrface.reporting.ledger import Ledger
from lrface.reporting.style import data_uri, slug
from lrface.suite.error_pairs import ErrorPair, hardest, write_error_pairs
from lrface.suite.options import Options
from lrface.suite.table_parts import data_name
from lrface.suite.task import Task

KINDS = (
    ("accepts", "Hardest false accepts: different people, the most alike."),
    ("rejects", "Hardest false rejects: one person, the least alike."),
)


def draw_error_pairs(
    options: Options, tasks: list[Task], rows: list[dict[str, Any]], ledger: Ledger, folder: Path
) -> list[dict[str, Any]]:
    """The page's entries about each model on LFW at low resolution. The same faces are written as sheets to ``folder``."""
    shown = []
    loaded: PairSet | None = None
    for task, row in zip(tasks, rows, strict=False):
        if not _is_main(task, row, options):
            continue
        loaded = loaded or task.set.load()
        operator = Degradation(**task.options["degradation"])
        both = hardest(loaded, ledger.arrays(row["key"])["similarities"], operator)
        kinds = []
        for (name, text), errors in zip(KINDS, both, strict=True):
            if errors:
                write_error_pairs(errors, folder / f"hardest_{name}_{slug(row['model'])}.png")
                kinds.append((text, [_shown(pair) for pair in errors]))
        title = f"{row['model']}, {data_name(row)} at {operator.name}"
        shown.append({"title": title, "kinds": kinds})
    return shown


def _is_main(task: Task, row: dict[str, Any], options: Options) -> bool:
    wanted = row["status"] == "done" and task.protocol == "verification" and task.set.name == "lfw"
    return wanted and row["mode"] == "lr-lr" and row["side"] == options.side


def _shown(pair: ErrorPair) -> dict[str, Any]:
    first, second = pair.names
    people = f"{first} and {second}, " if first else ""
    faces = [
        {"size": size, "uri": _uri(image, size), "alt": f"{name or 'a face'}, {text}"}
        for size, images, text in (("full", pair.full, "full size"), ("low", pair.low, "as the model saw it"))
        for image, name in zip(images, pair.names, strict=True)
    ]
    return {"faces": faces, "caption": f"{people}similarity {pair.similarity:.3f}"}


def _uri(image: Any, size: str) -> str:
    """Encode small faces without loss, large ones as JPEG."""
    return data_uri(encode_image(image, "png"), "png") if size == "low" else data_uri(encode_image(image), "jpeg")
