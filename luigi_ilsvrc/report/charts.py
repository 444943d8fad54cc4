"""The charts of the page."""

from collections.abc import Sequence
from datetime import datetime, timezone

import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from luigi_ilsvrc.report.boxes import Grid
from luigi_ilsvrc.report.drawing import GRID, INK, MARK, OTHER, QUIET, SERIES, as_svg, chart_style, new_chart
from luigi_ilsvrc.report.stages import Stage, merge
from luigi_ilsvrc.units import format_duration, format_size

Values = np.ndarray[tuple[int], np.dtype[np.float64]]

_WIDE, _NARROW, _HEIGHT = 9.6, 4.3, 3.5
"""Inches: the width of the page, and width and height of a chart of which three stand side by side."""
_FEW_TICKS = 8
_SHORT = 9.95
_BARS = 200
"""In one row."""
_COUNTS = FuncFormatter(lambda value, _: f"{value:,.0f}")
_SIZES = FuncFormatter(lambda value, _: format_size(value) if value else "0")
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g} %")


# Images per class ----------------------------------------------------------------------------------------------------


def images_per_class(classes: pd.DataFrame, column: str, marked: Sequence[str], description: str) -> Markup:
    """Draw a bar for each class, in the order of the labels; those in `marked` have another colour and their words."""
    rows = [classes.iloc[start : start + _BARS] for start in range(0, len(classes), _BARS)]
    most = max(int(classes[column].max()), 1)
    titles = {}
    with chart_style(f"classes-{column}"):
        height = 1.45 * len(rows) + 0.4
        figure = Figure(figsize=(_WIDE, height))
        edges = {
            "left": 0.6 / _WIDE,
            "right": 1 - 0.2 / _WIDE,
            "bottom": 0.5 / height,
            "top": 1 - 0.02 / height,
            "hspace": 0.22,
        }
        all_axes = figure.subplots(len(rows), 1, squeeze=False, gridspec_kw=edges)[:, 0]
        for axes, row in zip(all_axes, rows, strict=True):
            colours = [MARK if synset in marked else SERIES for synset in row["synset"]]
            bars = axes.bar(row["label"], row[column], width=0.82, color=colours, linewidth=0)
            for bar, (_, item) in zip(bars, row.iterrows(), strict=True):
                part = f"{column}-{item['label']}"
                bar.set_gid(part)
                titles[part] = f"{item['label']}: {item['words']} ({item['synset']}), {item[column]:,} images"
            _name_marked(axes, row[row["synset"].isin(marked)], column, most)
            axes.set(ylim=(0, 1.45 * most), xlim=(row["label"].iloc[0] - 0.7, row["label"].iloc[0] + max(len(row), 12)))
            axes.set_yticks([0, most], ["0", f"{most:,}"])
            axes.grid(axis="y")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
        axes.set_xlabel("label")
        return as_svg(figure, description, titles)


def _name_marked(axes: Axes, marked: pd.DataFrame, column: str, most: int) -> None:
    level, first = 0, int(marked["label"].min() - 1) // _BARS * _BARS if len(marked) else 0
    for _, item in marked.iterrows():
        words = str(item["words"]).partition(",")[0]
        words = words if len(words) <= 18 else f"{words[:17]}…"
        position = item["label"]
        axes.annotate(
            f"{words} {item[column]:,}",
            xy=(position, item[column]),
            xytext=(position, most * (1.07 + 0.19 * level)),
            fontsize=7.5,
            ha="right" if position > first + 0.94 * _BARS else "left" if position < first + 0.03 * _BARS else "center",
            va="bottom",
            color=INK,
            arrowprops={"arrowstyle": "-", "color": MARK, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0},
        )
        level = 1 - level


# Distributions -------------------------------------------------------------------------------------------------------


def histogram(
    name: str,
    values: Values,
    edges: Values,
    label: str,
    description: str,
    *,
    ticks: FuncFormatter | None = None,
    is_log: bool = False,
    marked: tuple[float, str] | None = None,
) -> Markup:
    """Draw how many values lie between each two edges; values beyond are in the first and last bar."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    with chart_style(name):
        figure, axes = new_chart(_NARROW, _HEIGHT)
        axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=SERIES, edgecolor="none", linewidth=0)
        if is_log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
        if ticks is not None:
            axes.xaxis.set_major_formatter(ticks)
        if marked is not None:
            axes.axvline(marked[0], color=MARK, linewidth=1)
            axes.annotate(
                marked[1], (marked[0], 1), xycoords=("data", "axes fraction"), xytext=(4, -2),
                textcoords="offset points", va="top", fontsize=8, color=MARK,
            )  # fmt: skip
        axes.yaxis.set_major_formatter(_COUNTS)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.set_xlabel(label)
        return as_svg(figure, description)


def boxes_per_image(counts: "pd.Series[int]", description: str) -> Markup:
    """Draw how many images have no box, one, two and so on."""
    with chart_style("boxes-per-image"):
        figure, axes = new_chart(_NARROW, _HEIGHT)
        bars = axes.bar(counts.index.astype(str), counts, color=SERIES, width=0.82, linewidth=0)
        axes.bar_label(bars, [f"{count:,}" if count else "" for count in counts], fontsize=7.5, color=QUIET, padding=1)
        axes.yaxis.set_major_formatter(_COUNTS)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.set_xlabel("boxes of an image that has an XML file")
        return as_svg(figure, description)


def file_sizes(values: Values, description: str) -> Markup:
    """Draw the sizes of files, on a scale of tenfold steps."""
    low, high = np.floor(np.log10(max(values.min(), 1.0)) * 4) / 4, np.ceil(np.log10(max(values.max(), 10.0)) * 4) / 4
    edges = np.logspace(low, max(high, low + 0.5), 41)
    median = float(np.median(values))
    return histogram(
        "file-sizes", values, edges, "bytes of an image's file", description,
        ticks=_SIZES, is_log=True, marked=(median, f"median {format_size(median)}"),
    )  # fmt: skip


def shapes(values: Values, description: str) -> Markup:
    """Draw widths divided by heights, on a scale on which 1 : 2 and 2 : 1 are as far from 1 : 1."""
    edges = np.logspace(-2, 2, 61, base=2)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    names = {1 / 4: "1 : 4", 1 / 2: "1 : 2", 3 / 4: "3 : 4", 1: "1 : 1", 4 / 3: "4 : 3", 2: "2 : 1", 4: "4 : 1"}
    with chart_style("shapes"):
        figure, axes = new_chart(_NARROW, _HEIGHT)
        axes.bar(edges[:-1], counts, width=np.diff(edges), align="edge", color=SERIES, linewidth=0)
        axes.set_xscale("log", base=2)
        axes.minorticks_off()
        axes.set_xticks(list(names), list(names.values()))
        axes.yaxis.set_major_formatter(_COUNTS)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.set_xlabel("width : height")
        return as_svg(figure, description)


# Maps ----------------------------------------------------------------------------------------------------------------


def _cells(axes: Axes, lines: Values, values: Grid) -> None:
    """Fill the cells between lines, the same each way: the more, the larger their value is; empty ones are left out."""
    rows, columns = np.nonzero(values > 0)
    corners = [
        [(lines[x], lines[y]) for x, y in ((column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1))]
        for row, column in zip(rows, columns, strict=True)
    ]
    share = values[rows, columns] / values.max() if len(rows) else np.zeros(0)
    colours = [(*to_rgb(SERIES), float(round(0.08 + 0.92 * it, 2))) for it in share]
    axes.add_collection(PolyCollection(corners, facecolors=colours, linewidths=0, antialiased=False))


def pixel_sizes(width: "pd.Series[int]", height: "pd.Series[int]", description: str) -> Markup:
    """Draw how many images have each width and height; the darker, the more, on a scale of tenfold steps."""
    smallest, largest = min(width.min(), height.min()), max(width.max(), height.max())
    edges = np.logspace(np.log10(max(smallest * 0.9, 1)), np.log10(max(largest * 1.1, 10)), 49)
    counts, _, _ = np.histogram2d(height, width, bins=(edges, edges))
    with chart_style("pixel-sizes"):
        figure, axes = new_chart(_NARROW, _HEIGHT)
        axes.set(xscale="log", yscale="log", xlim=edges[[0, -1]], ylim=edges[[0, -1]], aspect="equal")
        axes.plot(edges[[0, -1]], edges[[0, -1]], color=GRID, linewidth=0.8)
        _cells(axes, edges, np.log1p(counts))
        for axis in (axes.xaxis, axes.yaxis):
            steps = (1, 2, 5) if edges[-1] / edges[0] > _FEW_TICKS else (1, 2, 3, 4, 5, 6, 8)
            ticks = [
                it for power in (1, 10, 100, 1000) for it in np.array(steps) * power if edges[0] <= it <= edges[-1]
            ]
            axis.set_ticks(ticks, [f"{it:,}" for it in ticks])
            axis.set_minor_locator(MaxNLocator(1))
            axis.set_minor_formatter(FuncFormatter(lambda *_: ""))
        axes.tick_params(which="minor", length=0)
        axes.grid(visible=True)
        axes.set(xlabel="width in pixels", ylabel="height in pixels")
        return as_svg(figure, description)


def where_boxes_lie(covered: Grid, description: str) -> Markup:
    """Draw which share of the boxes covers each place of an image; the darker, the larger the share."""
    lines = np.linspace(0, 1, len(covered) + 1)
    with chart_style("where-boxes-lie"):
        figure, axes = new_chart(_NARROW, _HEIGHT)
        axes.grid(visible=False)
        _cells(axes, lines, covered)
        axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal", xlabel="left to right", ylabel="top to bottom")
        axes.xaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_formatter(PERCENT)
        axes.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color=GRID, linewidth=1, clip_on=False)
        return as_svg(figure, description)


# Shards and stages ---------------------------------------------------------------------------------------------------


def shard_sizes(name: str, sizes: Sequence[int], description: str) -> Markup:
    """Draw the size of each shard, in their order."""
    with chart_style(name):
        figure, axes = new_chart(_WIDE, 1.8, left=0.7)
        axes.bar(range(len(sizes)), sizes, width=0.82 if len(sizes) <= _BARS else 1.0, color=SERIES, linewidth=0)
        mean = sum(sizes) / len(sizes)
        axes.axhline(mean, color=OTHER, linewidth=1)
        axes.set(ylim=(0, 1.15 * max(*sizes, 1)), xlim=(-0.7, max(len(sizes), 8) - 0.3))
        axes.set_xlabel("shard; the line is the mean")
        axes.yaxis.set_major_formatter(_SIZES)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True))
        return as_svg(figure, description)


def timeline(stages: Sequence[Stage], description: str) -> Markup:
    """Draw when each stage was at work; pauses in which none was are left out."""
    work = merge(interval for stage in stages for interval in stage.intervals)
    begins = np.array([began for began, _ in work])
    before = np.concatenate([[0.0], np.cumsum([ended - began for began, ended in work])])

    def worked(moment: float) -> float:
        part = max(int(np.searchsorted(begins, moment, side="right")) - 1, 0)
        return float(before[part] + min(moment - begins[part], work[part][1] - begins[part]))

    total = max(float(before[-1]), 1e-3)
    with chart_style("timeline"):
        figure, axes = new_chart(_WIDE, 0.27 * len(stages) + 0.6, left=1.7)
        axes.grid(visible=False)
        axes.grid(axis="x")
        for number, stage in enumerate(stages):
            merged = merge(((worked(began), worked(ended)) for began, ended in stage.intervals), total / 500)
            spans = [(began, max(ended - began, total / 400)) for began, ended in merged]
            axes.broken_barh(spans, (number - 0.36, 0.72), facecolors=SERIES, linewidth=0)
        axes.set(ylim=(len(stages) - 0.4, -0.6), xlim=(0, total * 1.01))
        axes.set_yticks(range(len(stages)), [stage.task for stage in stages])
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 3, 6, 10]))
        return as_svg(figure, description)


def duration(seconds: float) -> str:
    """Return a time as people say it, with tenths of a second if it is short."""
    return f"{seconds:.1f} s" if 0 < seconds < _SHORT else format_duration(seconds)


def moment(seconds: float) -> str:
    """Return a time as people read it, in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
