"""Removing what processes that died have left beside the outputs."""

import logging
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from luigi_ilsvrc.dataset.archives import ALL_ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.download.partial_file import companion_files
from luigi_ilsvrc.inventory import find_unfinished, output_folders
from luigi_ilsvrc.storage.locks import locked_if_free
from luigi_ilsvrc.storage.temporary import PARTIAL_SUFFIX, is_abandoned, partial_path

logger = logging.getLogger(__name__)


def remove_abandoned(paths: DataSetPaths, max_age: float) -> None:
    """Remove the unfinished outputs that nobody is making any more; see `abandoned_outputs`."""
    _remove_all(abandoned_outputs(paths, max_age))


def remove_abandoned_verifications(paths: DataSetPaths, max_age: float) -> None:
    """Remove what verifications have left that died; they are no part of the build. `max_age` is in seconds."""
    now = time.time()
    unfinished = paths.verifications.glob(f"*{PARTIAL_SUFFIX}")
    _remove_all(path for path in unfinished if is_abandoned(path, max_age, now))


def abandoned_outputs(paths: DataSetPaths, max_age: float) -> Iterator[Path]:
    """Yield the unfinished outputs that nobody is making any more, but for downloads that can be resumed; and locks.

    Parameters
    ----------
    paths : DataSetPaths
        The build.
    max_age : float
        Seconds without a change after which something that a process on another host has made counts as abandoned, and
        so does a download if the file system has no locks. On this host it does so when its process has ended. A lock
        that no file system gives keeps nobody out: its file is always abandoned.
    """
    now = time.time()
    downloads = _download_files(paths)
    for folder in output_folders(paths):
        for path in find_unfinished(folder):
            archive = downloads.get(path)
            if archive is None:
                is_removable = is_abandoned(path, max_age, now)
            else:
                is_old = is_abandoned(path, max_age, now)
                is_removable = archive.exists() and _is_free(partial_path(archive), without_locks=is_old)
            if is_removable:
                yield path
    if paths.locks.is_dir() and not paths.locks.is_symlink():
        yield from (path for path in sorted(paths.locks.iterdir()) if _is_free(path, without_locks=True))


def _download_files(paths: DataSetPaths) -> dict[Path, Path]:
    """Return the archive that each file belongs to which a download may keep."""
    return {
        path: archive
        for archive in (paths.archive(archive) for archive in ALL_ARCHIVES)
        for path in (partial_path(archive), *companion_files(archive))
    }


def _is_free(path: Path, without_locks: bool) -> bool:
    """Tell whether nobody holds the lock on a file, or it is gone; if that cannot be told, return `without_locks`."""
    try:
        with locked_if_free(path) as is_free:
            return is_free or not path.exists()
    except OSError:
        return without_locks


def _remove_all(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            _remove(path)
        except OSError as error:
            # It harms nothing: a data set that may only be read is no less complete.
            logger.warning("cannot remove %s: %s", path, error.strerror)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
