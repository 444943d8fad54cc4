"""The plan of a split: which image goes into which shard, with all that a record says of it.

Order and labels are those of the Inception scripts (``build_imagenet_data.py``), with a fixed seed. The plan knows
nothing of the formats that the shards are written in.
"""

import csv
import io
import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from luigi_ilsvrc.dataset.boxes import read_csv
from luigi_ilsvrc.layouts.index import FIELDS, ImageLocation, damaged, parse_location, read_lines, read_rows
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage import disk

SEED = 12345
GROUPS = 8
"""The images are divided into this many groups first: the threads of the Inception scripts."""

_FIELDS = (*FIELDS, "label", "text", "boxes")
_HEADER = ",".join(_FIELDS)
_LABEL = re.compile(r"[1-9][0-9]{0,8}")
_BOX = re.compile(r"[01]\.[0-9]+(?: [01]\.[0-9]+){3}")


@dataclass(frozen=True)
class PlannedImage:
    """One image of a shard.

    Attributes
    ----------
    location : ImageLocation
        Where it lies.
    label : int
        1 for the first synset of the table; 0 is background.
    text : str
        The English words of the synset.
    boxes : list of tuple
        ``(xmin, ymin, xmax, ymax)``, relative.
    """

    location: ImageLocation
    label: int
    text: str
    boxes: list[tuple[float, ...]]


def shard_bounds(images: int, num_shards: int) -> list[int]:
    """Return ``num_shards + 1`` positions: shard i holds the images from the i-th to before the next.

    Images are divided evenly into 8 groups, each group evenly into shards / 8; into one group if the number of shards
    is no multiple of 8.
    """
    groups = GROUPS if num_shards % GROUPS == 0 else 1
    bounds = [0]
    for start, end in itertools.pairwise(_evenly(0, images, groups)):
        bounds += _evenly(start, end, num_shards // groups)[1:]
    return bounds


def _evenly(start: int, end: int, parts: int) -> list[int]:
    """Return ``numpy.linspace(start, end, parts + 1).astype(int)``, rounding errors included."""
    step = (end - start) / parts
    return [*(int(part * step + start) for part in range(parts)), end]


Takes = Callable[[str, str], bool]


def take_all(synset: str, name: str) -> bool:
    """Tell that an image is planned, whichever it is."""
    return True


def write_plan(
    index: Path,
    class_names: Mapping[str, str],
    bounding_boxes: Path | None,
    num_shards: int,
    directory: Path,
    progress: Progress = no_progress,
    takes: Takes = take_all,
) -> None:
    """Join index, labels and boxes, shuffle, and write the plan of each shard; see `plan_file`.

    Parameters
    ----------
    index : Path
        The index of the split, see `layouts.index.write_index`.
    class_names : mapping
        Synset to English words, in the order of the labels: the first is 1.
    bounding_boxes : Path or None
        The CSV, see `dataset.boxes.write_csv`; None for no boxes.
    num_shards : int
        How many shards; if there are fewer images, some are empty.
    directory : Path
        An existing folder.
    progress : Progress
        Counts shards.
    takes : callable
        Tells of an image, by synset and file name, whether it is planned.
    """
    boxes = {} if bounding_boxes is None else _read_boxes(bounding_boxes)
    # Rows as text, not a DataFrame a synset: 1000 synsets of one image take 0.2 s, not 2.1; the whole data set 2.5 s.
    images = [
        f"{row},{label_and_text},{boxes.get(name, '')}\n"
        for synset, label_and_text in _labels_and_texts(class_names)
        for name, row in read_rows(index, synset)
        if takes(synset, name)
    ]
    for shard, numbers in enumerate(shard_order(len(images), num_shards)):
        lines = [f"{_HEADER}\n", *(images[number] for number in numbers)]
        (directory / plan_file(shard)).write_text("".join(lines), encoding="utf-8")
        progress("planning", shard + 1, num_shards, "shards")


def _read_boxes(path: Path) -> dict[str, str]:
    with disk.reading(path):
        return {image: ";".join(lines).replace(",", " ") for image, lines in read_csv(path).items()}


def shard_order(images: int, num_shards: int) -> Iterator[list[int]]:
    """Yield for each shard the numbers of its images, in order; images are numbered as they stand in the index."""
    order = list(range(images))
    random.Random(SEED).shuffle(order)
    bounds = shard_bounds(images, num_shards)
    for shard in range(num_shards):
        yield order[bounds[shard] : bounds[shard + 1]]


def _labels_and_texts(class_names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each synset, and its label and words as they stand in a row of a plan."""
    for label, (synset, text) in enumerate(class_names.items(), start=1):
        row = io.StringIO()
        csv.writer(row, lineterminator="").writerow((label, text))
        yield synset, row.getvalue()


def plan_file(shard: int) -> str:
    """Return the name of the plan of a shard, in the folder of plans."""
    return f"{shard:05}.csv"


def read_plan(directory: Path, shard: int) -> list[PlannedImage]:
    """Read the plan of one shard.

    Raises
    ------
    ArchiveError
        If it is missing, or not what `write_plan` wrote.
    """
    path = directory / plan_file(shard)
    try:
        lines = read_lines(path, _HEADER)
    except FileNotFoundError as error:
        raise damaged(path, "the plan of the shard is missing") from error
    except ValueError as error:
        raise damaged(path, error) from error
    planned = []
    for number, line in enumerate(lines, start=2):
        try:
            planned.append(_parse_line(line))
        except (ValueError, csv.Error) as error:
            raise damaged(f"{path}:{number}", error) from error
    return planned


def _parse_line(line: str) -> PlannedImage:
    fields = next(csv.reader([line], strict=True), [])
    if len(fields) != len(_FIELDS):
        raise ValueError(f"not a row of {len(_FIELDS)} fields")
    row = dict(zip(_FIELDS, fields, strict=True))
    if not _LABEL.fullmatch(row["label"]):
        raise ValueError(f"{row['label']!r} is not a label")
    return PlannedImage(parse_location(row), int(row["label"]), row["text"], _parse_boxes(row["boxes"]))


def _parse_boxes(text: str) -> list[tuple[float, ...]]:
    boxes = text.split(";") if text else []
    for box in boxes:
        if not _BOX.fullmatch(box):
            raise ValueError(f"{box!r} is not a box")
    return [tuple(map(float, box.split(" "))) for box in boxes]
