"""The images and annotations in a folder of the official archives."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE, TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.synsets import SYNSET_ENGLISH_KEY, UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS, LabelTables

TABLES = (UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS, SYNSET_ENGLISH_KEY)


def tables_of(source: Path) -> LabelTables:
    """Return the label tables in a source folder."""
    return LabelTables(*(source / name for name in TABLES))


def train_images(source: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield synset, name and contents of each training image."""
    with tarfile.open(source / TRAIN_ARCHIVE.name) as outer:
        for inner in outer:
            synset = inner.name.removesuffix(".tar")
            for name, contents in _members(_read(outer, inner)):
                yield synset, name, contents


def validation_images(source: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield synset, name and contents of each validation image."""
    labels = tables_of(source).validation_labels()
    for name, contents in _members((source / VALIDATION_ARCHIVE.name).read_bytes()):
        yield labels[int(name[15:23]) - 1], name, contents


def annotations(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and contents of each annotation of a training image."""
    yield from _members((source / BOUNDING_BOX_ARCHIVE.name).read_bytes())


def _members(archive: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            if member.isfile():
                yield member.name, _read(tar, member)


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None
    return file.read()
