"""Boxes and annotations of a build as tables."""

from collections.abc import Iterable
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pandas as pd

from luigi_ilsvrc.dataset.annotations import Box
from luigi_ilsvrc.dataset.boxes import DETAILS, OUTSIDE
from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.report.build import ReportedBuild
from luigi_ilsvrc.storage.details import read_details
from luigi_ilsvrc.storage.trailer import DamagedFileError

Grid = np.ndarray[tuple[int, int], np.dtype[np.float64]]


class Boxes(NamedTuple):
    """The boxes of the training images.

    Attributes
    ----------
    table : DataFrame
        A row for each box: ``image`` and the fields of `Box`.
    annotations : DataFrame or None
        The columns of `dataset.boxes.DETAILS`, but for those of synsets outside the challenge; None if what was seen
        is not known.
    outside : dict
        How many XML files other synsets have.
    problem : str
        Why it is not known.
    """

    table: pd.DataFrame
    annotations: pd.DataFrame | None
    outside: dict[str, int]
    problem: str


def read_boxes(build: ReportedBuild) -> Boxes | None:
    """Read the CSV and its details; None if the build has no boxes."""
    paths = build.paths
    if not (build.has_boxes and paths.bounding_boxes.exists()):
        return None
    types = dict.fromkeys(Box._fields, "float32")
    # With a header, so that a file without a line is an empty table too.
    header = ",".join(["image", *Box._fields]).encode() + b"\n"
    table = pd.read_csv(BytesIO(header + paths.bounding_boxes.read_bytes()), dtype={"image": "str", **types})
    table = _taken(build, table, table["image"])
    try:
        details = read_details(paths.details(paths.bounding_boxes))
    except (DamagedFileError, OSError) as error:
        return Boxes(table, None, {}, str(error))
    annotations = pd.read_csv(BytesIO(details.encode()), dtype={"annotation": "str", "odd": "category"})
    assert tuple(annotations.columns) == DETAILS
    is_outside = annotations["odd"].astype(str).str.startswith(f"{OUTSIDE}:")
    outside = {
        str(synset): count_of(str(odd), OUTSIDE)
        for synset, odd in annotations.loc[is_outside, ["annotation", "odd"]].itertuples(index=False)
    }
    annotations = annotations[~is_outside]
    return Boxes(table, _taken(build, annotations, annotations["annotation"] + ".JPEG"), outside, "")


def _taken(build: ReportedBuild, table: pd.DataFrame, images: "pd.Series[str]") -> pd.DataFrame:
    """Return the rows of a table that are about training images which the build takes."""
    takes = build.takes.get(TRAIN)
    if takes is None or not len(table):
        return table
    return table[[takes(name.partition("_")[0], name) for name in images]].reset_index(drop=True)


def count_of(odd: str, what: str) -> int:
    """Return how many objects are unusual in one way, as the details of an annotation have it."""
    return next((int(item.partition(":")[2]) for item in odd.split(" ") if item.startswith(f"{what}:")), 0)


def coverage(table: pd.DataFrame, cells: int) -> Grid:
    """Return for each cell of a grid which share of all boxes covers its centre; the first row is the upper one."""
    edges = [
        np.clip(np.ceil(table[edge].to_numpy() * cells - 0.5), 0, cells).astype(int)
        for edge in ("xmin", "xmax", "ymin", "ymax")
    ]
    left, right, upper, lower = edges
    # Each box adds 1 from its left upper corner on, and takes it away behind its other edges.
    steps = np.zeros((cells + 1, cells + 1))
    for rows, columns, step in ((upper, left, 1), (upper, right, -1), (lower, left, -1), (lower, right, 1)):
        np.add.at(steps, (rows, columns), step)
    covered: Grid = steps.cumsum(axis=0).cumsum(axis=1)[:cells, :cells]
    return covered / max(len(table), 1)


def boxes_of(table: pd.DataFrame, images: Iterable[str]) -> dict[str, list[Box]]:
    """Return the boxes of some images, in the order of the CSV."""
    wanted = table[table["image"].isin(list(images))]
    found: dict[str, list[Box]] = {}
    for image, *edges in wanted.itertuples(index=False):
        found.setdefault(str(image), []).append(Box(*(float(edge) for edge in edges)))
    return found
