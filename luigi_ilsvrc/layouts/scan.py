"""An archive of images, read once from its first byte to its last: its MD5 sum, and the CRC-32 of every image."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from luigi_ilsvrc.layouts.tar import ArchiveError, read_members
from luigi_ilsvrc.progress import BYTES, Progress, no_progress
from luigi_ilsvrc.storage.manifest import Entry, entry_of

_CHUNK = 1 << 20
_REPORT_BYTES = 16 << 20


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
    size, problem = archive.stat().st_size, None
    with archive.open("rb", buffering=_CHUNK) as file:
        stream = _Stream(file, size, str(archive), progress)
        try:
            for images in _nested_images(stream) if is_nested else (_images(stream, ""),):
                use(images)
        except ArchiveError as error:
            problem = str(error)
        while stream.read(_CHUNK):
            pass
    return Scan(stream.md5.hexdigest(), size, problem)


class _Stream:
    """The bytes of a file, read in order; each of them goes into the MD5 sum."""

    def __init__(self, file: BinaryIO, end: int, where: str, progress: Progress) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.position = 0
        self.where = where
        self._file = file
        self._end = end
        self._progress = progress
        self._reported = 0

    def __str__(self) -> str:
        return f"{self.where}, byte {self.position}"

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.md5.update(data)
        self.position += len(data)
        if self.position - self._reported >= _REPORT_BYTES:
            self._reported = self.position
            self._progress("verifying", self.position, self._end, BYTES)
        return data

    def skip(self, size: int) -> bool:
        return len(self.read(size)) == size


class _Part:
    """The bytes of a stream up to some offset: an inner tar."""

    def __init__(self, stream: _Stream, end: int, name: str) -> None:
        self._stream = stream
        self._end = end
        self._name = name

    @property
    def position(self) -> int:
        return self._stream.position

    def __str__(self) -> str:
        return f"{self._stream.where}, {self._name}, byte {self.position}"

    def read(self, size: int) -> bytes:
        return self._stream.read(min(size, self._end - self.position))

    def skip(self, size: int) -> bool:
        return len(self.read(size)) == size


def _nested_images(stream: _Stream) -> Iterator[list[ScannedImage]]:
    for tar in read_members(stream):
        yield _images(_Part(stream, tar.offset + tar.size, tar.name), tar.name)


def _images(stream: _Stream | _Part, tar: str) -> list[ScannedImage]:
    images = []
    for member in read_members(stream):
        contents = stream.read(member.size)
        if len(contents) < member.size:
            raise ArchiveError(f"{stream}: the archive ends in the middle of {member.name!r}: truncated")
        images.append(ScannedImage(member.name, tar, member.offset, entry_of(contents)))
    return images
