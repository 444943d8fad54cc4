"""Charts as SVG that is a part of the page: its colours are those of the page's style, light or dark."""

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, QUIET, GRID, SERIES, OTHER, MARK = "#010101", "#010102", "#010103", "#010104", "#010105", "#010106"
"""In place of colours while a chart is drawn: no chart has these by itself."""

_VARIABLES = {INK: "ink", QUIET: "quiet", GRID: "line", SERIES: "series", OTHER: "other", MARK: "mark"}
_SETTINGS: dict[Any, Any] = {
    # Text stays text, in the page's font.
    "svg.fonttype": "none",
    "font.size": 9.0,
    # A dollar in the words of a class is a dollar.
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.titlesize": 9.0,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "ytick.major.size": 0.0,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def chart_style(name: str) -> Iterator[None]:
    """Draw in the page's style; the name of a chart makes its ids other ones than those of others."""
    with mpl.rc_context({**_SETTINGS, "svg.hashsalt": name}):
        yield


def new_chart(width: float, height: float, left: float = 0.6) -> tuple[Figure, Axes]:
    """Return an empty chart, of a size in inches, with lines that go across; `left` is the room for labels there."""
    # Not by pyplot, which keeps figures and looks for a display.
    figure = Figure(figsize=(width, height))
    # Margins for labels, in inches; to have them computed takes half of all the time.
    edges = {"left": left / width, "right": 1 - 0.15 / width, "bottom": 0.5 / height, "top": 1 - 0.12 / height}
    axes = figure.subplots(gridspec_kw=edges)
    axes.grid(axis="y")
    return figure, axes


def as_svg(figure: Figure, description: str, titles: Mapping[str, str] | None = None) -> Markup:
    """Return a chart as an element of the page.

    Parameters
    ----------
    figure : Figure
        The chart.
    description : str
        What it shows, for those who do not see it.
    titles : mapping, optional
        By the ids of its parts, what is shown if a pointer is on them.
    """
    written = StringIO()
    # Without what `savefig` does first, which takes as long again: it draws the figure to see what it would need.
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(written, metadata=metadata)  # type: ignore[no-untyped-call]
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<defs>\s*<style[^>]*>.*?</style>\s*</defs>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"#01010[1-6]", lambda match: f"var(--{_VARIABLES[match[0]]})", svg)
    for part, title in (titles or {}).items():
        svg = svg.replace(f'<g id="{part}">', f"<g><title>{html.escape(title)}</title>", 1)
    # The ids of groups are of no use, and those of several charts are the same.
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(
        r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg[^>]*?) height="[^"]*" width="[^"]*"', r"\1\2", svg, count=1
    )
    svg = re.sub(r'font: ([0-9.]+)px [^;"]*', r"font-size: \1px", svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg).rstrip()
    label = html.escape(description)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))
