"""Style of all figures and pages of the suite: colours for light and dark mode, lines and fonts.

Figures are drawn in the light palette, in which all colours differ. In the page, each colour is replaced by a CSS
variable, so that one drawing works in light and in dark mode. Lines also differ in dashes and markers, for readers who
see few colours.
"""

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from lrface.files import atomic_write

#: Variable -> (light, dark).
PALETTE = {
    "ink": ("#1d2530", "#e6e9ee"),
    "quiet": ("#5a6675", "#a3adba"),
    "rule": ("#d9dee5", "#39424f"),
    "page": ("#fdfdfc", "#14181e"),
    "panel": ("#f4f5f3", "#1d232b"),
    "accent": ("#14609c", "#7fbcf0"),
    "c0": ("#1f6fb4", "#62b0f2"),
    "c1": ("#c8501e", "#f79363"),
    "c2": ("#15836a", "#4fc9aa"),
    "c3": ("#9c3a8c", "#e08ad1"),
    "c4": ("#8b6b06", "#dcb64a"),
    "c5": ("#5a52c4", "#a7a1ff"),
    "c6": ("#b1243d", "#ff8296"),
    "c7": ("#3f5a6c", "#93b4c9"),
    "c8": ("#527a10", "#a5d35a"),
    "c9": ("#7b4a2d", "#d0a184"),
    "c10": ("#0b7d92", "#5cccdf"),
    "c11": ("#a0527d", "#e8a3c6"),
}

SERIES = [name for name in PALETTE if re.fullmatch(r"c\d+", name)]
_DASHES = ("-", "--", "-.", ":")
_MARKERS = "osD^vPX*<>hd"


def colour(name: str) -> str:
    """The light colour of a CSS variable."""
    return PALETTE[name][0]


def series(number: int) -> dict[str, Any]:
    """Colour and dashes of a line. The first 48 lines all differ."""
    return {
        "color": colour(SERIES[number % len(SERIES)]),
        "linestyle": _DASHES[(number + number // len(SERIES)) % len(_DASHES)],
        "linewidth": 1.8,
    }


def marker(number: int) -> str:
    """The marker of a line."""
    return _MARKERS[number % len(_MARKERS)]


class Canvas:
    """Makes figures without a display and without a change of matplotlib's global state."""

    def subplots(
        self, rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], **options: Any
    ) -> tuple[Any, Any]:
        """A figure and its axes, as ``pyplot.subplots`` returns them."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=figsize)
        return figure, figure.subplots(rows, columns, **options)


@contextmanager
def drawing() -> Iterator[Canvas]:
    """A canvas. Figures that are made inside the block have the suite's style."""
    from matplotlib import rc_context

    ink, quiet, rule = colour("ink"), colour("quiet"), colour("rule")
    settings: Any = {
        "font.family": "DejaVu Sans", "font.size": 9.5, "svg.fonttype": "none", "svg.hashsalt": "lrface",
        "axes.titlesize": 10.5, "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.titlepad": 8,
        "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": quiet, "axes.linewidth": 0.8,
        "axes.labelcolor": ink, "axes.titlecolor": ink, "text.color": ink, "xtick.color": quiet, "ytick.color": quiet,
        "axes.grid": True, "grid.color": rule, "grid.linewidth": 0.7, "axes.axisbelow": True,
        "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
        "legend.fontsize": 9, "figure.constrained_layout.use": True, "figure.dpi": 100,
    }  # fmt: skip
    with rc_context(settings):
        yield Canvas()


def save_figure(figure: Any, folder: Path, name: str) -> str:
    """Write ``name.svg`` and ``name.png`` for light paper.

    Returns:
        The drawing as SVG for the page, for light and dark mode.
    """
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "lrface"})
    drawn = text.getvalue()
    with atomic_write(folder / f"{name}.svg", "w") as file:
        file.write(drawn)
    with atomic_write(folder / f"{name}.png") as file:
        figure.savefig(file, format="png", dpi=160, facecolor="white")
    return _inline(drawn, name)


def _inline(drawn: str, name: str) -> str:
    """An SVG for the page: without prologue, with variables as colours, and with ids that are unique in the page."""
    body = drawn[drawn.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    for variable, (light, _) in PALETTE.items():
        body = body.replace(light, f"var(--{variable})")
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    body = body.replace("'DejaVu Sans'", "system-ui, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans'")
    return re.sub(r"<svg ", f'<svg role="img" aria-labelledby="{name}-caption" ', body, count=1)


def data_uri(encoded: bytes, kind: str) -> str:
    """An image as a data URI for the page. ``kind`` is ``png`` or ``jpeg``."""
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def variables() -> str:
    """The palette as CSS. The mode follows the system's setting, or ``data-theme`` if it is set."""
    light = " ".join(f"--{name}: {shades[0]};" for name, shades in PALETTE.items())
    dark = " ".join(f"--{name}: {shades[1]};" for name, shades in PALETTE.items())
    return (
        f":root {{ color-scheme: light; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) {{ color-scheme: dark; {dark} }} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark; {dark} }}\n"
        f"@media print {{ :root, :root[data-theme=dark] {{ color-scheme: light; {light} }} }}"
    )


def slug(text: str) -> str:
    """A text as a name for files and anchors."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def attribute(text: str) -> str:
    """A text escaped for an HTML attribute."""
    return escape(text, quote=True)
