"""Which training and validation images there are, and which picture each of them shows."""

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from luigi_ilsvrc.miniature.counts import images_per_synset
from luigi_ilsvrc.miniature.encoding import ImageKind, Picture
from luigi_ilsvrc.miniature.oddities import place_oddities
from luigi_ilsvrc.miniature.pictures import Pictures

DISGUISED_PNG = "n02105855_2933.JPEG"
"""The training image that is a PNG, in the real data and here."""

# Image numbers are those of the whole of ImageNet, where synsets are larger.
_NUMBERS = 30_000


class NamedImage(NamedTuple):
    """An image: its file name, and the picture that it shares with others."""

    name: str
    picture: Picture

    @property
    def size(self) -> int:
        """The size of the file in bytes."""
        return self.picture.size_with_comment(self.name)

    def data(self) -> bytes:
        """Return the content of the file: its name is in a comment, so that no two images are the same."""
        return self.picture.with_comment(self.name)


class TrainImages:
    """The training images, made synset by synset, because a list of all 1,281,167 would need too much memory.

    Parameters
    ----------
    synsets : sequence of str
        The synset table; the synset of `DISGUISED_PNG` is one of them.
    count : int
        The number of images of all synsets together.
    seed : int
        Another seed gives other images.
    pictures : Pictures
        The pictures that the images show.
    """

    def __init__(self, synsets: Sequence[str], count: int, seed: int, pictures: Pictures) -> None:
        self.synsets = synsets
        self._count = count
        self._seed = seed
        self._pictures = pictures
        self._counts = images_per_synset(len(synsets), count, seed)
        self._first_positions = list(accumulate(self._counts, initial=0))
        # At least twice as many as a synset has images, so that their numbers have gaps, as in the real data.
        self._numbers = range(1, max(_NUMBERS, 2 * max(self._counts)))
        self._png_synset, number = DISGUISED_PNG.removesuffix(".JPEG").split("_")
        self._png_number = int(number)
        self._kinds = self._place_kinds()

    def _place_kinds(self) -> dict[int, ImageKind]:
        png_position = self._first_positions[self.synsets.index(self._png_synset)]
        kinds = place_oddities(
            {ImageKind.YCCK: 1, ImageKind.CMYK: min(21, 1 + self._count // 50)} | _kinds_of_both_splits(self._count),
            self._count,
            f"{self._seed} odd training images",
            reserved=png_position,
        )
        return kinds | {png_position: ImageKind.PNG}

    @property
    def first_unused_number(self) -> int:
        """A number that no image has, nor has any larger number."""
        return self._numbers.stop

    def of_synset(self, index: int) -> list[NamedImage]:
        """Return the images of the synset with this index in the table, from 0. They are not sorted."""
        synset, first = self.synsets[index], self._first_positions[index]
        rng = random.Random(f"{self._seed} {synset}")
        images = [
            NamedImage(f"{synset}_{number}.JPEG", self._choose_picture(position, rng))
            for position, number in enumerate(self._choose_numbers(index, rng), start=first)
        ]
        rng.shuffle(images)
        return images

    def _choose_numbers(self, index: int, rng: random.Random) -> list[int]:
        count = self._counts[index]
        numbers = rng.sample(self._numbers, count)
        if self.synsets[index] != self._png_synset:
            return numbers
        return [self._png_number, *(number for number in numbers if number != self._png_number)][:count]

    def _choose_picture(self, position: int, rng: random.Random) -> Picture:
        return self._pictures.choose(self._kinds.get(position, ImageKind.PLAIN), rng)

    def evenly_spaced(self, count: int) -> Iterator[NamedImage]:
        """Yield `count` of the images, at even distances over all synsets."""
        position = 0
        for index in range(len(self.synsets)):
            for image in self.of_synset(index):
                if (position + 1) * count // self._count > position * count // self._count:
                    yield image
                position += 1


def list_validation_images(count: int, seed: int, pictures: Pictures) -> list[NamedImage]:
    """Return the validation images, numbered from 1. They are not sorted."""
    rng = random.Random(f"{seed} validation archive")
    kinds = place_oddities(_kinds_of_both_splits(count), count, f"{seed} odd validation images")
    images = [
        NamedImage(f"ILSVRC2012_val_{number + 1:08}.JPEG", pictures.choose(kinds.get(number, ImageKind.PLAIN), rng))
        for number in range(count)
    ]
    rng.shuffle(images)
    return images


def _kinds_of_both_splits(count: int) -> dict[ImageKind, int]:
    return dict.fromkeys((ImageKind.GREY, ImageKind.PROGRESSIVE, ImageKind.ROTATED), 1 + count // 50)
