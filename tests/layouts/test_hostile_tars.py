"""What a hostile archive can hold beside the official layout's members."""

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc.layouts import official
from luigi_ilsvrc.layouts.tar import ArchiveError, SeekableTar, members
from tests.layouts.archives import LABELS, SYNSETS, special, tar_of, tar_with_field, train_tar

Write = Callable[[bytes], Path]
TABLE = Path("validation_synset_labels.txt")
NAME, SIZE = 0, 124


def sizes_in(path: Path) -> list[int]:
    with path.open("rb") as file:
        return [member.size for member in members(SeekableTar(file.fileno(), 0, path.stat().st_size, str(path)))]


# Sizes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [b"00000000005\0", b"          5 ", b"5 \0\0\0\0\0\0\0\0\0\0", b"5           "])
def test_a_size_may_have_spaces_around_it(archive: Write, size: bytes) -> None:
    assert sizes_in(archive(tar_with_field(SIZE, size))) == [5]


@pytest.mark.parametrize(
    "size",
    [
        *(b"0000000_005\0", b"0o000000005\0", b"0x000000005\0", b"+0000000005\0", b"0000000 005\0", b"\t0000000005\0"),
        *(b"\0 0000000005", b"00000000008\0", b"0000005\0\x000005", b"\x80" + bytes(10) + b"\5", b"\xff" * 12),
    ],
)
def test_a_size_that_is_no_octal_number_is_refused(archive: Write, size: bytes) -> None:
    path = archive(tar_with_field(SIZE, size))
    with pytest.raises(ArchiveError, match=f"{path}, byte 0: "):
        sizes_in(path)


@pytest.mark.parametrize("size", [b"77777777777\0", b"00000002001\0"])
def test_a_size_beyond_the_archive_is_refused(archive: Write, size: bytes) -> None:
    path = archive(tar_with_field(SIZE, size))
    with pytest.raises(ArchiveError, match=f"{path}.*truncated"):
        sizes_in(path)


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("../n01440764_1.JPEG", "/n01440764_1.JPEG", "n01440764/n01440764_1.JPEG", "./n01440764_1.JPEG"),
        *("n01440764_1.JPEG\n", "n01440764_\u0661.JPEG", "n01440764_1.jpeg", "n01440764_1.JPEG/", "n01443537_1.JPEG"),
    ],
)
def test_an_image_under_a_name_that_is_not_its_synsets_is_refused(archive: Write, name: str) -> None:
    path = archive(train_tar(n01440764=[(name, b"tench")]))
    with pytest.raises(ArchiveError, match=str(path)):
        official.index_train(path, SYNSETS)


def test_what_follows_a_nul_is_no_part_of_a_name(archive: Write) -> None:
    inner = tar_with_field(NAME, b"n01440764_1.JPEG\0/../../escaped")
    [image] = official.index_train(archive(tar_of([("n01440764.tar", inner)])), ["n01440764"])
    assert image.name == "n01440764_1.JPEG"


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_a_link_among_the_images_is_refused(archive: Write, kind: bytes) -> None:
    images: list[tuple[str | tarfile.TarInfo, bytes]] = [
        ("n01440764_1.JPEG", b"tench"),
        (special("n01440764_2.JPEG", kind), b""),
    ]
    path = archive(train_tar(n01440764=images))
    with pytest.raises(ArchiveError, match=rf"{path}, n01440764.tar, byte \d+: 'n01440764_2.JPEG'"):
        official.index_train(path, SYNSETS)


# Twice, and nothing --------------------------------------------------------------------------------------------------


def test_two_images_of_one_name_are_refused(archive: Write) -> None:
    path = archive(train_tar(n01440764=[("n01440764_1.JPEG", b"tench"), ("n01440764_1.JPEG", b"other")]))
    with pytest.raises(ArchiveError, match=f"{path}, n01440764.tar: n01440764_1.JPEG is there 2 times"):
        official.index_train(path, SYNSETS)


def test_two_tars_of_one_synset_are_refused(archive: Write) -> None:
    inner = tar_of([("n01440764_1.JPEG", b"tench")])
    path = archive(tar_of([("n01440764.tar", inner)] * 2))
    with pytest.raises(ArchiveError, match=f"{path}: n01440764.tar is there twice"):
        official.index_train(path, SYNSETS)


def test_two_validation_images_of_one_name_are_refused(archive: Write) -> None:
    path = archive(tar_of((f"ILSVRC2012_val_{number:08}.JPEG", b"image") for number in (1, 1, 2)))
    with pytest.raises(ArchiveError, match=f"{path}: ILSVRC2012_val_00000001.JPEG is there 2 times"):
        official.index_validation(path, LABELS, TABLE)


def test_two_annotations_of_one_image_are_refused(tmp_path: Path) -> None:
    path, name = tmp_path / "boxes.tar.gz", "n01440764/n01440764_1.xml"
    path.write_bytes(gzip.compress(tar_of([(name, b"<a/>"), (f"./{name}", b"<b/>")])))
    with pytest.raises(ArchiveError, match=f"{path}: {name} is there twice"):
        list(official.annotations_in(path))


@pytest.mark.parametrize("images", [[("n01440764_1.JPEG", b"")], [(f"n01440764_{n}.JPEG", b"") for n in range(1000)]])
def test_empty_images_are_refused(archive: Write, images: list[tuple[str | tarfile.TarInfo, bytes]]) -> None:
    path = archive(train_tar(n01440764=images))
    with pytest.raises(ArchiveError, match=f"{path}, n01440764.tar: n01440764_[01].JPEG is empty"):
        official.index_train(path, SYNSETS)
