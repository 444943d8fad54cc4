"""How the rooms tell of long work, without knowing who listens."""

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called as ``progress(stage, done, total)``: what is being done (``"downloading"``), and how much of how much.

The unit (bytes, images, files) is the room's own; ``total`` is None where it is not known beforehand. Calls may be
frequent: whoever listens decides how often to show them.
"""


def unheard(stage: str, done: int, total: int | None) -> None:
    """Be the progress that nobody listens to."""
