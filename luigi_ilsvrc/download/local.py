"""A file in a folder as a source."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.download.disk_errors import read_error
from luigi_ilsvrc.download.source import CHUNK, DownloadError, FileVersion, Reply

_READ_ADVICE = "make it readable, or give another --source"


class LocalFile:
    """A file in a folder; it is only read.

    Attributes
    ----------
    original : Path
        The file itself; symbolic links are resolved.
    address : str
        The same, for messages.
    """

    stage = "copying"

    def __init__(self, folder: Path, name: str) -> None:
        path = folder / name
        if not os.path.isfile(path):  # Path.is_file raises if the folder may not be read
            official = ", ".join(archive.name for archive in ARCHIVES)
            raise DownloadError(
                f"{path} does not exist, or may not be read. A source folder has the archives under their official "
                f"names: {official}"
            )
        self.original = path.resolve()
        self.address = str(self.original)

    @contextmanager
    def open(self, start: int = 0, version: FileVersion | None = None, end: int | None = None) -> Iterator[Reply]:
        """Read the file from `start` up to `end`, or all of it if it is not `version` any more; see `Source`."""
        with self._open() as file:
            status = os.fstat(file.fileno())
            present = FileVersion(self.address, status.st_size, modified=str(status.st_mtime_ns))
            if version not in (None, present):
                start, end = 0, None
            file.seek(start)
            yield Reply(present, start, _read_chunks(file, None if end is None else end - start))

    def _open(self) -> FileIO:
        try:
            return FileIO(self.original)
        except OSError as error:
            raise read_error(error, self.original, _READ_ADVICE) from None


def _read_chunks(file: FileIO, count: int | None) -> Iterator[memoryview]:
    """Read `count` bytes, or to the file's end; each chunk is valid until the next one."""
    buffer = memoryview(bytearray(CHUNK))
    while chunk := _read_into(file, buffer[:count]):
        yield chunk
        count = None if count is None else count - len(chunk)


def _read_into(file: FileIO, buffer: memoryview) -> memoryview:
    try:
        return buffer[: file.readinto(buffer)]
    except OSError as error:
        raise read_error(error, Path(os.fsdecode(file.name)), _READ_ADVICE) from None
