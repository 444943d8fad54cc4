"""Removing what processes that died have left beside the outputs."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.download.partial_file import companion_files
from luigi_ilsvrc.inventory import find_unfinished, output_folders
from luigi_ilsvrc.storage.locks import locked_if_free
from luigi_ilsvrc.storage.publish import partial_path

logger = logging.getLogger(__name__)


def remove_unfinished(paths: DataSetPaths) -> None:
    """Remove the unfinished outputs that no process is writing; those of `unfinished_outputs`.

    A task clears what a killed process left of the same output. This is for what no task would come to: a process was
    killed just after it, or another one, had finished the output; or the number of shards has changed since.
    """
    companions = {path: partial_path(archive) for archive in _archives(paths) for path in companion_files(archive)}
    for path in unfinished_outputs(paths):
        if path in companions and companions[path].exists():
            # Both are in use.
            continue
        try:
            with locked_if_free(path) as is_free:
                if is_free:
                    _remove(path)
        except OSError as error:
            # It harms nothing: a data set that may only be read is no less complete.
            logger.warning("cannot remove %s: %s", path, error.strerror)


def unfinished_outputs(paths: DataSetPaths) -> Iterator[Path]:
    """Yield the unfinished outputs of a build, but for downloads that can still be resumed."""
    resumable = {
        path
        for archive in _archives(paths)
        if not archive.exists()
        for path in (partial_path(archive), *companion_files(archive))
    }
    for folder in output_folders(paths):
        yield from (path for path in find_unfinished(folder) if path not in resumable)


def _archives(paths: DataSetPaths) -> list[Path]:
    return [paths.archive(archive) for archive in ARCHIVES]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
