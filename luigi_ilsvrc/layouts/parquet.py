"""Hugging Face's parquet files, brought into an archive of the official layout.

Their rows are in no order, so all files are read twice. First, name, size and CRC-32 of each image are noted
(`parquet_import.notes`), and its place in the archive follows from that (`parquet_import.plan`). Then each image is
written where it belongs (`parquet_import.archive`). At the end the archive is read once, and each image is compared
with what was noted. An import that was killed goes on with the next file.
"""

import errno
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.dataset.synsets import LabelTables
from luigi_ilsvrc.layouts.parquet_import.archive import PlannedArchive
from luigi_ilsvrc.layouts.parquet_import.notes import note_all
from luigi_ilsvrc.layouts.parquet_import.plan import plan_archive
from luigi_ilsvrc.layouts.parquet_import.rows import RowNames
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.publish import make_folder

_THREADS = 2
"""Files that are read at once."""

_MAX_PROCESSES = 20
"""That may import the same archive at once, if locks do not keep them from that."""

_SUFFIX = ".parquet"
_NUMBERED = re.compile(r".*-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(?:-[0-9a-f]+)?\.parquet")


# The form of a source, see `layouts.sources.Form` ----------------------------------------------------------------

IS_READ_IN_PLACE = False


def images(split: str) -> list[str]:
    """Return what the files of a split are called."""
    return [f"data/{split}-*{_SUFFIX}", f"{split}-*{_SUFFIX}"]


def annotations(split: str) -> list[str]:
    """Return no place: the files have no annotations."""
    return []


def is_recognised(path: Path) -> bool:
    """Tell whether there are files of this pattern."""
    return any(path.parent.glob(path.name))


# The files -----------------------------------------------------------------------------------------------------------


def find_files(folder: Path, split: str) -> list[Path]:
    """Return the parquet files of a split in a folder, sorted: those in its ``data``, or else its own.

    Raises
    ------
    ArchiveError
        If the folder may not be read; if their names say that some are missing, or are of several copies.
    """
    for place in (folder / "data", folder):
        names = sorted(name for name in _list(place) if name.startswith(f"{split}-") and name.endswith(_SUFFIX))
        if names:
            _check_complete(place, names)
            return [place / name for name in names]
    return []


def _list(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ArchiveError(
            f"{folder}: the folder cannot be read: {error.strerror}; make it readable, or give another --source"
        ) from error


def _check_complete(folder: Path, names: Sequence[str]) -> None:
    """Check files that are called ``train-00003-of-00294.parquet``; names without numbers say nothing."""
    matches = [match for name in names if (match := _NUMBERED.fullmatch(name))]
    if not matches:
        return
    counts = {int(match["count"]) for match in matches}
    numbers = Counter(int(match["number"]) for match in matches)
    if len(matches) < len(names) or len(counts) > 1 or max(numbers.values()) > 1 or max(numbers) >= min(counts):
        raise ArchiveError(
            f"{folder}: {names[0]} and {names[-1]} are of several copies of the data set; keep the files of one"
        )
    [count] = counts
    missing = [number for number in range(count) if number not in numbers]
    if missing:
        prefix = names[0].partition("-")[0]
        raise ArchiveError(
            f"{folder}: {prefix}-{missing[0]:05}-of-{count:05}{_SUFFIX} is missing, one of {len(missing):,} of "
            f"{count:,} files; download the rest"
        )


# The import ----------------------------------------------------------------------------------------------------------


def import_archive(
    files: Sequence[Path],
    split: str,
    tables: LabelTables,
    archive: Path,
    state: Path,
    progress: Progress = no_progress,
    threads: int = _THREADS,
) -> str:
    """Write the images of parquet files to an archive of the official layout; the same images give the same bytes.

    If `archive` exists already, it is compared with the files and not written.

    Parameters
    ----------
    files : sequence of Path
        All parquet files of the split, as `find_files` returns them.
    split : str
        ``train``: a tar of one ``<synset>.tar`` of ``<synset>_<n>.JPEG`` for each synset, in the table's order.
        ``validation``: a tar of ``ILSVRC2012_val_<8 digits>.JPEG``.
    tables : LabelTables
        Those that the files were made with.
    archive : Path
        Gets its name when it is whole.
    state : Path
        A folder on the same disk, for what is needed to go on after an interruption; it is removed at the end.
    progress : Progress
        Counts bytes: of the files, of the images, of the archive.
    threads : int
        How many files are read at once.

    Returns
    -------
    str
        The archive's MD5 sum, 32 lower-case hexadecimal digits.

    Raises
    ------
    ArchiveError
        If pyarrow is missing, or the files are not those of ILSVRC2012, or not whole; if the archive is not what was
        written.
    TableError
        If a label table is invalid.
    DiskError
        If the disk has too little space; what is written is kept.
    OSError
        If a file cannot be read or written.
    """
    _check_pyarrow(files[0])
    with _kept_if_full(archive, state):
        for _ in range(_MAX_PROCESSES):
            try:
                return _import(files, split, tables, archive, state, progress, threads)
            except FileNotFoundError:
                # Another process has published it meanwhile, and removed what it was made from.
                if not archive.exists():
                    raise
        raise ArchiveError(
            f"{state}: other processes have removed it {_MAX_PROCESSES} times; run again when they have ended"
        )


def _import(
    files: Sequence[Path],
    split: str,
    tables: LabelTables,
    archive: Path,
    state: Path,
    progress: Progress,
    threads: int,
) -> str:
    make_folder(state)
    plan = plan_archive(files, note_all(files, split, tables, state, progress, threads), split, tables)
    planned = PlannedArchive(plan, files, RowNames(split, tables), archive, state)
    if not archive.exists():
        planned.write(progress, threads)
    md5 = planned.publish(split == TRAIN, progress)
    shutil.rmtree(state, ignore_errors=True)
    return md5


def _check_pyarrow(file: Path) -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ArchiveError(
            f"{file} is read with pyarrow, which cannot be imported ({error}): pip install 'luigi-ilsvrc[parquet]'"
        ) from error


@contextmanager
def _kept_if_full(archive: Path, state: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise disk.DiskError(
            f"{error.filename or archive}: {error.strerror}. What is written of {archive.name} is kept in {state}: "
            "free some space (or raise the quota) and run the build again, which goes on there"
        ) from error
