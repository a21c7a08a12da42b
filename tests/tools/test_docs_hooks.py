"""What the hooks of the documentation site make of a page."""

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("latex2mathml", reason="needs the extra `docs`")

import docs_hooks


def test_inline_equations_become_mathml() -> None:
    page = docs_hooks.render_math(r'<p>with <span class="arithmatex">\(a &lt; \tau\)</span></p>')
    assert page.startswith("<p>with <math ")
    assert 'display="inline"' in page
    assert "arithmatex" not in page
    assert "<mi>a</mi><mo>&#x0003C;</mo><mi>&#x003C4;</mi>" in page


def test_displayed_equations_become_mathml_that_can_scroll() -> None:
    page = docs_hooks.render_math('<div class="arithmatex">\\[\n\\frac{n}{m}\n\\]</div>')
    assert page.startswith('<div class="equation"><math ')
    assert 'display="block"' in page
    assert "<mfrac>" in page


def test_roles_become_links_that_may_lead_nowhere() -> None:
    page = docs_hooks.link_roles("see :func:<code>lrface.faces.detail.detail</code>.")
    assert (
        page
        == 'see <autoref optional identifier="lrface.faces.detail.detail"><code>lrface.faces.detail.detail</code></autoref>.'
    )


def test_published_figures_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "figures.csv").write_text("model,accuracy\nours,95.25\nnobody,\n")
    monkeypatch.setattr(docs_hooks, "PUBLISHED", tmp_path)
    page = SimpleNamespace(parent=None, meta={})
    text = docs_hooks.on_page_markdown("Before\n\n<!-- published: figures.csv -->\n", page)
    assert text == "Before\n\n| model | accuracy |\n| --- | ---: |\n| ours | 95.25 |\n| nobody |  |\n"
    assert page.meta == {"hide": ["navigation"]}


def test_a_table_within_a_note_stays_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "figures.csv").write_text("model,accuracy\nours,95.25\n")
    monkeypatch.setattr(docs_hooks, "PUBLISHED", tmp_path)
    text = docs_hooks.on_page_markdown("    <!-- published: figures.csv -->", SimpleNamespace(parent="tab", meta={}))
    assert all(line.startswith("    |") for line in text.splitlines())


def test_source_code_is_unfolded() -> None:
    assert "<details open " in docs_hooks.on_page_content('<details class="mkdocstrings-source">')
