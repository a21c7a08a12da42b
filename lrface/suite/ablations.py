"""Results of ``lrface sweep`` over keys of a recipe: their tables and curves in the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import read_json
from lrface.reporting.style import Canvas
from lrface.reporting.tables import Table
from lrface.suite.object_tables import is_of_objects, object_table
from lrface.sweep.report import draw_curve, make_table
from lrface.sweep.spec import SweepSpec
from lrface.train.schema import parse

#: The keys of each run that the report needs. The history would be most of ``results.json``.
_RUN_KEYS = ("point", "seed", "value", "status", "reason", "seconds", "code", "budget", "hardware")


@dataclass(frozen=True)
class Ablation:
    """One sweep: its table, and the function that draws its curve (None with fewer than two finished points)."""

    table: Table
    draw: Callable[[Canvas], Any] | None


def read_sweeps(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Read the results of ``lrface sweep`` in each folder, or in the folders in it, without the histories of the runs.

    Raises:
        LrfaceError: there are no results of a sweep, or they are damaged.
    """
    found = []
    for folder in folders:
        own = folder / "results.json"
        files = [own] if own.exists() else sorted(folder.glob("*/results.json"))
        sweeps = [content for content in map(read_json, files) if isinstance(content, dict) and "sweep" in content]
        if not sweeps:
            raise LrfaceError(f"--ablations {folder}: no results of `lrface sweep` there")
        found += [sweep | {"runs": [_trimmed(run) for run in sweep["runs"]]} for sweep in sweeps]
    return found


def _trimmed(run: dict[str, Any]) -> dict[str, Any]:
    return {key: run[key] for key in _RUN_KEYS if key in run}


def ablations(sweeps: Sequence[dict[str, Any]], published: Path | None = None) -> list[Ablation]:
    """Make tables and curves of the results that :func:`read_sweeps` read.

    Args:
        sweeps: of faces or of objects.
        published: folder of the published tables, for sweeps of objects that name a column of one.

    Raises:
        LrfaceError: a sweep was written by another version, or names a published column that does not exist.
    """
    return [_ablation(sweep, published) for sweep in sweeps]


def _ablation(sweep: dict[str, Any], published: Path | None) -> Ablation:
    spec = parse(SweepSpec, sweep["sweep"], "--ablations")
    done = [row for row in sweep["rows"] if row["mean"] is not None]
    if is_of_objects(sweep):
        table = object_table(sweep, spec, published)
    else:
        table = make_table(spec, Path(sweep["base"]), sweep["rows"], sweep["runs"])
    return Ablation(table, (lambda canvas: draw_curve(canvas, spec, done)) if len(done) > 1 else None)
