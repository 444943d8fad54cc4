"""A sheet of sample images, with their boxes."""

import base64
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from luigi_ilsvrc.dataset.annotations import Box
from luigi_ilsvrc.dataset.images import as_rgb_jpeg
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.report.boxes import Boxes, boxes_of
from luigi_ilsvrc.report.build import ReportedBuild
from luigi_ilsvrc.report.images import find_names, locate, reader_of

COUNTS = {TRAIN: 24, VALIDATION: 12}
"""How many images are shown of each split."""

_SIDE = 260
"""Of a thumbnail, in pixels: the longer one."""
_QUALITY = 80


class Sample(NamedTuple):
    """One image.

    Attributes
    ----------
    name, split, synset, words : str
        Which one, and what it shows.
    label : int
        From 1.
    width, height : int
        Of the thumbnail.
    picture : str
        The thumbnail as a data URI; empty if the image cannot be read.
    problem : str
        Why not.
    boxes : list of Box
        Its boxes.
    """

    name: str
    split: str
    synset: str
    words: str
    label: int
    width: int
    height: int
    picture: str
    problem: str
    boxes: list[Box]


def choose_samples(index: pd.DataFrame, synsets: list[str], count: int) -> list[ImageLocation]:
    """Return where some images lie: of synsets that are spread evenly over the labels, the same for the same index.

    Of a synset, images with boxes are preferred: `index` has the columns of an index, and ``has_boxes``.
    """
    chosen = [synsets[number] for number in np.linspace(0, len(synsets) - 1, min(count, len(synsets))).astype(int)]
    per_synset = [len(part) for part in np.array_split(np.arange(count), len(chosen))]
    places: list[ImageLocation] = []
    for synset, number in zip(chosen, per_synset, strict=True):
        images = index[index["synset"] == synset]
        boxed = images[images["has_boxes"]]
        images = boxed if len(boxed) >= number else images
        # From within: the first and the last images by name are often of one series.
        positions = (np.arange(number) + 0.5) / number * len(images)
        places += locate(images, np.unique(positions.astype(int)[: len(images)])) if len(images) else []
    return places


def read_samples(
    build: ReportedBuild, indexes: Mapping[str, pd.DataFrame], boxes: Boxes | None
) -> dict[str, list[Sample]]:
    """Return the samples of each split."""
    return {split: _read_split(build, split, indexes[split], boxes) for split in indexes}


def _read_split(build: ReportedBuild, split: str, index: pd.DataFrame, boxes: Boxes | None) -> list[Sample]:
    synsets = list(build.class_names)
    boxed: Any = False
    if boxes is not None and split == TRAIN:
        boxed = find_names(index["name"], boxes.table["image"].drop_duplicates()) >= 0
    places = choose_samples(index.assign(has_boxes=boxed), synsets, COUNTS[split])
    found = boxes_of(boxes.table, [place.name for place in places]) if boxes is not None and split == TRAIN else {}
    labels = {synset: label for label, synset in enumerate(synsets, start=1)}
    with reader_of(build, split) as reader:
        samples = []
        for place in places:
            picture, size, problem = b"", (_SIDE, _SIDE), ""
            try:
                picture, size = _thumbnail(reader.read(place))
            except (BuildError, OSError) as error:
                problem = str(error)
            uri = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}" if picture else ""
            words, label = build.class_names[place.synset], labels[place.synset]
            sample = Sample(
                place.name, split, place.synset, words, label, *size, uri, problem, found.get(place.name, [])
            )
            samples.append(sample)
    return samples


def _thumbnail(original: bytes) -> tuple[bytes, tuple[int, int]]:
    """Return a small JPEG of an image, of the pixels as stored, and its width and height."""
    from PIL import Image

    with Image.open(BytesIO(as_rgb_jpeg(original).encoded)) as image:
        image.draft("RGB", (2 * _SIDE, 2 * _SIDE))
        small = image.convert("RGB")
        small.thumbnail((_SIDE, _SIDE))
        encoded = BytesIO()
        small.save(encoded, "JPEG", quality=_QUALITY)
        return encoded.getvalue(), small.size
