"""How many files of each kind a miniature has, and how its training images are divided among the synsets."""

import random
from collections.abc import Mapping
from itertools import cycle
from typing import Any, NamedTuple

from luigi_ilsvrc.miniature.errors import MiniatureError

FULL: Mapping[str, Any] = {
    "synsets": 1000,
    "train_images": 1_281_167,
    "validation_images": 50_000,
    "xml_files": 544_546,
    "tiny": True,
}
"""The arguments of `write` for as many files as the real data set has, with tiny images."""

_LARGEST_SYNSET, _SMALLEST_SYNSET = 1300, 732


class Counts(NamedTuple):
    """How many synsets there are, and how many files of each kind in all synsets together."""

    synsets: int
    train_images: int
    validation_images: int
    xml_files: int

    @property
    def files(self) -> int:
        """The number of files in all archives together; the training archive's inner archives are not counted."""
        return self.train_images + self.validation_images + self.xml_files


def check_counts(counts: Counts) -> None:
    """Check that a miniature with these counts is possible.

    Raises
    ------
    MiniatureError
        Naming the argument of `write`, if its value is impossible.
    """
    most = FULL["synsets"]
    if not 1 <= counts.synsets <= most:
        raise MiniatureError(f"synsets is {counts.synsets}: choose 1 to {most}, as the challenge has {most} synsets")
    for name in ("train_images", "validation_images"):
        images = getattr(counts, name)
        if images < counts.synsets:
            raise MiniatureError(
                f"{name} is {images}, which is less than one image for each of the {counts.synsets} synsets: "
                f"choose {counts.synsets} or more"
            )
    if not 1 <= counts.xml_files <= counts.train_images:
        raise MiniatureError(
            f"xml_files is {counts.xml_files}: choose 1 to {counts.train_images}, the number of training images"
        )


def images_per_synset(synsets: int, images: int, seed: int) -> list[int]:
    """Divide training images among synsets as the real data set does.

    Most synsets have the same, largest, number; a few have fewer images, at least 732 if the largest number is 1300.

    Returns
    -------
    list of int
        The number of images of each synset, at least one; their sum is `images`.
    """
    rng = random.Random(f"{seed} images per synset")
    largest = -(-images * _LARGEST_SYNSET * FULL["synsets"] // (FULL["train_images"] * synsets))
    smallest = max(1, largest * _SMALLEST_SYNSET // _LARGEST_SYNSET)
    counts = [largest] * synsets
    surplus = largest * synsets - images
    for turn, index in enumerate(cycle(rng.sample(range(synsets), synsets))):
        if not surplus:
            break
        removable = min(surplus, counts[index] - smallest)
        # The first synset loses as many as possible, so that at the full count one synset has 732 images.
        removed = rng.randint(min(1, removable), removable) if turn else removable
        counts[index] -= removed
        surplus -= removed
    return counts
