"""The bounding boxes of an annotation."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from luigi_ilsvrc.miniature.annotations import Annotation, AnnotationKind

HUMAN_NAME = "Scottish_deerhound"
"""A name that annotators wrote instead of a synset; see ``process_bounding_boxes.py`` in tensorflow/models."""

# The real data set has 615,299 boxes in 544,546 files; three extra boxes in every twenty files are close to that.
_EXTRA_BOXES = (0,) * 18 + (1, 2)


class Box(NamedTuple):
    """The box of one object: the name that the annotator gave it, and the edges in pixels."""

    name: str
    xmin: int
    ymin: int
    xmax: int
    ymax: int


def choose_boxes(annotation: Annotation, synsets: Sequence[str], rng: random.Random) -> list[Box]:
    """Return the boxes of an annotation, unusual as its kind says.

    Parameters
    ----------
    annotation : Annotation
        What the boxes are for.
    synsets : sequence of str
        The synset table.
    rng : random.Random
        Decides where the boxes lie and how many there are.
    """
    synset, _, width, height, kind = annotation
    box = _random_box(synset, annotation, rng)
    match kind:
        case AnnotationKind.SWAPPED:
            return [Box(synset, box.xmax, box.ymax, box.xmin, box.ymin)]
        case AnnotationKind.BEYOND_IMAGE:
            return [Box(synset, -12, -3, width + 20, height + 5)]
        case AnnotationKind.OUTSIDE_IMAGE:
            return [Box(synset, width + 1, 1, width + 100, height)]
        case AnnotationKind.ZERO_WIDTH:
            return [box._replace(xmax=box.xmin), box]
        case AnnotationKind.HUMAN_NAME:
            return [box._replace(name=HUMAN_NAME)]
        case AnnotationKind.OTHER_SYNSET_FIRST:
            return [_other_synset_box(annotation, synsets, rng), box]
        case AnnotationKind.OTHER_SYNSET_SECOND:
            return [box, _other_synset_box(annotation, synsets, rng)]
        case AnnotationKind.RIGHT_TO_LEFT:
            return [Box(synset, left, 1, left + 4, height) for left in (width - 4, width // 2, 0)]
    return [box, *(_random_box(synset, annotation, rng) for _ in range(rng.choice(_EXTRA_BOXES)))]


def _other_synset_box(annotation: Annotation, synsets: Sequence[str], rng: random.Random) -> Box:
    return _random_box(rng.choice([other for other in synsets if other != annotation.synset]), annotation, rng)


def _random_box(name: str, annotation: Annotation, rng: random.Random) -> Box:
    width, height = annotation.width, annotation.height
    xmin, ymin = rng.randrange(width - 4), rng.randrange(height - 4)
    # At least two pixels wide and high, and inside the image also if a fraction of a pixel is added to each edge.
    return Box(name, xmin, ymin, rng.randrange(xmin + 2, width), rng.randrange(ymin + 2, height))
