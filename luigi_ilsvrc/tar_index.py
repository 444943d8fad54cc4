"""Where each image lies: in a tar, in a tar of tars, or in a folder that is extracted already.

The headers are read here and not by ``tarfile``: only what the official archives hold is let through (regular files
with plain names), and a member costs one read of 512 bytes. The format is POSIX.1-1988 "ustar" as GNU tar writes it:
https://www.gnu.org/software/tar/manual/html_node/Standard.html
"""

import csv
import os
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from gzip import BadGzipFile, GzipFile
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.progress import Progress, unheard
from luigi_ilsvrc.synsets import TableError

BLOCK = 512
"""A tar is made of blocks of this many bytes."""

_MOST_IN_MEMORY = 1 << 26
"""Bytes of one annotation, or of the records of a PAX header: a gzip file of a few MB can unpack to gigabytes."""

_NAME = 100
"""Bytes of a header's first field, the member's name."""

# Mode, owner, group, time and device: of no use here, but where they are no numbers the header is none. Octal, or base
# 256 after a first byte of 0x80 or 0xff, as GNU tar writes large ones.
_UNUSED_NUMBERS = itemgetter(*map(slice, (100, 108, 116, 136, 329, 337), (108, 116, 124, 148, 337, 345)))
_NUMBER = re.compile(rb"[\x80\xff].*| *[0-7]* *(\0.*)?", re.DOTALL)

_END = bytes(BLOCK)
_REGULAR = (b"0", b"\0")
_DIRECTORY = b"5"
_PAX = (b"x", b"g")
# "<length> <keyword>=<value>\n"; the length counts itself. https://pubs.opengroup.org/onlinepubs/9699919799/, pax.
_PAX_RECORD = re.compile(rb"([1-9][0-9]{0,9}) ([^=\n]+)=")
# Those that would change where a member lies or what it is called; the others (times, owners) are harmless.
_PAX_OVERRIDES = re.compile(rb"path|linkpath|size|GNU\.sparse.*", re.DOTALL)

_TRAIN_TAR = re.compile(r"(n[0-9]{8})\.tar")
_TRAIN_IMAGE = re.compile(r"(n[0-9]{8})_[0-9]+\.JPEG")
_VALIDATION_IMAGE = re.compile(r"ILSVRC2012_val_([0-9]{8})\.JPEG")


class ArchiveError(BuildError):
    """An archive is truncated, damaged, or not of the official layout."""


class Member(NamedTuple):
    """A file in a tar: its name, and where its contents lie (bytes from the start of the tar, and bytes)."""

    name: str
    offset: int
    size: int


class ImageLocation(NamedTuple):
    """Where one image lies.

    Attributes
    ----------
    name : str
        ``n01440764_10026.JPEG``, ``ILSVRC2012_val_00000001.JPEG``.
    synset : str
        What it shows.
    file : str
        The file that holds it, relative to the data set's folder: an archive, or the image itself.
    offset, size : int
        Its bytes in that file.
    """

    name: str
    synset: str
    file: str
    offset: int
    size: int


# Members ------------------------------------------------------------------------------------------------------------


class _Header(NamedTuple):
    name: str
    size: int
    kind: bytes


def _parse_header(block: bytes, where: str) -> _Header:
    try:
        checksum = int(block[148:156].strip(b" \0"), 8)
        size = int(block[124:136].strip(b" \0") or b"0", 8)
        name = block[:100].split(b"\0", 1)[0].decode("ascii")
        prefix = block[345:500].split(b"\0", 1)[0].decode("ascii") if block[257:263] == b"ustar\0" else ""
    except ValueError as error:
        raise ArchiveError(f"{where}: no tar header: the archive is damaged, or no tar at all") from error
    # The sum of the header's bytes, its own eight taken as spaces.
    if checksum != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise ArchiveError(f"{where}: the tar header's checksum is wrong: the archive is damaged, or no tar at all")
    if not all(map(_NUMBER.fullmatch, _UNUSED_NUMBERS(block))):
        raise ArchiveError(f"{where}: the tar header of {name!r} has numbers that are none: the archive is damaged")
    if size < 0:
        raise ArchiveError(f"{where}: the tar header gives a negative size: the archive is damaged")
    return _Header(f"{prefix}/{name}" if prefix else name, size, block[156:157])


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


class _Range:
    """The bytes of a file from `start` to `end`, read in any order."""

    def __init__(self, descriptor: int, start: int, end: int, where: str) -> None:
        self.descriptor = descriptor
        self.position = start
        self.end = end
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}, byte {self.position}"

    def read(self, size: int) -> bytes:
        data = os.pread(self.descriptor, min(size, self.end - self.position), self.position)
        self.position += len(data)
        return data

    def skip(self, size: int) -> bool:
        self.position += size
        return self.position <= self.end


class _Gzip:
    """The bytes of a gzip file, read from its start on."""

    def __init__(self, file: GzipFile, where: str) -> None:
        self.file = file
        self.position = 0
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}, unpacked byte {self.position}"

    def read(self, size: int) -> bytes:
        try:
            data = self.file.read(size)
        except (BadGzipFile, zlib.error) as error:
            raise ArchiveError(f"{self}: the gzip file is damaged, or no gzip file at all: {error}") from error
        except EOFError as error:
            raise ArchiveError(f"{self}: the gzip file is truncated") from error
        self.position += len(data)
        return data

    def skip(self, size: int) -> bool:
        return len(self.read(size)) == size


def _headers(tar: _Range | _Gzip) -> Iterator[_Header]:
    """Yield the header of each regular file; `tar` is then at its contents, and must be behind them at the next."""
    extended = False
    while True:
        where = str(tar)
        block = tar.read(BLOCK)
        if block == _END:
            if extended:
                raise ArchiveError(f"{where}: an extended (PAX) header without a member: the archive is damaged")
            return _check_end(tar)
        if len(block) < BLOCK:
            raise ArchiveError(
                f"{where}: the archive ends in the middle of a header or without its end mark: truncated"
            )
        header = _parse_header(block, where)
        extended = header.kind == _PAX[0]
        if header.kind in _REGULAR:
            yield header
        elif header.kind in _PAX:
            _check_pax(tar, header, where)
        elif header.kind != _DIRECTORY:
            raise ArchiveError(
                f"{where}: {header.name!r} is not a regular file (tar type {header.kind.decode('latin-1')!r}); the "
                "official archives hold nothing else"
            )


def _check_end(tar: _Range | _Gzip) -> None:
    """Read the padding behind the end mark: a header lost to zeros must not pass for the end."""
    while chunk := tar.read(1 << 20):
        if chunk.count(0) != len(chunk):
            raise ArchiveError(f"{tar}: data follows the archive's end mark: the archive is damaged")


def _check_pax(tar: _Range | _Gzip, header: _Header, where: str) -> None:
    if header.size > _MOST_IN_MEMORY:
        raise ArchiveError(f"{where}: an extended (PAX) header of {header.size:,} bytes: the archive is damaged")
    records = tar.read(header.size)
    if not tar.skip(_padded(header.size) - header.size):
        raise ArchiveError(f"{where}: the archive ends in the middle of {header.name!r}: truncated")
    position = 0
    while position < len(records):
        record = _PAX_RECORD.match(records, position)
        end = position + int(record[1]) if record else 0
        if record is None or not record.end() < end <= len(records) or records[end - 1 : end] != b"\n":
            raise ArchiveError(
                f"{where}: no extended (PAX) header, though it is said to be one: the archive is damaged"
            )
        if _PAX_OVERRIDES.fullmatch(record[2]):
            raise ArchiveError(
                f"{where}: an extended (PAX) header renames or resizes a member; pack with tar --format=ustar"
            )
        position = end


def members(descriptor: int, start: int, end: int, where: str) -> Iterator[Member]:
    """Yield the regular files of the tar that lies in a file from byte `start` to `end`.

    Raises
    ------
    ArchiveError
        Naming `where` and the byte: on truncation, on a wrong checksum, on links, devices and other special members.
    """
    tar = _Range(descriptor, start, end, where)
    for header in _headers(tar):
        member = Member(header.name, tar.position, header.size)
        if not tar.skip(_padded(header.size)):
            raise ArchiveError(f"{where}: the archive ends in the middle of {header.name!r}: truncated")
        yield member


def members_of_gzip(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and contents of each regular file of a ``.tar.gz``, in its order, reading it once.

    Raises
    ------
    ArchiveError
        As `members`, and where the gzip file is truncated or its own CRC is wrong.
    """
    with GzipFile(path) as file:
        tar = _Gzip(file, str(path))
        for header in _headers(tar):
            if header.size > _MOST_IN_MEMORY:
                raise ArchiveError(f"{path}: {header.name!r} has {header.size:,} bytes: not of ILSVRC2012's layout")
            contents = tar.read(header.size)
            if len(contents) < header.size or not tar.skip(_padded(header.size) - header.size):
                raise ArchiveError(f"{path}: the archive ends in the middle of {header.name!r}: truncated")
            yield header.name, contents


# The index ----------------------------------------------------------------------------------------------------------


def index_train_archive(archive: Path, synsets: Sequence[str], progress: Progress = unheard) -> list[ImageLocation]:
    """Find every image in the training archive, a tar of one tar for each of `synsets`.

    Progress counts bytes passed over.

    Raises
    ------
    ArchiveError
        Where the archive is damaged, holds anything but ``<synset>.tar`` of ``<synset>_<n>.JPEG``, holds a synset or
        an image twice, a synset outside `synsets`, or lacks one of them.
    """
    locations: list[ImageLocation] = []
    found: set[str] = set()
    with archive.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for tar in members(file.fileno(), 0, size, str(archive)):
            synset = _expect(_TRAIN_TAR, tar.name, f"{archive}", "<synset>.tar")
            _check_synset(synset, synsets, found, str(archive))
            where = f"{archive}, {tar.name}"
            images = members(file.fileno(), tar.offset, tar.offset + tar.size, where)
            locations += _check_train_images(
                [ImageLocation(image.name, synset, archive.name, image.offset, image.size) for image in images], where
            )
            progress("indexing", tar.offset + tar.size, size)
    _check_all_found(found, synsets, str(archive))
    return locations


def index_train_folders(folders: Path, synsets: Sequence[str], progress: Progress = unheard) -> list[ImageLocation]:
    """Find every training image in class folders ``<folders>/<synset>/<synset>_<n>.JPEG``.

    Progress counts folders.

    Raises
    ------
    ArchiveError
        Where a folder is missing or holds anything else (hidden files are passed over).
    """
    locations: list[ImageLocation] = []
    for done, synset in enumerate(synsets, start=1):
        locations += _check_train_images(_images_in_folder(folders, synset), str(folders / synset))
        progress("indexing", done, len(synsets))
    return locations


def index_validation_archive(
    archive: Path, labels: Sequence[str], table: Path, progress: Progress = unheard
) -> list[ImageLocation]:
    """Find every image in the validation archive and give it its label.

    `labels` are the lines of `table`, the validation table. Progress counts bytes passed over.

    Raises
    ------
    ArchiveError
        Where the archive is damaged or holds anything but one ``ILSVRC2012_val_<8 digits>.JPEG`` for each label.
    TableError
        Where the table has not as many lines as the archive has images.
    """
    images: list[Member] = []
    with archive.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for image in members(file.fileno(), 0, size, str(archive)):
            images.append(image)
            progress("indexing", image.offset + image.size, size)
    numbers = _validation_numbers((image.name for image in images), len(labels), archive, table)
    locations = [
        ImageLocation(image.name, labels[number - 1], archive.name, image.offset, image.size)
        for image, number in zip(images, numbers, strict=True)
    ]
    return _check_images(locations, str(archive))


def index_validation_folders(
    folders: Path, labels: Sequence[str], table: Path, progress: Progress = unheard
) -> list[ImageLocation]:
    """Find every validation image in class folders ``<folders>/<synset>/ILSVRC2012_val_<8 digits>.JPEG``.

    Progress counts folders.

    Raises
    ------
    ArchiveError
        As `index_validation_archive`, and where an image lies in another folder than its label's.
    TableError
        Where the table has not as many lines as there are images.
    """
    synsets = sorted(set(labels))
    locations: list[ImageLocation] = []
    for done, synset in enumerate(synsets, start=1):
        locations += _images_in_folder(folders, synset)
        progress("indexing", done, len(synsets))
    numbers = _validation_numbers((location.name for location in locations), len(labels), folders, table)
    for location, number in zip(locations, numbers, strict=True):
        if labels[number - 1] != location.synset:
            raise ArchiveError(f"{folders / location.synset / location.name}: {table} labels it {labels[number - 1]}")
    return _check_images(locations, str(folders))


def _expect(pattern: re.Pattern[str], name: str, where: str, shape: str) -> str:
    match = pattern.fullmatch(name)
    if not match:
        raise ArchiveError(f"{where}: {name!r} is not named {shape}: not of ILSVRC2012's layout")
    return match.group(1)


def _check_synset(synset: str, synsets: Collection[str], found: set[str], where: str) -> None:
    if synset not in synsets:
        raise ArchiveError(f"{where}: {synset} is not in the table of synsets; give the table it was made for")
    if synset in found:
        raise ArchiveError(f"{where}: {synset}.tar is there twice")
    found.add(synset)


def _check_all_found(found: Collection[str], synsets: Sequence[str], where: str) -> None:
    missing = [synset for synset in synsets if synset not in found]
    if missing:
        raise ArchiveError(
            f"{where}: {len(missing)} of the {len(synsets)} synsets are missing, such as {missing[0]}.tar"
        )


def _check_train_images(locations: list[ImageLocation], where: str) -> list[ImageLocation]:
    for location in locations:
        if _expect(_TRAIN_IMAGE, location.name, where, "<synset>_<n>.JPEG") != location.synset:
            raise ArchiveError(f"{where}: {location.name} lies among the images of {location.synset}")
    return _check_images(locations, where)


def _check_images(locations: list[ImageLocation], where: str) -> list[ImageLocation]:
    if not locations:
        raise ArchiveError(f"{where}: there is no image")
    for location in locations:
        if location.size == 0:
            raise ArchiveError(f"{where}: {location.name} is empty")
    name, count = Counter(location.name for location in locations).most_common(1)[0]
    if count > 1:
        raise ArchiveError(f"{where}: {name} is there {count} times")
    return locations


def _validation_numbers(names: Iterable[str], labels: int, where: Path, table: Path) -> list[int]:
    numbers = [int(_expect(_VALIDATION_IMAGE, name, str(where), "ILSVRC2012_val_<8 digits>.JPEG")) for name in names]
    if len(numbers) != labels:
        raise TableError(
            f"{table}:{labels}: the table has {labels} lines, but {where} holds {len(numbers)} validation images; "
            "line n labels image n"
        )
    outside = [number for number in numbers if not 1 <= number <= labels]
    if outside:
        raise ArchiveError(f"{where}: ILSVRC2012_val_{outside[0]:08}.JPEG: {table} has no line {outside[0]}")
    return numbers


def _images_in_folder(folders: Path, synset: str) -> list[ImageLocation]:
    try:
        with os.scandir(folders / synset) as entries:
            return [
                ImageLocation(entry.name, synset, f"{folders.name}/{synset}/{entry.name}", 0, entry.stat().st_size)
                for entry in entries
                if not entry.name.startswith(".")
            ]
    except OSError as error:
        raise ArchiveError(f"{folders / synset}: the class folder cannot be read: {error.strerror}") from error


def write_index(locations: Iterable[ImageLocation], synsets: Iterable[str], directory: Path) -> None:
    """Write ``<directory>/<synset>.csv`` for each synset: the fields of `ImageLocation`, sorted by image name."""
    by_synset: dict[str, list[ImageLocation]] = {synset: [] for synset in synsets}
    for location in locations:
        by_synset[location.synset].append(location)
    for synset, images in by_synset.items():
        with (directory / f"{synset}.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(ImageLocation._fields)
            writer.writerows(sorted(images))


def read_index(directory: Path, synset: str) -> list[ImageLocation]:
    """Read where the images of one synset lie, sorted by name.

    Raises
    ------
    ArchiveError
        Where the index has no such synset.
    """
    try:
        with (directory / f"{synset}.csv").open(newline="") as file:
            return [parse_location(row) for row in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise ArchiveError(f"{directory}: {synset} is not among the synsets that were indexed") from error


def parse_location(row: Mapping[str, str]) -> ImageLocation:
    """Take an image's location out of a row of an index or a plan."""
    return ImageLocation(row["name"], row["synset"], row["file"], int(row["offset"]), int(row["size"]))


# Reading through the index ------------------------------------------------------------------------------------------


class ImageReader:
    """Reads images where the index says they lie; a context manager that keeps the archives open.

    Parameters
    ----------
    directory : Path
        The data set's folder (``ilsvrc2012``), to which the index's files are relative.
    folders : Path
        The split's class folders: where images are looked for when the archive that held them has been deleted.
    """

    def __init__(self, directory: Path, folders: Path) -> None:
        self._directory = directory
        self._folders = folders
        self._descriptors: dict[str, int | None] = {}
        self._open_files = ExitStack()

    def __enter__(self) -> "ImageReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._open_files.close()

    def read(self, location: ImageLocation) -> bytes:
        """Return the image's bytes as they are in the archive.

        Raises
        ------
        ArchiveError
            Where the file is gone, or is not what was indexed: another archive, or shorter than the index says.
        """
        descriptor = self._archive(location.file) if location.file.endswith(".tar") else None
        if descriptor is None:
            return self._read_file(location)
        header = os.pread(descriptor, _NAME, location.offset - BLOCK)
        if header.split(b"\0", 1)[0] != location.name.encode():
            raise ArchiveError(
                f"{self.describe(location)}: the archive is not the one that was indexed; delete the index folder "
                "and what was built from it, and run the build again"
            )
        data = os.pread(descriptor, location.size, location.offset)
        if len(data) < location.size:
            raise ArchiveError(f"{self.describe(location)}: the archive ends before the image does: truncated")
        return data

    def describe(self, location: ImageLocation) -> str:
        """Say where an image lies, for a person."""
        return f"{location.name} in {self._directory / location.file} at byte {location.offset}"

    def _archive(self, file: str) -> int | None:
        if file not in self._descriptors:
            try:
                archive = self._open_files.enter_context((self._directory / file).open("rb"))
            except FileNotFoundError:
                self._descriptors[file] = None
            else:
                self._descriptors[file] = archive.fileno()
        return self._descriptors[file]

    def _read_file(self, location: ImageLocation) -> bytes:
        path = self._folders / location.synset / location.name
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise ArchiveError(
                f"{path} is gone, and so is {self._directory / location.file}; delete the folder {path.parent} and run "
                "the build again: it brings the archive"
            ) from error
        if len(data) != location.size:
            raise ArchiveError(f"{path} has {len(data)} bytes, the index says {location.size}; extract it again")
        return data
