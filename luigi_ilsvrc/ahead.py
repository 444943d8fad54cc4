"""Training images that are extracted while their archive is still being verified.

To compute the MD5 sum of the archive takes one core some minutes, in which nothing that is made from it may be
published. Meanwhile its class folders are made in a folder of the running command, each with a manifest that says which
file it was made from. If the archive turns out to be right, their files are moved to where they belong, which takes a
tenth of the time to extract them. If not, they are removed, and a file in the place of the folder keeps it from being
made again.

Only the command that has made them uses them: its folder has a temporary name, and is removed like all that processes
leave which have ended.
"""

import atexit
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.extract import extract_synset
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.official import train_synsets
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.manifest import Entry, Files, Manifest, ManifestError, read_manifest, serialize_manifest
from luigi_ilsvrc.storage.publish import make_folder, publish_folder, sync_folder_contents
from luigi_ilsvrc.storage.temporary import temporary_path

_MANIFEST = "manifest.csv"
"""In the folder of a synset, so that both are there or none."""


_folders: dict[Path, Path] = {}


def folder_of_command(path: Path) -> Path:
    """Return the temporary name of `path` for this process, and for those that it forks after the first call.

    What lies there is removed when the process of the first call ends: nobody else does so if a worker on another host
    has run the task that would.
    """
    if path not in _folders:
        _folders[path] = temporary_path(path)
        atexit.register(_discard_if_of, os.getpid(), _folders[path])
    return _folders[path]


def _discard_if_of(pid: int, ahead: Path) -> None:
    """Discard what was extracted, unless this is a process that the command has forked."""
    if os.getpid() == pid:
        # The next build removes what cannot be removed now; and whoever has no place for outputs was told so.
        with suppress(OSError):
            discard(ahead)


def _inputs(archive: Path) -> dict[str, str]:
    status = archive.stat()
    state = f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
    return {TRAIN_ARCHIVE.local_name: state}


def extract_ahead(
    archive: Path, synsets: Sequence[str], ahead: Path, is_over: Callable[[str], bool], progress: Progress
) -> None:
    """Extract synset by synset, in the order of the archive; progress counts synsets.

    While one is extracted, the one before is written to the disk; then it gets its name.

    Parameters
    ----------
    archive : Path
        The training archive.
    synsets : sequence of str
        Those that it may have.
    ahead : Path
        Gets a folder for each synset.
    is_over : callable
        Asked before each synset, with its name; True ends it.
    progress : Progress
        Counts synsets.

    Raises
    ------
    ArchiveError
        If the archive is damaged or not the official one.
    OSError
        If something cannot be read or written; also if `refuse` was called, before or meanwhile.
    """
    inputs = _inputs(archive)
    make_folder(ahead)
    with ImageReader(archive.parent, ahead) as reader, _publisher() as publish:
        for done, (synset, images) in enumerate(train_synsets(archive, synsets), start=1):
            if is_over(synset):
                return
            folder = temporary_path(ahead / synset)
            # Its parent is not made: if that is gone, the archive was refused.
            folder.mkdir()
            files = extract_synset(reader, images, folder)
            (folder / _MANIFEST).write_bytes(serialize_manifest(Manifest(files, inputs)))
            publish(folder, ahead / synset)
            progress("extracting", done, len(synsets), "synsets")


@contextmanager
def _publisher() -> Iterator[Callable[[Path, Path], None]]:
    """Yield what lets a thread write a folder to the disk and give it its name, when it has done so with the last."""
    last: Future[None] | None = None

    def publish(folder: Path, path: Path) -> None:
        nonlocal last
        if last is not None:
            last.result()
        last = thread.submit(_sync_and_publish, folder, path)

    with ThreadPoolExecutor(1, "extract-ahead") as thread:
        yield publish
    if last is not None:
        last.result()


def _sync_and_publish(folder: Path, path: Path) -> None:
    sync_folder_contents(folder)
    publish_folder(folder, path)


def take_synset(ahead: Path, synset: str, archive: Path, images: Sequence[ImageLocation], folder: Path) -> Files | None:
    """Move the images that were extracted of a synset to `folder`, if they are all there and of this file.

    Returns
    -------
    dict or None
        The entries of the files; None if they have to be extracted: the folder is then empty.

    Raises
    ------
    OSError
        If the file system fails.
    """
    extracted = ahead / synset
    files = _read_entries(extracted, archive)
    is_whole = bool(files) and {name: entry.size for name, entry in files.items()} == {
        it.name: it.size for it in images
    }
    if not is_whole or not all(_move(extracted / name, folder / name, entry) for name, entry in files.items()):
        for path in folder.iterdir():
            path.unlink()
        return None
    with suppress(OSError):
        (extracted / _MANIFEST).unlink()
        extracted.rmdir()
        ahead.rmdir()
    return files


def _read_entries(extracted: Path, archive: Path) -> Files:
    """Return the entries of what was extracted of a synset; none if it was not, or from another file."""
    try:
        manifest = read_manifest(extracted / _MANIFEST)
    except ManifestError:
        return {}
    return manifest.files if manifest.inputs == _inputs(archive) else {}


def _move(path: Path, other: Path, entry: Entry) -> bool:
    """Move a file to another folder, if it is a whole one, and tell whether that was done."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
            return False
        path.rename(other)
    except OSError:
        # It is gone; or the class folders have a quota or a disk of their own.
        return False
    return True


def refuse(path: Path) -> None:
    """Remove all that this command has extracted; if it extracts at this moment, or wants to, that ends with an error.

    Does nothing if the command has not asked for its `folder_of_command`. Raises OSError.
    """
    ahead = _folders.get(path)
    if ahead is None:
        return
    gone = temporary_path(path)
    with suppress(FileNotFoundError):
        ahead.rename(gone)
    try:
        with suppress(FileNotFoundError):
            ahead.touch()
    finally:
        discard(gone)


def is_refused(ahead: Path) -> bool:
    """Tell whether `refuse` was called."""
    return ahead.is_file()


def discard(ahead: Path) -> None:
    """Remove what this command has extracted and not used, or its refusal."""
    if ahead.is_dir():
        shutil.rmtree(ahead, ignore_errors=True)
    else:
        ahead.unlink(missing_ok=True)
