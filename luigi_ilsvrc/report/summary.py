"""Numbers of the page, computed from the tables of a build."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.report.build import ReportedBuild
from luigi_ilsvrc.report.images import Images

_NAMED_CLASSES = 8
_MARKED_CLASSES = 5
QUANTILES = {"least": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "most": 1.0}


class Extremes(NamedTuple):
    """The classes of a split with the fewest and the most images.

    Attributes
    ----------
    fewest, most : list of dict
        Rows of the table of classes; of equal ones, those of the lower labels.
    as_few, as_many : int
        How many classes have the smallest, and the largest number.
    marked : list of str
        Synsets that a chart names.
    """

    fewest: list[dict[Any, Any]]
    most: list[dict[Any, Any]]
    as_few: int
    as_many: int
    marked: list[str]


class Extreme(NamedTuple):
    """An image that is the largest, the widest and so on."""

    what: str
    image: str
    width: int
    height: int
    size: int


class ShardSizes(NamedTuple):
    """The shards of a split in one format: size in bytes of each, and how many records the least and the most have."""

    format: str
    split: str
    sizes: list[int]
    fewest: int
    most: int
    records: int

    @property
    def evenness(self) -> float:
        """By which part the largest is larger than the mean."""
        mean = sum(self.sizes) / len(self.sizes)
        return max(self.sizes) / mean - 1 if mean else 0.0


def count_classes(build: ReportedBuild, indexes: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return a row for each class: ``label``, ``synset``, ``words``, and the number of images of each split.

    Of a subset, classes without any image are left out.
    """
    classes = pd.DataFrame(
        {
            "label": range(1, len(build.class_names) + 1),
            "synset": list(build.class_names),
            "words": list(build.class_names.values()),
        }
    )
    for split in SPLITS:
        counts = indexes[split]["synset"].value_counts()
        classes[split] = classes["synset"].map(counts.to_dict()).fillna(0).astype(int)
    if build.takes:
        classes = classes[classes[list(SPLITS)].any(axis=1)].reset_index(drop=True)
    return classes


def extremes_of(classes: pd.DataFrame, split: str) -> Extremes:
    """Return the classes with the fewest and the most images of a split."""
    ordered = classes.sort_values([split, "label"])
    few, many = int(ordered[split].iloc[0]), int(ordered[split].iloc[-1])
    most = classes.sort_values([split, "label"], ascending=[False, True])
    as_few, as_many = int((classes[split] == few).sum()), int((classes[split] == many).sum())
    most_marked = min(_MARKED_CLASSES, max(len(classes) // 3, 1))
    marked = ordered.head(most_marked) if few < many and as_few <= most_marked else ordered.head(0)
    if few < many and as_many <= most_marked:
        marked = pd.concat([marked, most.head(as_many)])
    shown = min(_NAMED_CLASSES, max(len(classes) // 2, 1))
    return Extremes(
        ordered.head(shown).to_dict("records"),
        most.head(shown).to_dict("records"),
        as_few,
        as_many,
        list(dict.fromkeys(marked["synset"])),
    )


def quantiles(images: Images) -> list[tuple[str, str, list[float]]]:
    """Return the split, what is measured, and its quantiles, in the order of `QUANTILES`."""
    rows = []
    for split in SPLITS:
        table = images.of(split)
        if not len(table):
            continue
        measured = {"width": table["width"], "height": table["height"], "bytes": table["size"]}
        for what, values in measured.items():
            rows.append((split, what, [float(it) for it in np.quantile(values, list(QUANTILES.values()))]))
    return rows


def extreme_images(images: Images) -> list[Extreme]:
    """Return the images that are the largest, the smallest, the widest and so on, of all that are known."""
    table = images.table
    if not len(table):
        return []
    pixels = table["width"].astype("int64") * table["height"]
    shape = table["width"] / table["height"]
    wanted: dict[str, Any] = {
        "most pixels": pixels.idxmax(),
        "fewest pixels": pixels.idxmin(),
        "widest": shape.idxmax(),
        "highest": shape.idxmin(),
        "largest file": table["size"].idxmax(),
        "smallest file": table["size"].idxmin(),
    }
    rows = {what: table.loc[position] for what, position in wanted.items()}
    return [
        Extreme(what, str(it["image"]), int(it["width"]), int(it["height"]), int(it["size"]))
        for what, it in rows.items()
    ]


def shares_of_shapes(images: Images) -> dict[str, float]:
    """Return which share of the images is landscape, portrait and square."""
    width, height = images.table["width"], images.table["height"]
    return {
        "landscape": float((width > height).mean()),
        "portrait": float((width < height).mean()),
        "square": float((width == height).mean()),
    }


def shard_sizes_of(build: ReportedBuild, images: Images) -> list[ShardSizes]:
    """Return the shards of each format and split; those of all formats have the same records."""
    found = []
    for name in build.formats:
        for split in SPLITS:
            sizes = [shard.stat().st_size for shard in build.shards(name, split)]
            records = _records(images, split, len(sizes))
            found.append(ShardSizes(name, split, sizes, min(records), max(records), sum(records)))
    return found


def _records(images: Images, split: str, shards: int) -> Sequence[int]:
    if images.is_sample:
        return [0]
    counts = np.bincount(images.of(split)["shard"], minlength=shards)
    return [int(count) for count in counts]
