"""The error of the miniature."""

from luigi_ilsvrc.errors import BuildError


class MiniatureError(BuildError):
    """The miniature cannot be written with these counts, or not to this directory."""
