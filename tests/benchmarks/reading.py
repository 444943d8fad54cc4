"""What ours and the peer read: to the end, as a training of one epoch does."""

from collections.abc import Iterable
from typing import Any

from tests.benchmarks.measure import mark_imports_done

BATCH, SIZE = 128, 224
"""Images in a batch; height and width in pixels."""


def read_all(batches: Iterable[tuple[Any, Any]]) -> None:
    """Read all batches of images and labels, and say how many images there were."""
    mark_imports_done()
    print(sum(len(labels) for _, labels in batches), "images")
