"""Reading images where the index says they lie."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.dataset.tar_header import BLOCK
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.tar import NAME_LENGTH, ArchiveError
from luigi_ilsvrc.storage import disk, disk_advice

_BATCH = 32
"""Images that the disk is asked for at once, about 3.5 MB, while as many are read."""

_GAP = 4096
"""Bytes between two images that are asked for with them: the rest of a block of the first, and a header."""


class _Archive(NamedTuple):
    descriptor: int
    size: int


class ImageReader:
    """Reads images where the index says they lie; a context manager that keeps the archives open.

    Parameters
    ----------
    directory : Path
        The data set's folder (``ilsvrc2012``), to which the index's files are relative.
    folders : Path
        The split's class folders: images are read there if the file that held them has been deleted.
    """

    def __init__(self, directory: Path, folders: Path) -> None:
        self._directory = directory
        self._folders = folders
        self._archives: dict[str, _Archive | None] = {}
        self._open_files = ExitStack()

    def __enter__(self) -> "ImageReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._open_files.close()

    def read_all(self, locations: Sequence[ImageLocation]) -> Iterator[bytes]:
        """Yield each image's bytes, in the order given; the disk is asked for those that follow meanwhile.

        Raises
        ------
        ArchiveError
            As `read` does.
        """
        batches = [locations[start : start + _BATCH] for start in range(0, len(locations), _BATCH)]
        for batch, following in zip([(), *batches], [*batches, ()], strict=True):
            self._ask_for(following)
            yield from map(self.read, batch)

    def _ask_for(self, locations: Sequence[ImageLocation]) -> None:
        for file, start, size in _spans(locations):
            archive = self._archive(file) if file.endswith(".tar") else None
            if archive is not None:
                disk_advice.soon(archive.descriptor, start, size)

    def read(self, location: ImageLocation) -> bytes:
        """Return the image's bytes.

        Raises
        ------
        ArchiveError
            If the file is gone, or is not what was indexed: another archive, or shorter than the index says.
        """
        archive = self._archive(location.file) if location.file.endswith(".tar") else None
        if archive is None:
            return self._read_file(location)
        with disk.reading(self._directory / location.file):
            return self._read_member(archive, location)

    def describe(self, location: ImageLocation) -> str:
        """Say where an image lies, for a person."""
        return f"{location.name} in {self._directory / location.file} at byte {location.offset}"

    def _archive(self, file: str) -> _Archive | None:
        if file not in self._archives:
            try:
                archive = self._open_files.enter_context((self._directory / file).open("rb"))
            except FileNotFoundError:
                self._archives[file] = None
            else:
                disk_advice.in_no_order(archive.fileno())
                self._archives[file] = _Archive(archive.fileno(), os.fstat(archive.fileno()).st_size)
        return self._archives[file]

    def _read_member(self, archive: _Archive, location: ImageLocation) -> bytes:
        # A size is checked before it is read: so many bytes of memory are taken first.
        if location.offset + location.size > archive.size:
            raise ArchiveError(f"{self.describe(location)}: the archive ends before the image does: truncated")
        start = location.offset - BLOCK
        header = os.pread(archive.descriptor, NAME_LENGTH, start) if start >= 0 else b""
        if header.split(b"\0", 1)[0] != location.name.encode():
            raise ArchiveError(
                f"{self.describe(location)}: the archive is not the one that was indexed; delete the index folder "
                "and what was built from it, and run the build again"
            )
        data = os.pread(archive.descriptor, location.size, location.offset)
        if len(data) < location.size:
            raise ArchiveError(f"{self.describe(location)}: the archive ends before the image does: truncated")
        return data

    def _read_file(self, location: ImageLocation) -> bytes:
        indexed, extracted = self._directory / location.file, self._folders / location.synset / location.name
        path = extracted if location.file.endswith(".tar") or not indexed.exists() else indexed
        try:
            with disk.reading(path), path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = file.read() if size == location.size else b""
        except FileNotFoundError as error:
            raise ArchiveError(
                f"{path} is gone, and so is {indexed}; put it back, or delete the folder {path.parent} and run the "
                "build again: it downloads the archive"
            ) from error
        if size != location.size:
            raise ArchiveError(
                f"{path} has {size} bytes, the index says {location.size}; put back what was indexed, or extract it "
                "again"
            )
        return data


def _spans(locations: Iterable[ImageLocation]) -> Iterator[tuple[str, int, int]]:
    """Yield where images and their headers lie, as file, offset and size in bytes; neighbours are put together."""
    ordered = sorted(locations, key=lambda location: (location.file, location.offset))
    parts = [(it.file, max(it.offset - BLOCK, 0), it.offset + it.size) for it in ordered]
    while parts:
        file, start, end = parts.pop(0)
        while parts and parts[0][0] == file and parts[0][1] - end < _GAP:
            end = max(end, parts.pop(0)[2])
        yield file, start, end - start
