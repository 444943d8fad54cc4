"""What is unusual in a build, with names and counts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd

from luigi_ilsvrc.dataset import annotations, jpeg
from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.formats.details import REENCODED, RESIZED
from luigi_ilsvrc.report.boxes import Boxes, count_of
from luigi_ilsvrc.report.build import ReportedBuild
from luigi_ilsvrc.report.images import Images, find_names, locate, reader_of

MOST_NAMED = 50

_OTHER_SHAPE = 0.02
"""By which part the shape of an image may differ from that of its annotation, whose size is rounded to pixels."""

_IMAGES = (
    (
        jpeg.EXIF,
        "Images with an Exif rotation",
        "Kept as they are: height, width and boxes are of the pixels as stored",
    ),
    (jpeg.GREY, "Grey images", "Kept as they are: decode them with three channels"),
    (jpeg.PROGRESSIVE, "Progressive images", "Kept as they are"),
)
_DROPPED = (
    (annotations.NO_EXTENT, "Boxes without width or height", "Dropped"),
    (annotations.OTHER_SYNSET, "Boxes that name another class of the challenge", "Dropped"),
    (
        annotations.AFTER_OTHER_SYNSET,
        "Boxes of XML files whose first box names another class of the challenge",
        "All boxes of such a file are dropped",
    ),
)
_READ = (
    (annotations.OTHER_NAME, "Boxes with another name than their synset", "Kept"),
    (annotations.SWAPPED, "Boxes whose minimum and maximum are swapped", "Put in order"),
    (annotations.CLAMPED, "Boxes that reach beyond the image", "What is outside is moved to the edge"),
    (annotations.FRACTIONAL, "Boxes with a decimal point", "Truncated to whole pixels"),
    (annotations.UNNAMED, "XML files with %s in place of the image's name", "Named by the file's own name"),
)


@dataclass(frozen=True)
class Oddity:
    """One kind of unusual files.

    Attributes
    ----------
    title : str
        What they are.
    treatment : str
        What the build does with them.
    count : int
        How many boxes or files there are.
    files : int
        How many files these are in.
    named : list of str
        The first of the files, with what is to be said of each.
    """

    title: str
    treatment: str
    count: int
    files: int
    named: list[str]


def find_oddities(
    build: ReportedBuild, images: Images, boxes: Boxes | None, indexes: Mapping[str, pd.DataFrame]
) -> list[Oddity]:
    """Return all kinds of unusual files, also those that the build has none of."""
    return [*_of_images(build, images, indexes), *(_of_boxes(boxes, images, indexes) if boxes is not None else ())]


def _oddity(title: str, treatment: str, names: Iterable[str], count: int | None = None) -> Oddity:
    ordered = sorted(names)
    return Oddity(title, treatment, len(ordered) if count is None else count, len(ordered), ordered[:MOST_NAMED])


# Images --------------------------------------------------------------------------------------------------------------


def _of_images(build: ReportedBuild, images: Images, indexes: Mapping[str, pd.DataFrame]) -> Iterator[Oddity]:
    reencoded = images.odd(REENCODED)
    oddity = _oddity(
        "Re-encoded images",
        "A PNG, and CMYK and YCCK JPEGs, are stored as RGB JPEGs of quality 100",
        reencoded["image"],
    )
    named = reencoded.sort_values("image").head(MOST_NAMED)
    yield replace(oddity, named=[_with_format(build, row, indexes) for _, row in named.iterrows()])
    if len(smaller := images.odd(RESIZED)):
        yield _oddity("Images that were made smaller", "As --resize says; these are their names", smaller["image"])
    for trait, title, treatment in _IMAGES:
        found = images.odd(trait)
        names = found["image"].str.cat(found["odd"].astype(str).str.extract(r"(exif[2-8])")[0], sep=": ", na_rep="")
        yield _oddity(title, treatment, names.str.removesuffix(": "))


def _with_format(build: ReportedBuild, row: "pd.Series[Any]", indexes: Mapping[str, pd.DataFrame]) -> str:
    """Return the name of a re-encoded image with what it came as, if that can still be read."""
    from PIL import Image

    name, split = str(row["image"]), str(row["split"])
    index = indexes[split]
    try:
        with reader_of(build, split) as reader:
            [place] = locate(index, index.index[index["name"] == name].to_numpy())
            with Image.open(BytesIO(reader.read(place))) as image:
                return f"{name}: {image.format} ({image.mode})"
    except (BuildError, OSError, ValueError):
        return name


# Boxes ---------------------------------------------------------------------------------------------------------------


def _of_boxes(boxes: Boxes, images: Images, indexes: Mapping[str, pd.DataFrame]) -> Iterator[Oddity]:
    table = boxes.annotations
    if table is None:
        return
    odd = table[table["odd"].notna()]
    for what, title, treatment in _DROPPED:
        yield _of_annotations(odd, what, title, treatment)
    without = table[(table["kept"] == 0)]
    yield _oddity("XML files of which no box is left", "Their images have no boxes", _xml(without["annotation"]))
    names = table["annotation"] + ".JPEG"
    orphans = table.loc[find_names(names, indexes[TRAIN]["name"]) < 0, "annotation"]
    yield _oddity("XML files without an image", "Their boxes are in the CSV, and in no record", _xml(orphans))
    files = [f"{synset}: {count}" for synset, count in boxes.outside.items()]
    outside = _oddity("XML files of synsets outside the challenge", "Left out", files, sum(boxes.outside.values()))
    yield replace(outside, files=outside.count)
    yield _of_other_shape(table, names, images)
    for what, title, treatment in _READ:
        yield _of_annotations(odd, what, title, treatment)


def _of_annotations(odd: pd.DataFrame, what: str, title: str, treatment: str) -> Oddity:
    counts = {
        str(name): count
        for name, text in odd[["annotation", "odd"]].itertuples(index=False)
        if (count := count_of(str(text), what))
    }
    named = [f"{name}.xml" if count == 1 else f"{name}.xml: {count}" for name, count in counts.items()]
    return _oddity(title, treatment, named, sum(counts.values()))


def _xml(names: "pd.Series[str]") -> list[str]:
    return [f"{name}.xml" for name in names]


def _of_other_shape(table: pd.DataFrame, names: "pd.Series[str]", images: Images) -> Oddity:
    """Compare the shape of each image with that of the size that its annotation gives."""
    seen = images.table.loc[images.table["split"] == TRAIN, ["image", "height", "width"]]
    places = find_names(names, seen["image"])
    shown, stored = table[places >= 0], seen.iloc[places[places >= 0]]
    width, height = stored["width"].to_numpy(), stored["height"].to_numpy()
    shape = (shown["width"] / shown["height"]).to_numpy()
    is_other = np.abs(shape * height / width - 1) > _OTHER_SHAPE
    columns = zip(
        *(shown.loc[is_other, name] for name in ("annotation", "width", "height")),
        *(width[is_other], height[is_other]),
        strict=True,
    )
    named = [
        f"{name}.xml: {int(shown_width)} x {int(shown_height)}, the image has {its_width} x {its_height}"
        for name, shown_width, shown_height, its_width, its_height in columns
    ]
    treatment = "Used all the same: the boxes may be shifted. Turned images (Exif) are among them"
    return _oddity("XML files whose size has another shape than the image", treatment, named)
