"""TFRecord shards: which image goes where, what is written of it, and the file.

Order and features are those of the Inception scripts (``build_imagenet_data.py``), with a fixed seed.
"""

import csv
import importlib.util
import inspect
import io
import itertools
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luigi_ilsvrc import disk
from luigi_ilsvrc.errors import BuildError, list_reasons
from luigi_ilsvrc.images import ImageError, RGBImage, as_rgb_jpeg, check_whole
from luigi_ilsvrc.progress import Progress, unheard
from luigi_ilsvrc.records import (
    FRAME,
    RecordWriter,
    bytes_feature,
    encode_example,
    float_feature,
    int64_feature,
    text_feature,
)
from luigi_ilsvrc.tar_index import ImageLocation, ImageReader, parse_location

SEED = 12345
GROUPS = 8
"""The images are dealt to this many groups first: the Inception scripts' threads."""


_PLAN_HEAD = ",".join((*ImageLocation._fields, "label", "text", "boxes")) + "\n"


class ShardError(BuildError):
    """One or more images of a shard cannot be used."""


class TensorFlowMissingError(BuildError):
    """Shards are wanted, and tensorflow is not installed."""


@dataclass(frozen=True)
class PlannedImage:
    """One image of a shard, with all that its Example says of it.

    Attributes
    ----------
    location : ImageLocation
        Where it lies.
    label : int
        1 for the first synset of the table; 0 is background.
    text : str
        The synset's English.
    boxes : list of tuple
        ``(xmin, ymin, xmax, ymax)``, relative.
    """

    location: ImageLocation
    label: int
    text: str
    boxes: list[tuple[float, ...]]


# The plan -----------------------------------------------------------------------------------------------------------


def shard_bounds(images: int, num_shards: int) -> list[int]:
    """Return ``num_shards + 1`` positions: shard i holds the images from the i-th to before the next.

    Images are split evenly into 8 groups, each group evenly into shards / 8; into one group where the number of shards
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


def write_plan(
    index: Path,
    english: Mapping[str, str],
    bounding_boxes: Path,
    num_shards: int,
    directory: Path,
    progress: Progress = unheard,
) -> None:
    """Join index, labels and boxes, shuffle, and write ``<directory>/<shard>.csv`` for each shard.

    Parameters
    ----------
    index : Path
        The index of the split, see `tar_index.write_index`.
    english : mapping
        Synset to English, in the order of the labels: the first is 1.
    bounding_boxes : Path
        The CSV, see `boxes.write_csv`.
    num_shards : int
        How many shards; where there are fewer images, some are empty.
    directory : Path
        An existing folder.
    progress : Progress
        Counts shards.
    """
    boxes = _boxes_by_image(bounding_boxes)
    # Lines, and no DataFrame a synset: 1000 synsets of one image take 0.2 s and not 2.1, the whole data set 2.5 s.
    images = [
        f"{line},{description},{boxes.get(line.partition(',')[0], '')}\n"
        for synset, description in _descriptions(english)
        for line in (index / f"{synset}.csv").read_text().splitlines()[1:]
    ]
    random.Random(SEED).shuffle(images)
    bounds = shard_bounds(len(images), num_shards)
    for shard in range(num_shards):
        lines = [_PLAN_HEAD, *images[bounds[shard] : bounds[shard + 1]]]
        plan_file(directory, shard).write_text("".join(lines), encoding="utf-8")
        progress("planning", shard + 1, num_shards)


def _descriptions(english: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each synset, and its label and English as they stand in a line of a plan."""
    for label, (synset, text) in enumerate(english.items(), start=1):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow((label, text))
        yield synset, line.getvalue()


def _boxes_by_image(bounding_boxes: Path) -> dict[str, str]:
    """Return ``xmin ymin xmax ymax;…`` for each image that has boxes."""
    boxes: dict[str, str] = {}
    with bounding_boxes.open() as file:
        for line in file:
            image, _, box = line.rstrip("\n").replace(",", " ").partition(" ")
            boxes[image] = f"{boxes[image]};{box}" if image in boxes else box
    return boxes


def plan_file(directory: Path, shard: int) -> Path:
    """Return where the plan of a shard lies in the folder of plans."""
    return directory / f"{shard:05}.csv"


def read_plan(directory: Path, shard: int) -> list[PlannedImage]:
    """Read the plan of one shard."""
    with plan_file(directory, shard).open(newline="", encoding="utf-8") as file:
        return [
            PlannedImage(parse_location(row), int(row["label"]), row["text"], _parse_boxes(row["boxes"]))
            for row in csv.DictReader(file)
        ]


def _parse_boxes(boxes: str) -> list[tuple[float, ...]]:
    return [tuple(map(float, box.split(" "))) for box in boxes.split(";")] if boxes else []


# The file -----------------------------------------------------------------------------------------------------------


def require_tensorflow() -> None:
    """Raise `TensorFlowMissingError` where tensorflow is not installed; does not import it.

    It is what shards are verified with, see `read_records`: none are begun that could not be.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise TensorFlowMissingError(
            "TFRecord shards need tensorflow, which is not installed: run pip install 'luigi-ilsvrc[tfrecords]', or "
            "leave the shards out with --tfrecords false"
        )


def load_tensorflow() -> Any:
    """Import and return tensorflow, which takes 3 s and 700 MB; without its start-up messages.

    Shards are written without it, see `records`, and read again with it: so the two vouch for each other. A process
    that forks one child for each shard to be read calls this before it forks. What is used of tensorflow runs no op, so
    that it works in the children.
    """
    require_tensorflow()
    if "tensorflow" not in sys.modules:
        with _silent_stderr():
            import tensorflow  # noqa: F401
    return sys.modules["tensorflow"]


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep out what tensorflow's libraries write past Python, of CUDA and oneDNN, which no setting switches off."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def write_shard(reader: ImageReader, images: Sequence[PlannedImage], path: Path, progress: Progress = unheard) -> None:
    """Write one Example for each of `images`, in their order, to an uncompressed TFRecord file; progress counts images.

    Raises
    ------
    ShardError
        Naming the images that cannot be used and where they lie: all are counted, the first ten named with reasons.
    ArchiveError
        Where an image cannot be read, see `ImageReader.read`.
    DiskError
        Where the shard will not fit.
    OSError
        Where it cannot be written.
    """
    disk.make_sure_of_room({path: sum(image.location.size for image in images)})
    bad: list[str] = []
    with RecordWriter(path) as writer:
        for done, image in enumerate(images, start=1):
            try:
                jpeg = as_rgb_jpeg(reader.read(image.location))
            except ImageError as error:
                bad.append(f"{reader.describe(image.location)}: {error}")
            else:
                writer.write(serialize_example(image, jpeg))
            progress("writing", done, len(images))
    if bad:
        raise ShardError(f"{len(bad)} images cannot be used; is the archive the official one?{list_reasons(bad)}")


def serialize_example(image: PlannedImage, jpeg: RGBImage) -> list[bytes]:
    """Return the serialized ``tf.train.Example`` of an image, in pieces; see `records.encode_example`."""
    xmins, ymins, xmaxs, ymaxs = zip(*image.boxes, strict=True) if image.boxes else ((),) * 4
    return encode_example(
        {
            "image/height": int64_feature(jpeg.height),
            "image/width": int64_feature(jpeg.width),
            "image/channels": int64_feature(3),
            "image/colorspace": text_feature("RGB"),
            "image/format": text_feature("JPEG"),
            "image/filename": bytes_feature(image.location.name.encode()),
            "image/encoded": bytes_feature(jpeg.encoded),
            "image/class/label": int64_feature(image.label),
            "image/class/synset": text_feature(image.location.synset),
            "image/class/text": text_feature(image.text),
            "image/object/bbox/xmin": float_feature(*xmins),
            "image/object/bbox/ymin": float_feature(*ymins),
            "image/object/bbox/xmax": float_feature(*xmaxs),
            "image/object/bbox/ymax": float_feature(*ymaxs),
            "image/object/bbox/label": int64_feature(*[image.label] * len(image.boxes)),
        }
    )


# Reading it again ----------------------------------------------------------------------------------------------------


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of an uncompressed TFRecord file, checking the CRCs of their lengths and contents.

    Runs no op of tensorflow's, see `load_tensorflow`.

    Raises
    ------
    ShardError
        Where a CRC is wrong, or the file ends within a record.
    """
    tensorflow = load_tensorflow()
    # Unwrapped: tensorflow marks its only reader that runs no op as deprecated, and would say so in every log.
    read = inspect.unwrap(tensorflow.compat.v1.io.tf_record_iterator)
    size = 0
    try:
        for record in read(str(path)):
            size += len(record) + FRAME
            yield record
    except tensorflow.errors.OpError as error:
        raise ShardError(f"damaged behind byte {size}: {error.message}") from error
    # The reader takes a record's header that is cut short for the end of the file.
    if size != os.path.getsize(path):
        raise ShardError(f"truncated: it ends within the record at byte {size}")


def check_record(record: bytes, image: PlannedImage) -> None:
    """Compare a record with what was planned of it.

    Its image's bytes are covered by the record's CRC: their size must be the planned one, unless they were re-encoded.

    Raises
    ------
    ShardError
        Naming the record's image and the features that differ, or where it is no Example at all.
    ImageError
        Where its image is no JPEG or, re-encoded, cannot be decoded.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    train = load_tensorflow().train
    try:
        found = train.Example.FromString(record).features.feature
    except DecodeError as error:
        raise ShardError("it is no Example") from error
    name = _text_of(found["image/filename"])
    if name != image.location.name:
        raise ShardError(f"it is {name or 'without a file name'}, the plan says {image.location.name}")
    encoded = b"".join(found["image/encoded"].bytes_list.value)
    if len(encoded) != image.location.size:
        check_whole(encoded)
    planned = train.Example.FromString(b"".join(serialize_example(image, as_rgb_jpeg(encoded)))).features.feature
    other = sorted(key for key in {*found, *planned} if found[key] != planned[key])
    if other:
        raise ShardError(f"{name} is not as planned: {', '.join(other)}")


def _text_of(feature: Any) -> str:
    return b"".join(feature.bytes_list.value).decode(errors="replace")
