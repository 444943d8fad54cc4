"""Where the unusual images and annotations are planted."""

import random
from collections.abc import Mapping
from typing import TypeVar

Kind = TypeVar("Kind")


def place_oddities(counts: Mapping[Kind, int], total: int, seed: str, reserved: int | None = None) -> dict[int, Kind]:
    """Give each unusual file a random position.

    Parameters
    ----------
    counts : mapping
        How many files of each kind to place. If there are too few positions, the last kinds are left out.
    total : int
        The number of positions; they count from 0.
    seed : str
        The seed of the random numbers.
    reserved : int, optional
        A position that is not used.

    Returns
    -------
    dict
        From position to kind.
    """
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    # One more than needed, as one of them may be the reserved position.
    positions = random.Random(seed).sample(range(total), min(total, len(kinds) + 1))
    return dict(zip((position for position in positions if position != reserved), kinds, strict=False))
