"""The second reading of parquet files: each image is written where it belongs, and the whole archive is checked.

Until it is published, the archive lies in a folder beside the notes, and an empty file for each parquet file whose
images are on the disk. Their names begin with the plan's digest: if a parquet file is replaced by another one, a new
archive is begun. Two processes at once write the same bytes to the same places.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from luigi_ilsvrc.dataset.tar_header import BLOCK
from luigi_ilsvrc.dataset.tar_writer import header, padding
from luigi_ilsvrc.layouts.parquet_import.notes import notes_path
from luigi_ilsvrc.layouts.parquet_import.plan import ArchivePlan, PlannedImage
from luigi_ilsvrc.layouts.parquet_import.rows import Row, RowNames, read_rows
from luigi_ilsvrc.layouts.parquet_import.threads import ByteCounter, for_each, until
from luigi_ilsvrc.layouts.scan import ScannedImage, scan_archive
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.allocate import allocate
from luigi_ilsvrc.storage.manifest import Entry, add_to_entry
from luigi_ilsvrc.storage.publish import publish_file, replace_file, sync_folder
from luigi_ilsvrc.storage.temporary import PARTIAL_SUFFIX

_WRITTEN_SUFFIX = ".written"
_DIGITS = 16
"""Of the plan's digest, in the names of files."""

_OF_A_PLAN = re.compile(
    rf"(?P<digest>[0-9a-f]{{{_DIGITS}}})({re.escape(PARTIAL_SUFFIX)}|-.*{re.escape(_WRITTEN_SUFFIX)})"
)

_STAT_BLOCK = 512
"""Bytes of a block in `os.stat_result`, whatever the file system's own are."""


def allocated_bytes(state: Path) -> int:
    """Return the bytes that an unfinished archive in the folder of an import takes on the disk; 0 if there is none."""
    try:
        names = [name for name in os.listdir(state) if _OF_A_PLAN.fullmatch(name)]
        return sum(os.lstat(state / name).st_blocks * _STAT_BLOCK for name in names)
    except (FileNotFoundError, NotADirectoryError):
        return 0


@dataclass(frozen=True)
class PlannedArchive:
    """An archive that is written, or may be already.

    Attributes
    ----------
    plan : ArchivePlan
        Where each image belongs.
    files : sequence of Path
        The parquet files.
    names : RowNames
        What their images are called.
    archive : Path
        The archive, when it is published.
    state : Path
        The folder that it lies in until then.
    """

    plan: ArchivePlan
    files: Sequence[Path]
    names: RowNames
    archive: Path
    state: Path

    @property
    def _partial(self) -> Path:
        return self.state / f"{self.plan.digest[:_DIGITS]}{PARTIAL_SUFFIX}"

    def _marker(self, file: int) -> Path:
        """Return the path of what is there when all images of a parquet file are on the disk."""
        return self.state / f"{self.plan.digest[:_DIGITS]}-{self.files[file].name}{_WRITTEN_SUFFIX}"

    # Writing -------------------------------------------------------------------------------------------------------

    def write(self, progress: Progress, threads: int) -> None:
        """Write what is missing, file by file; progress counts the bytes of images.

        Raises
        ------
        ArchiveError
            If a parquet file gives others than it was planned with.
        DiskError
            If there is too little space.
        OSError
            If a file cannot be read or written.
        """
        self._remove_other_plans()
        # Only to write: then a client of NFS sends what is written and no more, and not the rest of a block that it has
        # read before, in which an image from another process may be missing.
        descriptor = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            with disk.reading(self._partial):
                self._prepare(descriptor)
                count = ByteCounter("importing", self.plan.image_bytes(), progress)

                def write_file(number: int, stop: Event) -> None:
                    self._write_file(number, descriptor, count, stop)

                for_each(len(self.files), write_file, threads)
        finally:
            os.close(descriptor)

    def _remove_other_plans(self) -> None:
        for path in self.state.iterdir():
            # Not every .partial: another process may be writing notes under a temporary name.
            name = _OF_A_PLAN.fullmatch(path.name)
            if name and name["digest"] != self.plan.digest[:_DIGITS]:
                path.unlink(missing_ok=True)

    def _prepare(self, descriptor: int) -> None:
        """Give the archive its size, and the headers of inner tars."""
        if os.fstat(descriptor).st_size != self.plan.size:
            self._remove_markers()
        disk.check_free_space({self.state: self.plan.size - os.fstat(descriptor).st_blocks * _STAT_BLOCK})
        try:
            allocate(descriptor, self.plan.size)
        except OSError:
            # Otherwise the disk, or the quota, stays full.
            os.ftruncate(descriptor, 0)
            raise
        for offset, contents in self.plan.headers:
            _write_at(descriptor, contents, offset)
        os.fsync(descriptor)
        sync_folder(self.state)

    def _remove_markers(self) -> None:
        for number in range(len(self.files)):
            self._marker(number).unlink(missing_ok=True)

    def _write_file(self, number: int, descriptor: int, count: ByteCounter, stop: Event) -> None:
        images = self.plan.images_of(number)
        if self._marker(number).exists():
            count.add(sum(image.entry.size for image in images.values()))
            return
        for row in until(stop, read_rows(self.files[number], self.names)):
            image = images.pop(row.name, None)
            if image is None or add_to_entry(Entry(0, 0), [row.contents]) != image.entry:
                raise self._changed(number)
            _write_image(descriptor, row, image)
            count.add(image.entry.size)
        if images:
            raise self._changed(number)
        os.fsync(descriptor)
        replace_file(self._marker(number), b"")

    def _changed(self, number: int) -> ArchiveError:
        notes_path(self.files[number], self.state).unlink(missing_ok=True)
        return ArchiveError(
            f"{self.files[number]}: it gives other images than when it was read first: it was changed meanwhile, or "
            "the disk or the memory fails; check that, and run the build again"
        )

    # Publishing ----------------------------------------------------------------------------------------------------

    def publish(self, is_nested: bool, progress: Progress) -> str:
        """Read the archive once, compare each image with what was noted, and give the archive its name.

        Returns
        -------
        str
            Its MD5 sum, 32 lower-case hexadecimal digits; that of what is there already, if it has the same images.

        Raises
        ------
        ArchiveError
            If anything is not as it was noted.
        OSError
            If the archive cannot be read or published.
        """
        if not self.archive.exists():
            md5 = self._check(self._partial, is_nested, progress)
            if publish_file(self._partial, self.archive):
                return md5
        return self._check(self.archive, is_nested, progress)

    def _check(self, path: Path, is_nested: bool, progress: Progress) -> str:
        expected = self.plan.images()
        wrong: list[str] = []

        def compare(images: list[ScannedImage]) -> None:
            for image in images:
                planned = next(expected, None)
                if planned is None or image != (planned.name, planned.tar, planned.offset, planned.entry):
                    wrong.append(image.name)

        scan = scan_archive(path, is_nested, compare, progress)
        wrong += [image.name for image in expected]
        if scan.error or wrong or scan.size != self.plan.size:
            raise self._not_as_noted(path, scan.error or f"{path}: {wrong[0] if wrong else 'its length'}")
        return scan.md5

    def _not_as_noted(self, path: Path, what: str) -> ArchiveError:
        if path == self.archive:
            return ArchiveError(
                f"{what} is not what the parquet files in {self.files[0].parent} hold: delete it, and run the build "
                "again; or, if it is the right one, give a --source without parquet files"
            )
        self._remove_markers()
        path.unlink(missing_ok=True)
        return ArchiveError(
            f"{what} is not as it was written, and the unfinished archive is removed: the disk or the memory fails, or "
            "another program has changed it; check that, and run the build again"
        )


def _write_image(descriptor: int, row: Row, image: PlannedImage) -> None:
    contents = b"".join((header(row.name, image.entry.size), row.contents, padding(image.entry.size)))
    _write_at(descriptor, contents, image.offset - BLOCK)


def _write_at(descriptor: int, contents: bytes, offset: int) -> None:
    """Write all of `contents` at an offset; pwrite(2) may take a part only."""
    rest = memoryview(contents)
    while rest:
        count = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[count:], offset + count
