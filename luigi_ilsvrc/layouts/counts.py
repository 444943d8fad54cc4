"""How many images and annotations there have to be, for folders that no checksum speaks of."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.errors import list_reasons
from luigi_ilsvrc.layouts.tar import ArchiveError

IMAGES = {TRAIN: 1_281_167, VALIDATION: 50_000}
ANNOTATIONS = {TRAIN: 544_546, VALIDATION: 50_000}
"""Of ILSVRC2012, as image-net.org's own archives have them."""

_IMAGES_PER_SYNSET = {TRAIN: range(732, 1301), VALIDATION: range(50, 51)}

_SWITCH = "If they are meant to be so, go on with --check-counts false"


def check_images(split: str, synsets_of_images: Iterable[str], synsets: Sequence[str], folder: Path) -> None:
    """Compare the number of images of a split with that of ILSVRC2012.

    Raises
    ------
    ArchiveError
        If it is another one: with the synsets that have too few or too many images; if none stands out by itself, with
        those that have the fewest.
    """
    counts = Counter(dict.fromkeys(synsets, 0))
    counts.update(synsets_of_images)
    if counts.total() == IMAGES[split]:
        return
    usual = _IMAGES_PER_SYNSET[split]
    odd = [synset for synset in synsets if counts[synset] not in usual] or sorted(synsets, key=counts.__getitem__)
    reasons = [f"{synset} has {counts[synset]:,} images" for synset in odd]
    raise ArchiveError(
        f"{folder}: {counts.total():,} images are there, {IMAGES[split]:,} are in ILSVRC2012. {_SWITCH}"
        f"{list_reasons(reasons)}"
    )


def check_annotations(
    annotations: Iterable[Annotation], split: str, synsets: Sequence[str], folder: Path
) -> Iterator[Annotation]:
    """Pass annotations of a split on, and compare their number with that of ILSVRC2012 at the end.

    Raises
    ------
    ArchiveError
        If it is another one, with the synsets that have the fewest.
    """
    counts = Counter(dict.fromkeys(synsets, 0))
    for annotation in annotations:
        counts[annotation.synset] += 1
        yield annotation
    if counts.total() != ANNOTATIONS[split]:
        reasons = [f"{synset} has {counts[synset]:,} annotations" for synset in sorted(synsets, key=counts.__getitem__)]
        raise ArchiveError(
            f"{folder}: {counts.total():,} annotations are there, {ANNOTATIONS[split]:,} are in ILSVRC2012. {_SWITCH}"
            f"{list_reasons(reasons)}"
        )
