"""The page: what is known of a build, put into a template."""

import importlib.resources
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.report import charts
from luigi_ilsvrc.report.boxes import Boxes, coverage, read_boxes
from luigi_ilsvrc.report.build import ReportedBuild
from luigi_ilsvrc.report.images import Images, read_images, read_taken
from luigi_ilsvrc.report.oddities import find_oddities
from luigi_ilsvrc.report.origin import archives_of, tables_of, versions
from luigi_ilsvrc.report.samples import read_samples
from luigi_ilsvrc.report.stages import length, merge, stages_of
from luigi_ilsvrc.report.summary import (
    QUANTILES,
    ShardSizes,
    count_classes,
    extreme_images,
    extremes_of,
    quantiles,
    shard_sizes_of,
    shares_of_shapes,
)
from luigi_ilsvrc.report.verifications import read_last
from luigi_ilsvrc.timings import read_timings
from luigi_ilsvrc.units import format_size

_TEMPLATES = "templates"
_GRID = 32
"""Cells of the map of boxes, each way."""
_MOST_BOXES = 6
"""From so many boxes on, images are counted together."""


# Else pandas uses pyarrow if it is there, which has crashed in processes that were forked after it was imported.
@pd.option_context("mode.string_storage", "python")
def make_page(build: ReportedBuild, source: str, progress: Progress = no_progress) -> bytes:
    """Return the page on a build: HTML that needs no other file. Progress counts parts of it.

    Two pages on the same build differ only between ``<!-- timings -->`` and ``<!-- end of timings -->``: when it was
    built, where, and how fast.

    Parameters
    ----------
    build : ReportedBuild
        The build.
    source : str
        Where its archives came from.
    progress : Progress, optional
        Counts parts of the page.

    Raises
    ------
    OSError
        If an output cannot be read.
    """
    indexes = {split: read_taken(build, split) for split in SPLITS}
    progress("reporting", 1, 5, "parts")
    images = read_images(build, indexes)
    progress("reporting", 2, 5, "parts")
    boxes = read_boxes(build)
    progress("reporting", 3, 5, "parts")
    contents = {
        "build": build,
        "images": images,
        "boxes": None if boxes is None else _boxes(boxes, images),
        "box_problem": boxes.problem if boxes else "",
        "counts": {split: len(index) for split, index in indexes.items()},
        "oddities": find_oddities(build, images, boxes, indexes),
        "samples": read_samples(build, indexes, boxes),
        **_classes(build, indexes),
        **_origin(build, source),
    }
    progress("reporting", 4, 5, "parts")
    page = (
        _environment()
        .get_template("page.html")
        .render(**contents, **_sizes(images), **_shards(build, images), **_timings(build))
    )
    progress("reporting", 5, 5, "parts")
    return page.encode()


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("luigi_ilsvrc.report", _TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = importlib.resources.files("luigi_ilsvrc.report").joinpath(_TEMPLATES, "style.css").read_text()
    environment.globals["style"] = Markup(style)
    environment.filters |= {
        "count": lambda number: f"{number:,.0f}",
        "bytes": format_size,
        "duration": charts.duration,
        "moment": charts.moment,
        "percent": _percent,
    }
    return environment


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def _origin(build: ReportedBuild, source: str) -> dict[str, Any]:
    return {
        "archives": list(archives_of(build.paths)),
        "tables": list(tables_of(build.paths)),
        "versions": versions(),
        "verifications": read_last(build.paths, build.selection),
        "source": source,
    }


def _classes(build: ReportedBuild, indexes: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    classes = count_classes(build, indexes)
    extremes = {split: extremes_of(classes, split) for split in SPLITS}
    drawn = {}
    for split, found in extremes.items():
        few, many = found.fewest[0], found.most[0]
        if split == TRAIN or few[split] != many[split]:
            description = (
                f"A bar for each of {len(classes):,} classes: its {split} images. The fewest are {few[split]:,} "
                f"({few['words']}), the most {many[split]:,} ({many['words']})."
            )
            drawn[split] = charts.images_per_class(classes, split, found.marked, description)
    return {"classes": classes.to_dict("records"), "extremes": extremes, "class_charts": drawn}


def _sizes(images: Images) -> dict[str, Any]:
    table = images.table
    if not len(table):
        return {"size_charts": [], "quantiles": [], "quantile_names": [], "extreme_images": [], "shape_shares": {}}
    shares = shares_of_shapes(images)
    width, height, size = (int(table[name].median()) for name in ("width", "height", "size"))
    shape = (table["width"] / table["height"]).to_numpy()
    return {
        "size_charts": [
            (
                "Width and height",
                charts.pixel_sizes(
                    *(table["width"], table["height"]),
                    f"Widths and heights of the images; half of them are up to {width} pixels wide, {height} high.",
                ),
            ),
            ("Shape", charts.shapes(shape, f"Width by height; {_percent(shares['landscape'])} are landscape.")),
            (
                "Size of the files",
                charts.file_sizes(
                    table["size"].to_numpy().astype(float),
                    f"Sizes of the files; half of them up to {format_size(size)}.",
                ),
            ),
        ],
        "quantiles": quantiles(images),
        "quantile_names": list(QUANTILES),
        "extreme_images": extreme_images(images),
        "shape_shares": shares,
    }


def _boxes(boxes: Boxes, images: Images) -> dict[str, Any]:
    table, drawn = boxes.table, []
    files = None if boxes.annotations is None else len(boxes.annotations)
    if boxes.annotations is not None:
        kept = boxes.annotations["kept"].astype(int).clip(upper=_MOST_BOXES)
        counts = (
            kept.value_counts().reindex(range(_MOST_BOXES + 1), fill_value=0).rename({_MOST_BOXES: f"{_MOST_BOXES}+"})
        )
        share = float((kept == 1).mean()) if len(kept) else 0.0
        description = f"Boxes of each image that has an XML file; {_percent(share)} have one."
        drawn.append(("Boxes of an image", charts.boxes_per_image(counts, description)))
    area = ((table["xmax"] - table["xmin"]) * (table["ymax"] - table["ymin"])).to_numpy().astype(float)
    if len(table):
        median, covered = float(np.median(area)), coverage(table, _GRID)
        drawn.append(
            (
                "Size of a box",
                charts.histogram(
                    *("box-sizes", area, np.linspace(0, 1, 41), "area of a box, as a part of the image"),
                    f"Areas of the boxes; half of them cover up to {_percent(median)} of the image.",
                    ticks=charts.PERCENT,
                    marked=(median, f"median {_percent(median)}"),
                ),
            )
        )
        description = f"Where the boxes lie: the densest place is in {_percent(float(covered.max()))} of all boxes."
        drawn.append(("Where boxes lie", charts.where_boxes_lie(covered, description)))
    with_boxes = int(table["image"].nunique())
    return {"count": len(table), "files": files, "images": with_boxes, "charts": drawn}


def _shards(build: ReportedBuild, images: Images) -> dict[str, Any]:
    sizes = shard_sizes_of(build, images)
    return {"shards": [(shards, _shard_chart(shards)) for shards in sizes]}


def _shard_chart(shards: ShardSizes) -> Markup:
    least, most = format_size(min(shards.sizes)), format_size(max(shards.sizes))
    description = f"The size of each of {len(shards.sizes):,} {shards.split} shards: from {least} to {most}."
    return charts.shard_sizes(f"shards-{shards.format}-{shards.split}", shards.sizes, description)


def _timings(build: ReportedBuild) -> dict[str, Any]:
    stages = stages_of(read_timings(build.paths.timings))
    if not stages:
        return {"stages": [], "timeline": None, "worked": 0.0, "began": 0.0, "ended": 0.0}
    worked = length(merge(interval for stage in stages for interval in stage.intervals))
    description = f"When each of {len(stages)} kinds of tasks was at work, in {charts.duration(worked)}."
    return {
        "stages": stages,
        "timeline": charts.timeline(stages, description),
        "worked": worked,
        "began": min(stage.began for stage in stages),
        "ended": max(stage.ended for stage in stages),
    }
