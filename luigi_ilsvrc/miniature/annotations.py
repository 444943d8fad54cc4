"""Which annotations there are, and what is unusual in each of them."""

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from luigi_ilsvrc.miniature.images import NamedImage, TrainImages
from luigi_ilsvrc.miniature.oddities import place_oddities

OUTSIDE_SYNSET = "n00007846"
"""A synset (person) that is not in the challenge."""

# The most frequent size of the real images; any would do.
_SIZE_WITHOUT_IMAGE = 500, 375


class AnnotationKind(Enum):
    """What is unusual in an annotation. If there are too few annotations, the last kinds are left out."""

    PLAIN = auto()
    FLOATS = auto()
    SWAPPED = auto()
    BEYOND_IMAGE = auto()
    OUTSIDE_IMAGE = auto()
    ZERO_WIDTH = auto()
    NO_FILENAME = auto()
    HUMAN_NAME = auto()
    NO_IMAGE = auto()
    OUTSIDE_SYNSET = auto()
    RIGHT_TO_LEFT = auto()
    OTHER_SYNSET_FIRST = auto()
    OTHER_SYNSET_SECOND = auto()
    OTHER_SIZE = auto()


class Annotation(NamedTuple):
    """An XML file of bounding boxes.

    Attributes
    ----------
    synset : str
        The synset of the image, which is the folder of the file.
    image : str
        The name of the image without ``.JPEG``, which is the name of the file without ``.xml``.
    width, height : int
        The size that the file gives, in pixels.
    kind : AnnotationKind
        What is unusual in the file.
    """

    synset: str
    image: str
    width: int
    height: int
    kind: AnnotationKind


def choose_annotations(train: TrainImages, count: int, seed: int) -> Iterator[Annotation]:
    """Yield `count` annotations, at most one for each training image."""
    kinds = place_oddities(_kind_counts(count, len(train.synsets)), count, f"{seed} odd annotations")
    without_image = (AnnotationKind.NO_IMAGE, AnnotationKind.OUTSIDE_SYNSET)
    images = train.evenly_spaced(count - sum(kind in without_image for kind in kinds.values()))
    for position in range(count):
        kind = kinds.get(position, AnnotationKind.PLAIN)
        if kind in without_image:
            yield _without_image(train, position, kind)
        else:
            yield _of_image(next(images), kind)


def _kind_counts(count: int, synsets: int) -> dict[AnnotationKind, int]:
    counts = dict.fromkeys(AnnotationKind, 1 + count // 1000) | {AnnotationKind.OTHER_SIZE: 1 + count // 10}
    del counts[AnnotationKind.PLAIN]
    if synsets == 1:
        del counts[AnnotationKind.OTHER_SYNSET_FIRST], counts[AnnotationKind.OTHER_SYNSET_SECOND]
    return counts


def _without_image(train: TrainImages, position: int, kind: AnnotationKind) -> Annotation:
    inside = kind is AnnotationKind.NO_IMAGE
    synset = train.synsets[position % len(train.synsets)] if inside else OUTSIDE_SYNSET
    return Annotation(synset, f"{synset}_{train.first_unused_number + position}", *_SIZE_WITHOUT_IMAGE, kind)


def _of_image(image: NamedImage, kind: AnnotationKind) -> Annotation:
    stem = image.name.removesuffix(".JPEG")
    scale = 2 if kind is AnnotationKind.OTHER_SIZE else 1
    return Annotation(stem.partition("_")[0], stem, scale * image.picture.width, scale * image.picture.height, kind)
