"""A disk that fails while a file is read: the error names that file, not the output that was being made."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc.formats.plan import plan_file, read_plan, write_plan
from luigi_ilsvrc.layouts import class_folders, official
from luigi_ilsvrc.layouts.index import ImageLocation, index_file, read_index, read_rows
from luigi_ilsvrc.layouts.reader import ImageReader
from tests.layouts.archives import LABELS, SYNSETS, train_tar

SYNSET = SYNSETS[0]
IMAGE = f"{SYNSET}_10.JPEG"

UNREADABLE = Path("/proc/self/mem")
"""Opens, and gives EIO when its first byte is read."""

needs_proc = pytest.mark.skipif(not UNREADABLE.exists(), reason="there is no /proc")


def link(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(UNREADABLE)
    return path


READS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "index": (index_file(SYNSET), lambda path: read_index(path.parent, SYNSET)),
    "rows": (index_file(SYNSET), lambda path: read_rows(path.parent, SYNSET)),
    "plan": (plan_file(0), lambda path: read_plan(path.parent, 0)),
    "boxes": ("boxes.csv", lambda path: write_plan(path.parent, {}, path, 1, path.parent)),
    "annotation": (f"{SYNSET}/{SYNSET}_1.xml", lambda path: list(class_folders.annotations_in(path.parent.parent))),
    "annotations": ("boxes.tar.gz", lambda path: list(official.annotations_in(path))),
}


@needs_proc
@pytest.mark.parametrize(("name", "read"), READS.values(), ids=READS)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, read: Callable[[Path], object]) -> None:
    path = link(tmp_path / name)
    with pytest.raises(OSError) as raised:
        read(path)
    assert (raised.value.errno, str(raised.value.filename)) == (errno.EIO, str(path))


ARCHIVE_READS: dict[str, Callable[[Path], object]] = {
    "train": lambda path: official.index_train(path, SYNSETS),
    "validation": lambda path: official.index_validation(path, LABELS, path),
    "image": lambda path: read_image(path, ImageLocation(IMAGE, SYNSET, path.name, 1536, 5)),
}


@pytest.mark.parametrize("read", ARCHIVE_READS.values(), ids=ARCHIVE_READS)
def test_an_archive_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    def fail(*arguments: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "images.tar"
    path.write_bytes(train_tar())
    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(OSError, match=f"'{path}'"):
        read(path)


def read_image(archive: Path, location: ImageLocation) -> bytes:
    with ImageReader(archive.parent, archive.parent) as reader:
        return reader.read(location)


def test_an_image_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / SYNSET / IMAGE
    path.mkdir(parents=True)
    with pytest.raises(OSError, match=f"'{path}'"):
        read_image(tmp_path / "none.tar", ImageLocation(IMAGE, SYNSET, f"{SYNSET}/{IMAGE}", 0, 4096))
