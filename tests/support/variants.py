"""Miniatures that differ in little, and what an undisturbed build makes of any mixture of their files."""

import gzip
import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from luigi_ilsvrc import miniature
from luigi_ilsvrc.build_record import read_archive_record, read_record
from luigi_ilsvrc.dataset.archives import ARCHIVES, BOUNDING_BOX_ARCHIVE, CHECKSUM_FILE, TRAIN_ARCHIVE, Archive
from luigi_ilsvrc.dataset.archives import VALIDATION_ARCHIVE as VALIDATION
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.synsets import SYNSET_ENGLISH_KEY, UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS
from tests.support.in_process import run
from tests.support.running import contents

TABLES = (UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS, SYNSET_ENGLISH_KEY)
SHARDS = ("--train-shards", "2", "--validation-shards", "1")
BASE = "base"


def write_variants(directory: Path) -> list[Path]:
    """Write a miniature and others that differ from it in one table or one archive, or in all; return their folders."""
    base = directory / BASE
    for path, seed in ((base, 2012), (directory / "other", 7)):
        miniature.write(path, synsets=3, train_images=14, validation_images=6, xml_files=9, tiny=True, seed=seed)
    for name, change in _CHANGES.items():
        copy = Path(shutil.copytree(base, directory / name))
        change(copy)
        _write_checksums(copy)
    return sorted(path for path in directory.iterdir() if path.is_dir())


def _write_checksums(source: Path) -> None:
    lines = (f"{_md5(source / archive.name)}  {archive.name}\n" for archive in ARCHIVES)
    (source / CHECKSUM_FILE).write_text("".join(lines))


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _swap_lines(name: str) -> Callable[[Path], None]:
    """Return a change that swaps the first line of a table with the first one that is different."""

    def change(source: Path) -> None:
        lines = (source / name).read_text().splitlines(keepends=True)
        other = next(number for number, line in enumerate(lines) if line != lines[0])
        lines[0], lines[other] = lines[other], lines[0]
        (source / name).write_text("".join(lines))

    return change


def _rename_class(source: Path) -> None:
    path = source / SYNSET_ENGLISH_KEY
    path.write_text(path.read_text().replace("\n", " of another name\n", 1))


def _change_picture(name: str) -> Callable[[Path], None]:
    """Return a change of one byte of the comment of each JPEG that has one, in an archive."""

    def change(source: Path) -> None:
        archive = bytearray((source / name).read_bytes())
        start = 0
        while (start := archive.find(b"\xff\xfe", start)) >= 0:
            # Marker, two bytes of length, the image's name.
            if archive[start + 4] in b"nI":
                archive[start + 4] ^= 0x20
            start += 2
        (source / name).write_bytes(archive)

    return change


def _change_boxes(source: Path) -> None:
    path = source / BOUNDING_BOX_ARCHIVE.name
    xml = gzip.decompress(path.read_bytes()).replace(b"<xmin>1", b"<xmin>2")
    path.write_bytes(gzip.compress(xml, mtime=0))
    with tarfile.open(fileobj=io.BytesIO(xml)) as tar:
        assert tar.getmembers()


_CHANGES: Mapping[str, Callable[[Path], None]] = {
    "order": _swap_lines(UNIQUE_SYNSETS),
    "labels": _swap_lines(VALIDATION_SYNSET_LABELS),
    "words": _rename_class,
    "train-images": _change_picture(TRAIN_ARCHIVE.name),
    "validation-images": _change_picture(VALIDATION.name),
    "boxes": _change_boxes,
}


class Variants:
    """The variants, a build of each, and undisturbed builds of mixtures.

    Parameters
    ----------
    directory : Path
        Empty; everything is written there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.sources = {path.name: path for path in write_variants(directory / "sources")}
        self._tables = {_sha256(it): it for it in self._files(TABLES)}
        self._archives = {_md5(it): it for it in self._files([archive.name for archive in ARCHIVES])}
        self._references: dict[tuple[str, ...], dict[str, str]] = {}
        self.builds = {name: self._build(source, directory / "builds" / name) for name, source in self.sources.items()}
        assert len({str(sorted(outputs(path).items())) for path in self.builds.values()}) == len(self.builds)

    def _files(self, names: Sequence[str]) -> Iterator[Path]:
        return (source / name for source in self.sources.values() for name in names)

    def _build(self, source: Path, data_dir: Path) -> Path:
        built = run("BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS)
        assert built.is_well, built.output
        return data_dir

    def unknown_archives(self, source: Path) -> list[str]:
        """Return the archives of a source that none of the variants has."""
        return [archive.name for archive in ARCHIVES if _md5(source / archive.name) not in self._archives]

    def expected(self, data_dir: Path, source: Path) -> list[dict[str, str]]:
        """Return what an undisturbed build of the tables and archives makes that the record of a build names.

        If the checksums were unknown, what is remembered of an archive says what it was made from; if nothing is, it
        may be any archive that is there or that the source has.
        """
        paths = DataSetPaths(data_dir)
        record = read_record(paths)
        assert record is not None
        tables = [record.tables[name] for name in TABLES]
        choices = []
        for archive in ARCHIVES:
            remembered = read_archive_record(paths.archive_record(archive))
            known = record.archives[archive.name] or (remembered.md5 if remembered else None)
            places = (paths.archive(archive), source / archive.name)
            choices.append([known] if known else sorted({_md5(path) for path in places if path.exists()}))
        known_files = {*self._tables, *self._archives}
        combinations = [(*tables, *archives) for archives in product(*choices)]
        return [self._reference(digests) for digests in combinations if known_files.issuperset(digests)]

    def _reference(self, digests: tuple[str, ...]) -> dict[str, str]:
        if digests not in self._references:
            # Processes that play cases side by side have references of their own.
            directory = Path(tempfile.mkdtemp(prefix="reference-", dir=self._directory))
            source = directory / "source"
            source.mkdir()
            files = [*(self._tables[it] for it in digests[:3]), *(self._archives[it] for it in digests[3:])]
            for file in files:
                shutil.copy(file, source / file.name)
            _write_checksums(source)
            self._references[digests] = outputs(self._build(source, directory / "build"))
        return self._references[digests]


def is_begun_with(data_dir: Path, source: Path) -> bool:
    """Tell whether a build was begun with the tables and archives of a source, by its records.

    Raises BuildRecordError if they are damaged.
    """
    paths = DataSetPaths(data_dir)
    record = read_record(paths)
    if record is None:
        return False
    for archive in ARCHIVES:
        remembered = read_archive_record(paths.archive_record(archive))
        md5 = record.archives[archive.name] or (remembered.md5 if remembered else None)
        if md5 not in (None, _md5(source / archive.name)):
            return False
    return all(record.tables[name] == _sha256(source / name) for name in TABLES)


def is_remembered(paths: DataSetPaths, archive: Archive, *sources: Path) -> bool:
    """Tell whether what is remembered of an archive is that of one of some sources, or nothing."""
    remembered = read_archive_record(paths.archive_record(archive))
    return remembered is None or remembered.md5 in {_md5(source / archive.name) for source in sources}


def outputs(data_dir: Path) -> dict[str, str]:
    """Return the MD5 of all files that users read, by path: all but index and verifications."""
    own = ("ilsvrc2012/index", "ilsvrc2012/verification")
    return {path: md5 for path, md5 in contents(data_dir).items() if not path.startswith(own) and md5 != "folder"}


def differences(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Return the paths that are missing, extra or different; an archive may be missing."""
    archives = {f"ilsvrc2012/{archive.local_name}" for archive in ARCHIVES}
    return [
        path
        for path in sorted({*found, *expected})
        if found.get(path) != expected.get(path) and not (path in archives and path not in found)
    ]
