"""Hooks of the documentation site: they insert published tables, and convert equations to MathML and roles to links.

MkDocs calls the two functions at the end for every page, see ``hooks`` in ``mkdocs.yml``. Everything is done while the site is
built, so that a page runs no script of another server.
"""

import csv
import html
import re
from pathlib import Path
from textwrap import indent
from typing import Any

from latex2mathml.converter import convert

PUBLISHED = Path(__file__).parents[1] / "benchmarks" / "published"

#: ``<!-- published: uccs_identification.csv -->`` is replaced by the table in that file.
_TABLE = re.compile(r"^( *)<!-- published: ([\w.]+) -->", re.MULTILINE)

#: Output of pymdownx.arithmatex for ``$...$`` and ``$$...$$``.
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)

#: ``:class:`lrface.FaceEncoder``` in a docstring, as Markdown leaves it. The links do not need the role's name.
_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc|obj):<code>([\w.]+)</code>")


def markdown_table(file: Path) -> str:
    """A CSV file as a Markdown table. Columns of numbers are aligned to the right."""
    head, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    numeric = [all(re.fullmatch(r"[\d.]*", row[at]) for row in rows) for at in range(len(head))]
    rule = ["---:" if each else "---" for each in numeric]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def _math(found: re.Match[str], display: str) -> str:
    return convert(html.unescape(found[1]).strip(), display=display)


def render_math(page: str) -> str:
    """The page's HTML with every equation as MathML."""
    page = _INLINE.sub(lambda found: _math(found, "inline"), page)
    return _BLOCK.sub(lambda found: f'<div class="equation">{_math(found, "block")}</div>', page)


def link_roles(page: str) -> str:
    """The page's HTML with every role as a link, or as plain code if the site does not document the name."""
    return _ROLE.sub(r'<autoref optional identifier="\1"><code>\1</code></autoref>', page)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs for the Markdown of every page. A page that is alone in its tab gets no list of the tab's pages."""
    if page.parent is None:
        page.meta.setdefault("hide", ["navigation"])
    return _TABLE.sub(lambda found: indent(markdown_table(PUBLISHED / found[2]), found[1]), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Called by MkDocs for the HTML of every page. Source code that a page shows is unfolded, because it is the content."""
    content = content.replace('<details class="mkdocstrings-source"', '<details open class="mkdocstrings-source"')
    return link_roles(render_math(content))
