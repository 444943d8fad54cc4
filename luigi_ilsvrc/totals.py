"""How much a finished build holds, for people."""

from collections.abc import Collection, Mapping
from pathlib import Path


def count_images(index: Path) -> int:
    """Return how many images an index has: its files have a line for each, below a line of names. Raises OSError."""
    return sum(_count_lines(path) - 1 for path in index.iterdir())


def count_boxes(bounding_boxes: Path) -> int:
    """Return how many bounding boxes a CSV has: a line for each. Raises OSError."""
    return _count_lines(bounding_boxes)


def _count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def describe(
    data_dir: Path, images: Mapping[str, int], boxes: int, shards: Mapping[str, int], formats: Collection[str]
) -> str:
    """Return one line on a finished build.

    Parameters
    ----------
    data_dir : Path
        Where it is.
    images, shards : mapping
        How many there are, by split; shards in each format.
    boxes : int
        How many bounding boxes there are.
    formats : collection of str
        The formats of the shards.
    """
    in_formats = [f"{_by_split(shards)} {name} shards" for name in formats]
    parts = [f"{_by_split(images)} images", f"{boxes:,} bounding boxes", *in_formats]
    return f"{data_dir} is complete: {', '.join(parts)}"


def _by_split(counts: Mapping[str, int]) -> str:
    *others, last = [f"{count:,} {split}" for split, count in counts.items()]
    return " and ".join([*others, last])
