"""What is asked for: checked, with errors that say what to give instead."""

import os
from collections.abc import Sequence
from pathlib import Path

from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.errors import MAX_SHOWN, BuildError


class DatasetError(BuildError):
    """A build cannot be read as it was asked for."""


def paths_of_build(data_dir: str | os.PathLike[str], split: str) -> DataSetPaths:
    """Return where the outputs of a build lie. Raises `DatasetError` if there is none, or no such split."""
    check_choice("split", split, SPLITS)
    paths = DataSetPaths(Path(data_dir))
    if not paths.dataset.is_dir():
        raise DatasetError(f"{data_dir}: there is no build in this folder, which has no {paths.dataset.name}/")
    return paths


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise `DatasetError` if the value of an argument is none of the choices."""
    if value not in choices:
        raise DatasetError(f"{name}: {value!r} is none of {', '.join(map(repr, choices))}")


def check_positive(name: str, value: object) -> None:
    """Raise `DatasetError` if the value of an argument is not a whole number from 1."""
    if not isinstance(value, int) or value < 1:
        raise DatasetError(f"{name}: {value!r} is not a whole number from 1")


def shorten(names: list[str]) -> str:
    """Return the first ten names, and how many more there are, for one line."""
    more = len(names) - MAX_SHOWN
    return ", ".join(names[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
