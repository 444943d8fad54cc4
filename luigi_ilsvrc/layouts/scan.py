"""An archive of images, read once from its first byte to its last: its MD5 sum, and the CRC-32 of every image."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.layouts.hashed_tar import open_hashed
from luigi_ilsvrc.layouts.tar import ArchiveError, InnerTar, TarStream, read_members
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage.manifest import Entry, entry_of


class ScannedImage(NamedTuple):
    """An image in an archive: its name, that of the inner tar (empty if there is none), its offset, size and CRC-32."""

    name: str
    tar: str
    offset: int
    entry: Entry


@dataclass
class Scan:
    """What was read of an archive.

    Attributes
    ----------
    md5 : str
        The MD5 sum of the file, 32 hexadecimal digits.
    size : int
        Its bytes.
    error : str or None
        Why the archive cannot be read as a tar to its end.
    """

    md5: str
    size: int
    error: str | None = None


UseImages = Callable[[list[ScannedImage]], None]
"""Called with the images of one tar: those of a synset, or all if there are no inner tars."""


def scan_archive(archive: Path, is_nested: bool, use: UseImages, progress: Progress = no_progress) -> Scan:
    """Read an archive once; progress counts bytes.

    Parameters
    ----------
    archive : Path
        A tar of images, or of tars of images.
    is_nested : bool
        Which of the two.
    use : callable
        Gets the images, tar by tar, up to the first error.
    progress : Progress
        Counts bytes.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    problem = None
    with open_hashed(archive, "verifying", progress) as tar:
        try:
            for images in _nested_images(tar, archive) if is_nested else (_images(tar, ""),):
                use(images)
        except ArchiveError as error:
            problem = str(error)
        md5 = tar.md5_of_all()
        return Scan(md5, tar.position, problem)


def _nested_images(tar: TarStream, archive: Path) -> Iterator[list[ScannedImage]]:
    for member in read_members(tar):
        yield _images(InnerTar(tar, member.offset + member.size, f"{archive}, {member.name}"), member.name)


def _images(tar: TarStream, name: str) -> list[ScannedImage]:
    images = []
    for member in read_members(tar):
        contents = tar.read(member.size)
        if len(contents) < member.size:
            raise ArchiveError(f"{tar}: the archive ends in the middle of {member.name!r}: truncated")
        images.append(ScannedImage(member.name, name, member.offset, entry_of(contents)))
    return images
