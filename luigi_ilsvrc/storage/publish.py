"""Outputs that are whole when they exist, however many processes make them and whenever these die.

An output is made under the temporary name ``<path>.partial`` and gets its own name when it is complete. The temporary
name is locked, so that of two processes one waits for the other; and it is always the same, so that the next process
clears what a killed one left.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from luigi_ilsvrc.storage.locks import locked

PARTIAL_SUFFIX = ".partial"
"""Ends the temporary name of an output that is being made."""


def partial_path(path: Path) -> Path:
    """Return the temporary name of an output."""
    return path.with_name(path.name + PARTIAL_SUFFIX)


def new_file(path: Path) -> AbstractContextManager[Path]:
    """Yield a path to write to, an empty file; it becomes `path` when the block ends without an exception.

    Missing parent folders are made. A second process waits here until the first is done; it must then look whether
    `path` exists already, and what it writes is discarded if so. If the block fails, nothing is left.
    """
    return _published(path, _open_file, _truncate, os.unlink)


def new_folder(path: Path) -> AbstractContextManager[Path]:
    """Yield an empty folder, which becomes `path`; otherwise as `new_file`."""
    return _published(path, _open_folder, _clear_folder, shutil.rmtree)


@contextmanager
def _published(
    path: Path, open_path: Callable[[Path], int], clear: Callable[[Path], None], remove: Callable[[Path], None]
) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_path(path)
    with locked(temporary, open_path):
        clear(temporary)
        try:
            yield temporary
        except BaseException:
            remove(temporary)
            raise
        if path.exists():
            remove(temporary)
        else:
            temporary.rename(path)


def _open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def _open_folder(path: Path) -> int:
    while True:
        with suppress(FileExistsError):
            path.mkdir()
        with suppress(FileNotFoundError):
            return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _truncate(path: Path) -> None:
    os.truncate(path, 0)


def _clear_folder(folder: Path) -> None:
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
