"""The report: tables in four formats, figures as files, and one page that works without a network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lrface.errors import LrfaceError
from lrface.files import atomic_write
from lrface.reporting.ledger import Ledger
from lrface.reporting.style import variables
from lrface.reporting.tables import Table, to_csv, to_html, to_markdown, to_tex
from lrface.suite.ablations import ablations
from lrface.suite.error_section import draw_error_pairs
from lrface.suite.figures import Figure, draw_figures
from lrface.suite.options import Options
from lrface.suite.result_tables import build_tables
from lrface.suite.task import Task

#: Section -> its title, its tables, and the kinds of figures that follow them.
SECTIONS = {
    "verification": ("Verification", ("lfw", "sweep", "other_pairs"), ("roc", "resolution")),
    "end-to-end": ("Small faces in photos, end to end", ("end_to_end",), ("end-to-end",)),
    "similarities": ("Similarities", ("similarity", "thresholds"), ("histograms", "tsne")),
    "identification": ("Identification", ("uccs",), ()),
    "retrieval": ("Retrieval", ("tinyface", "survface", "scface"), ("cmc", "open-set")),
    "ablations": ("Ablations", (), ("ablation",)),
    "errors": ("Hardest errors", (), ()),
    "costs": ("Costs", ("costs",), ()),
    "not-run": ("Not run", ("not_run",), ()),
    "origins": ("Origins", ("models", "origins"), ()),
}


@dataclass
class _Section:
    anchor: str
    title: str
    tables: list[dict[str, Any]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tables or self.figures or self.errors)


def write_report(
    options: Options, results: dict[str, Any], tasks: list[Task], ledger: Ledger, log: Callable[[str], None]
) -> None:
    """Write ``tables.md``, ``tables.csv``, ``tables.tex``, ``figures/`` and ``report.html`` to ``options.out``.

    If figures cannot be drawn, a warning names them, and the rest of the report is written.

    Raises:
        LrfaceError: a file cannot be written, or a published table is damaged.
    """
    rows = results["rows"]
    shown = ablations(results["ablations"], options.published)
    tables = [*build_tables(rows, options.side, options.published), *(each.table for each in shown)]
    for name, text in (("tables.md", to_markdown), ("tables.csv", to_csv), ("tables.tex", to_tex)):
        _write(options.out / name, text(tables))
    folder = options.out / "figures"
    for old in folder.glob("*"):
        old.unlink()
    troubles: list[str] = []
    figures = _attempt(lambda: draw_figures(options, rows, ledger, folder, shown), "figures", troubles, [])
    errors = []
    if options.faces:
        errors = _attempt(lambda: draw_error_pairs(options, tasks, rows, ledger, folder), "faces", troubles, [])
    page = _page(options, results, _sections(tables, figures, errors, {each.table.name for each in shown}), troubles)
    _write(options.out / "report.html", page)
    for trouble in troubles:
        log(f"warning: {trouble}")
    log(f"wrote {options.out / 'report.html'}")


def _attempt(draw: Callable[[], Any], what: str, troubles: list[str], otherwise: Any) -> Any:
    try:
        return draw()
    except Exception as error:  # the tables are needed even if figures fail
        why = str(error) if isinstance(error, LrfaceError) else f"{type(error).__name__}: {error}"
        troubles.append(f"the {what} could not be drawn: {why}")
        return otherwise


def _write(path: Path, text: str) -> None:
    with atomic_write(path, "w") as file:
        file.write(text)


def _sections(
    tables: list[Table], figures: list[Figure], errors: list[dict[str, Any]], ablated: set[str]
) -> list[_Section]:
    sections = []
    for anchor, (title, names, kinds) in SECTIONS.items():
        shown = [
            {"name": table.name, "title": table.title, "html": to_html(table), "notes": table.notes}
            for table in tables
            if (table.name in names if anchor != "ablations" else table.name in ablated)
        ]
        drawn = [figure for figure in figures if figure.kind in kinds]
        sections.append(_Section(anchor, title, shown, drawn, errors if anchor == "errors" else []))
    return [section for section in sections if section]


def _page(options: Options, results: dict[str, Any], sections: list[_Section], troubles: list[str]) -> str:
    from jinja2 import Environment, StrictUndefined

    template = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    rows, suite = results["rows"], results["suite"]
    done = [row for row in rows if row["status"] == "done"]
    warnings = list(troubles)
    if any(row.get("rehearsal") for row in done):
        warnings.append(
            "Rows marked “rehearsal” were measured on sets that `lrface data rehearse` made in the layout of the real "
            "ones. They show that the protocol runs, and are compared with no published number."
        )
    codes = sorted({row["code"]["commit"] or row["code"]["version"] for row in done})
    facts = [
        ("Models", len(results["models"])),
        ("Rows", len(done)),
        ("Not run or failed", sum(row["status"] != "done" for row in rows)),
        (
            "Low resolution",
            f"{suite['side']} px, {suite['kernel']}, {'antialiased' if suite['antialias'] else 'sampled'}",
        ),
        ("Embedding", "sum with mirror image" if suite["flip"] else "single"),
        ("Code", ", ".join(codes) or "-"),
    ]
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    packages = ", ".join(f"{name} {version}" for name, version in suite["packages"].items())
    return environment.from_string(template).render(
        title="lrface benchmark",
        lead="Low-resolution face recognition, every protocol on every model. In each column the best number is bold and the "
        "second underlined, among rows that may be compared.",
        variables=variables(),
        sections=sections,
        facts=facts,
        warnings=warnings,
        footer=f"Written {written} by lrface. Python {suite['python']}, {packages}.",
    )
