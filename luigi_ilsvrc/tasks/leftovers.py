"""What dead processes left beside a data set that is complete."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from luigi_ilsvrc import archives
from luigi_ilsvrc.tasks.targets import SUFFIX

logger = logging.getLogger("luigi-interface")

_ARCHIVES = {archive.local_name for archive in (archives.TRAIN, archives.VALIDATION, archives.BOUNDING_BOXES)}
_RECORDS = (".json", ".new", ".link")
"""What a download keeps beside its partial file."""


def clear(data_dir: Path, dataset: Path) -> None:
    """Remove the unfinished outputs that no process is writing.

    A task clears what a killed one left of the same output; this is for what no task would come to: a process was
    killed just after it, or another, had finished the output; or the number of shards has changed since. A download
    that can still be resumed is kept.
    """
    for path in _unfinished(data_dir, dataset):
        try:
            _remove_unless_in_use(path)
        except OSError as error:
            # It is in nobody's way: a data set that may only be read is no less complete.
            logger.warning("cannot remove %s: %s", path, error.strerror)


def _unfinished(data_dir: Path, dataset: Path) -> Iterator[Path]:
    # Not all of data_dir, which may be anybody's folder, and not the class folders, which hold a million files.
    yield from data_dir.glob(f"bounding_boxes.csv{SUFFIX}")
    for folder in (dataset, dataset / "training_images", dataset / "tfrecords", dataset / "index"):
        yield from folder.glob(f"*{SUFFIX}")
    yield from (dataset / "index" / "manifests").rglob(f"*{SUFFIX}")
    for archive in _ARCHIVES:
        yield from (path for record in _RECORDS if (path := dataset / f"{archive}{SUFFIX}{record}").exists())


def _remove_unless_in_use(path: Path) -> None:
    output, suffix, _ = path.name.rpartition(SUFFIX)
    if output in _ARCHIVES and not path.with_name(output).exists():
        return
    if path.suffix in _RECORDS:
        # They go with the partial file, which is locked while they are in use.
        if not path.with_name(output + suffix).exists():
            path.unlink(missing_ok=True)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except (BlockingIOError, FileNotFoundError):
        return
    finally:
        os.close(descriptor)
