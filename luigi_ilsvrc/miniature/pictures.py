"""The few different pictures that all images of a miniature share."""

import random

from luigi_ilsvrc.miniature.drawing import draw_picture
from luigi_ilsvrc.miniature.encoding import ImageKind, Picture, encode

# Roughly the sizes of the training images: most are 500 pixels wide, a few are much larger.
_SIZES = (
    *((500, 375), (375, 500), (500, 333), (640, 480), (500, 375), (333, 500), (500, 500), (400, 300)),
    *((500, 375), (375, 500), (500, 334), (320, 240), (500, 375), (500, 400), (300, 225), (800, 600)),
)
_PLAIN_PICTURES, _PICTURES_OF_A_KIND = 64, 4


class Pictures:
    """The pictures: 64 plain ones and 4 of each other kind, each generated when it is first used.

    Parameters
    ----------
    seed : int
        Another seed gives other pictures.
    tiny : bool
        Whether pictures have 16 to 32 pixels a side, and not a photograph's size.
    """

    def __init__(self, seed: int, tiny: bool) -> None:
        self._seed = seed
        self._tiny = tiny
        self._generated: dict[tuple[ImageKind, int], Picture] = {}

    def choose(self, kind: ImageKind, rng: random.Random) -> Picture:
        """Return one of the pictures of a kind, at random."""
        key = kind, rng.randrange(_PLAIN_PICTURES if kind is ImageKind.PLAIN else _PICTURES_OF_A_KIND)
        if key not in self._generated:
            self._generated[key] = self._generate(*key)
        return self._generated[key]

    def _generate(self, kind: ImageKind, number: int) -> Picture:
        rng = random.Random(f"{self._seed} picture {kind.value} {number}")
        if self._tiny:
            width = rng.randint(20, 32)
            # Never square, so that a rotation changes the size.
            return encode(draw_picture((width, width - 4), 8, rng), kind, quality=50, optimize=True)
        # With this grain and quality, the files have 110 kB on average, as in the real data.
        return encode(draw_picture(_SIZES[number % len(_SIZES)], rng.randint(8, 40), rng), kind, quality=95)
