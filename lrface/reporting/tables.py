"""Tables with marks for the best and second-best values, and their output in four formats."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any, Literal

Mark = Literal["best", "second", ""]

#: Text for a missing value.
NOTHING = "-"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: of the value in a line.
        title: heading.
        scale: factor for the shown value: 100 for percent.
        digits: after the decimal point; None for text.
        better: which values are marked as best; None for no marks.
    """

    key: str
    title: str
    scale: float = 1.0
    digits: int | None = None
    better: Literal["higher", "lower"] | None = None


@dataclass(frozen=True)
class Line:
    """A row of a table.

    Attributes:
        group: heading above the row.
        values: by column: a number, a pair of number and spread, text, or None.
        rivals: lines with the same value are compared with each other; None: the line is not compared.
    """

    group: str
    values: dict[str, Any]
    rivals: str | None = None


@dataclass(frozen=True)
class Table:
    """A table. Columns and lines are shown in the given order."""

    name: str
    title: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    notes: Sequence[str] = field(default_factory=tuple)

    def pruned(self) -> "Table":
        """The table without the columns in which no line has a value."""
        used = [column for column in self.columns if any(self.cell(line, column) != NOTHING for line in self.lines)]
        return replace(self, columns=used)

    @property
    def groups(self) -> list[str]:
        """Headings of the groups, in the order of the lines."""
        return list(dict.fromkeys(line.group for line in self.lines))

    def cell(self, line: Line, column: Column) -> str:
        """A value as it is printed; a dash if it is missing."""
        value = line.values.get(column.key)
        if value is None or value == "":
            return NOTHING
        if column.digits is None or isinstance(value, str):
            return str(value)
        number, spread = value if isinstance(value, tuple) else (value, None)
        if number is None:
            return NOTHING
        shown = f"{column.scale * number:.{column.digits}f}"
        return shown if spread is None else f"{shown} ± {column.scale * spread:.{column.digits}f}"

    def mark(self, line: Line, column: Column) -> Mark:
        """``best`` or ``second`` among the rivals. Values that are printed alike get the same mark."""
        if column.better is None or line.rivals is None:
            return ""
        rivals = [other for other in self.lines if other.rivals == line.rivals]
        shown = [self._shown(other, column) for other in rivals]
        ranked = sorted({value for value in shown if value is not None}, reverse=column.better == "higher")
        own = self._shown(line, column)
        if own is None or len(ranked) < 2:  # a best value among only one would mean nothing
            return ""
        return "best" if own == ranked[0] else "second" if own == ranked[1] else ""

    def _shown(self, line: Line, column: Column) -> float | None:
        number = re.match(r"-?\d+(\.\d+)?", self.cell(line, column))
        return float(number[0]) if number else None

    def numeric(self, column: Column) -> bool:
        """Whether the column is aligned to the right."""
        return column.digits is not None


def to_markdown(tables: Sequence[Table]) -> str:
    """Tables as Markdown, with the best values in bold and the second-best underlined."""
    wrap = {"best": "**{}**", "second": "<u>{}</u>", "": "{}"}
    parts = []
    for table in tables:
        parts += [f"## {table.title}", ""]
        for group in table.groups:
            parts += [f"**{_pipe(group)}**", ""] if group else []
            parts.append("| " + " | ".join(_pipe(column.title) for column in table.columns) + " |")
            parts.append("|" + "|".join("---:" if table.numeric(column) else "---" for column in table.columns) + "|")
            for line in (line for line in table.lines if line.group == group):
                cells = [wrap[table.mark(line, c)].format(_pipe(table.cell(line, c))) for c in table.columns]
                parts.append("| " + " | ".join(cells) + " |")
            parts.append("")
        parts += [f"- {note}" for note in table.notes] + ([""] if table.notes else [])
    return "\n".join(parts)


def to_csv(tables: Sequence[Table]) -> str:
    """Tables as CSV with one value per line: ``table, group, row, column, value, spread, mark``. Rates are fractions."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["table", "group", "row", "column", "value", "spread", "mark"])
    for table in tables:
        for number, line in enumerate(table.lines, 1):
            for column in table.columns:
                value = line.values.get(column.key)
                plain, spread = value if isinstance(value, tuple) else (value, None)
                row = [table.name, line.group, number, column.key, plain, spread, table.mark(line, column)]
                writer.writerow(["" if field is None else field for field in row])
    return file.getvalue()


def to_tex(tables: Sequence[Table]) -> str:
    """Tables as LaTeX with ``booktabs``, each in a ``table*``, with the best values in bold, the second-best underlined."""
    wrap = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}", "": "{}"}
    parts = [r"% \usepackage{booktabs}"]
    for table in tables:
        kinds = "".join("r" if table.numeric(column) else "l" for column in table.columns)
        parts += [r"\begin{table*}", r"\centering\small", rf"\caption{{{tex_escape(table.title)}}}"]
        parts += [rf"\label{{tab:{table.name}}}", rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
        parts += [" & ".join(tex_escape(column.title) for column in table.columns) + r" \\", r"\midrule"]
        for number, group in enumerate(table.groups):
            parts += [r"\midrule"] if number else []
            width = len(table.columns)
            parts += [rf"\multicolumn{{{width}}}{{l}}{{\emph{{{tex_escape(group)}}}}} \\"] if group else []
            for line in (line for line in table.lines if line.group == group):
                cells = [wrap[table.mark(line, c)].format(tex_escape(table.cell(line, c))) for c in table.columns]
                parts.append(" & ".join(cells) + r" \\")
        parts += [r"\bottomrule", r"\end{tabular}", r"\end{table*}", ""]
    return "\n".join(parts)


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "–": "--", "×": r"$\times$", "…": r"\ldots{}",
}  # fmt: skip


def tex_escape(text: str) -> str:
    """Escape a text for LaTeX."""
    return "".join(_TEX.get(character, character) for character in text)


def to_html(table: Table) -> str:
    """A table as HTML ``<table>`` with a caption; the best values in ``<strong>``, the second-best in ``<u>``."""
    wrap = {"best": "<strong>{}</strong>", "second": "<u>{}</u>", "": "{}"}
    head = "".join(f'<th scope="col"{_side(table, column)}>{escape(column.title)}</th>' for column in table.columns)
    parts = ["<table>", f"<caption>{escape(table.title)}</caption>", f"<thead><tr>{head}</tr></thead>"]
    for group in table.groups:
        parts.append("<tbody>")
        if group:
            parts.append(
                f'<tr class="group"><th colspan="{len(table.columns)}" scope="rowgroup">{escape(group)}</th></tr>'
            )
        for line in (line for line in table.lines if line.group == group):
            cells = [
                f"<td{_side(table, c)}>{wrap[table.mark(line, c)].format(_quiet(escape(table.cell(line, c))))}</td>"
                for c in table.columns
            ]
            parts.append(f"<tr>{''.join(cells)}</tr>")
        parts.append("</tbody>")
    parts.append("</table>")
    return "\n".join(parts)


def _side(table: Table, column: Column) -> str:
    return ' class="number"' if table.numeric(column) else ""


def _quiet(cell: str) -> str:
    return '<span class="none">–</span>' if cell == NOTHING else cell


def _pipe(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
