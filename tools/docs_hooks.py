"""Hooks of the documentation site: equations become MathML, and the roles in docstrings become links.

MkDocs calls :func:`on_page_content` for every page, see ``hooks`` in ``mkdocs.yml``. Both changes are made while the site is
built, so that a reader's browser runs no script of another server.
"""

import html
import re
from typing import Any

from latex2mathml.converter import convert

#: What pymdownx.arithmatex writes for ``$...$`` and ``$$...$$``.
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)

#: ``:class:`lrface.FaceEncoder``` in a docstring, as Markdown leaves it. The site can do without the role's name.
_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc|obj):<code>([\w.]+)</code>")


def _math(found: re.Match[str], display: str) -> str:
    return convert(html.unescape(found[1]).strip(), display=display)


def render_math(page: str) -> str:
    """The page's HTML, with every equation as MathML."""
    page = _INLINE.sub(lambda found: _math(found, "inline"), page)
    return _BLOCK.sub(lambda found: f'<div class="equation">{_math(found, "block")}</div>', page)


def link_roles(page: str) -> str:
    """The page's HTML, with every role as a link to the name, or as plain code if the site does not describe the name."""
    return _ROLE.sub(r'<autoref optional identifier="\1"><code>\1</code></autoref>', page)


def on_page_content(content: str, **_: Any) -> str:
    """Called by MkDocs for the HTML of every page."""
    return link_roles(render_math(content))
