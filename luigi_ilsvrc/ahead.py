"""Training images that are extracted while their archive is still being verified.

To compute the MD5 sum of the archive takes one core some minutes, in which nothing that is made from it may be
published. Meanwhile its class folders are made in a folder of their own, each with a manifest that says which file it
was made from. If the archive turns out to be right, their files are moved to where they belong, which takes a tenth of
the time to extract them; if not, they are removed, and a file in the place of their folder says of which archive.

They are written to the disk (fsync) when they are published, and not before. So they are of use only on the host that
has made them, and only until it is started anew.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.extract import extract_synset
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.official import train_synsets
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.manifest import Files, Manifest, ManifestError, read_manifest, serialize_manifest
from luigi_ilsvrc.storage.publish import make_folder
from luigi_ilsvrc.storage.temporary import temporary_path, this_host

_MANIFEST = "manifest.csv"
"""In the folder of a synset, so that both are there or none."""

_ATTEMPTS = 10


def file_state(archive: Path) -> str:
    """Return what changes if a file is written or replaced: its number, size and time. Raises OSError."""
    status = archive.stat()
    return f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"


def _inputs(archive: Path) -> dict[str, str]:
    return {TRAIN_ARCHIVE.local_name: file_state(archive), "host": this_host()}


def extract_ahead(
    archive: Path, synsets: Sequence[str], ahead: Path, is_over: Callable[[str], bool], progress: Progress
) -> None:
    """Extract synset by synset, in the order of the archive; progress counts synsets.

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
        If something cannot be read or written; also if `discard` or `refuse` is called meanwhile.
    """
    inputs = _inputs(archive)
    if not ahead.is_dir():
        # That of another file.
        discard(ahead)
    make_folder(ahead)
    with ImageReader(archive.parent, ahead) as reader:
        for done, (synset, images) in enumerate(train_synsets(archive, synsets), start=1):
            if is_over(synset):
                return
            if read_ahead(ahead / synset, archive) is None:
                discard(ahead / synset)
                with _new_folder(ahead / synset) as folder:
                    files = extract_synset(reader, images, folder)
                    (folder / _MANIFEST).write_bytes(serialize_manifest(Manifest(files, inputs)))
            progress("extracting", done, len(synsets), "synsets")


@contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder that becomes `path`, unless another process has made that meanwhile; it need not be on the disk.

    Its parent is not made: if that is gone, the archive was refused.
    """
    folder = temporary_path(path)
    folder.mkdir()
    try:
        yield folder
        with suppress(FileExistsError):
            folder.rename(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_ahead(folder: Path, archive: Path) -> Files | None:
    """Return the entries of what was extracted of a synset; None if it was not, or from another file."""
    try:
        manifest = read_manifest(folder / _MANIFEST)
    except ManifestError:
        return None
    return manifest.files if manifest.inputs == _inputs(archive) else None


def extracted_synsets(ahead: Path, archive: Path) -> set[str]:
    """Return the synsets that were extracted from this file."""
    folders = ahead.iterdir() if archive.exists() and ahead.is_dir() and not ahead.is_symlink() else ()
    return {folder.name for folder in folders if read_ahead(folder, archive) is not None}


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
    taken = temporary_path(ahead / synset)
    if ahead.is_symlink() or not _rename(ahead / synset, taken):
        return None
    files = read_ahead(taken, archive)
    is_whole = files is not None and {name: entry.size for name, entry in files.items()} == {
        image.name: image.size for image in images
    }
    try:
        if not is_whole or not all(_rename(taken / image.name, folder / image.name) for image in images):
            for path in folder.iterdir():
                path.unlink()
            return None
        return files
    finally:
        shutil.rmtree(taken, ignore_errors=True)
        with suppress(OSError):
            ahead.rmdir()


def discard(path: Path) -> None:
    """Remove what was extracted, of a synset or all; who extracts all at this moment ends with an error."""
    gone = temporary_path(path)
    if _rename(path, gone):
        if gone.is_dir() and not gone.is_symlink():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            gone.unlink()


def refuse(ahead: Path, archive: Path) -> None:
    """Remove all that was extracted, and write down that nothing is to be extracted from this file. Raises OSError."""
    refusal = temporary_path(ahead)
    refusal.write_text(file_state(archive))
    try:
        for _ in range(_ATTEMPTS):
            discard(ahead)
            with suppress(IsADirectoryError):
                refusal.rename(ahead)
                return
    finally:
        refusal.unlink(missing_ok=True)


def is_refused(ahead: Path, archive: Path) -> bool:
    """Tell whether `refuse` was called for this file."""
    return ahead.is_file() and not ahead.is_symlink() and ahead.read_text() == file_state(archive)


def _rename(path: Path, other: Path) -> bool:
    """Rename, and tell whether it was there: of several processes that take it, one does."""
    try:
        path.rename(other)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
