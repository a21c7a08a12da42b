"""Marks of the best and second best, and the four ways to write a table."""

import csv
import io
from html.parser import HTMLParser

import pytest

from lrface.reporting.tables import Column, Line, Table, tex_escape, to_csv, to_html, to_markdown, to_tex

ACCURACY = Column("accuracy", "Accuracy %", 100, 2, "higher")
ERROR = Column("error", "EER %", 100, 1, "lower")


def table(*lines: Line) -> Table:
    return Table("lfw", "LFW at 16 px", (Column("model", "Model"), ACCURACY, ERROR), lines, ["a note"])


def marks(made: Table, column: Column) -> list[str]:
    return [made.mark(line, column) for line in made.lines]


def line(model: str, accuracy: object, error: object = None, rivals: str | None = "lr", group: str = "ours") -> Line:
    return Line(group, {"model": model, "accuracy": accuracy, "error": error}, rivals)


def test_best_and_second_are_marked_whatever_group_they_stand_in() -> None:
    made = table(line("a", 0.9025, group="published"), line("b", 0.9525, group="published"), line("c", 0.94))

    assert marks(made, ACCURACY) == ["", "best", "second"]


def test_lower_may_be_better() -> None:
    assert marks(table(line("a", 0.5, 0.2), line("b", 0.5, 0.1), line("c", 0.5, 0.3)), ERROR) == ["second", "best", ""]


def test_what_is_printed_alike_is_marked_alike() -> None:
    made = table(line("a", 0.95251), line("b", (0.95249, 0.01)), line("c", 0.9499), line("d", 0.9))

    assert marks(made, ACCURACY) == ["best", "best", "second", ""]


def test_rows_are_compared_with_their_rivals_alone() -> None:
    made = table(
        line("a", 0.99, rivals="hr"),
        line("b", 0.97, rivals="hr"),
        line("c", 0.8),
        line("d", 0.7),
        line("e", 1.0, rivals=None),
    )

    assert marks(made, ACCURACY) == ["best", "second", "best", "second", ""]


def test_the_only_number_is_no_best() -> None:
    assert marks(table(line("a", 0.9), line("b", None)), ACCURACY) == ["", ""]


def test_markdown_has_bold_and_underline_and_keeps_its_columns() -> None:
    text = to_markdown([table(line("a|b", (0.9025, 0.0123)), line("c", 0.8, group="theirs"))])

    assert r"| a\|b | **90.25 ± 1.23** | - |" in text
    assert "| c | <u>80.00</u> | - |" in text
    assert "**theirs**" in text
    assert "- a note" in text


def test_csv_keeps_numbers_as_they_are() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv([table(line("a", (0.90254, 0.01)), line('b "x", y', 0.5))]))))

    first = next(row for row in rows if row["row"] == "1" and row["column"] == "accuracy")
    assert (first["value"], first["spread"], first["mark"], first["table"]) == ("0.90254", "0.01", "best", "lfw")
    assert [row["value"] for row in rows if row["row"] == "2" and row["column"] == "model"] == ['b "x", y']


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("50 % of $3 & #1", r"50 \% of \$3 \& \#1"),
        ("a_b^c~d", r"a\_b\textasciicircum{}c\textasciitilde{}d"),
        (r"back\slash {x}", r"back\textbackslash{}slash \{x\}"),
        ("90.1 ± 0.2 <s>", r"90.1 $\pm$ 0.2 \textless{}s\textgreater{}"),
    ],
)
def test_tex_prints_text_as_it_is(text: str, escaped: str) -> None:
    assert tex_escape(text) == escaped


def test_tex_has_a_row_for_each_line_with_its_marks() -> None:
    text = to_tex([table(line("R&D_16", (0.9025, 0.0123)), line("c", 0.8))])

    assert r"R\&D\_16 & \textbf{90.25 $\pm$ 1.23} & - \\" in text
    assert r"c & \underline{80.00} & - \\" in text
    assert text.count(r"\begin{tabular}{lrr}") == text.count(r"\end{tabular}") == 1
    assert r"Accuracy \%" in text


def test_html_escapes_and_balances() -> None:
    text = to_html(table(line("<script>&", 0.9), line("c", 0.8, group="a & b")))

    class Check(HTMLParser):
        open: list[str]

        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    check = Check()
    check.open = []
    check.feed(text)
    assert not check.open
    assert "&lt;script&gt;&amp;" in text
    assert "<strong>90.00</strong>" in text
    assert "<u>80.00</u>" in text


def test_pruned_leaves_columns_without_values_out() -> None:
    made = table(line("a", 0.9), line("b", None)).pruned()

    assert [column.key for column in made.columns] == ["model", "accuracy"]
