import hashlib
import tarfile
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.layouts.scan import ScannedImage, scan_archive
from luigi_ilsvrc.storage.manifest import entry_of
from tests.layouts.archives import train_tar

NESTED = pytest.mark.parametrize(
    ("name", "is_nested"), [(TRAIN_ARCHIVE.name, True), (VALIDATION_ARCHIVE.name, False)], ids=["train", "validation"]
)


def images_in(archive: Path, is_nested: bool) -> dict[tuple[str, str], bytes]:
    """Read the images as tarfile does, by the names of inner tar and image."""
    found = {}
    with tarfile.open(archive) as outer:
        for member in outer:
            contained = outer.extractfile(member)
            assert contained is not None
            if not is_nested:
                found["", member.name] = contained.read()
                continue
            with tarfile.open(fileobj=contained) as inner:
                for image in inner:
                    file = inner.extractfile(image)
                    assert file is not None
                    found[member.name, image.name] = file.read()
    return found


def ignore(images: list[ScannedImage]) -> None:
    pass


@NESTED
def test_one_reading_gives_the_sum_of_an_archive_and_place_and_crc_of_each_image(
    ilsvrc: Path, name: str, is_nested: bool
) -> None:
    found: list[ScannedImage] = []
    scan = scan_archive(ilsvrc / name, is_nested, found.extend)
    contents = (ilsvrc / name).read_bytes()
    images = images_in(ilsvrc / name, is_nested)
    assert (scan.md5, scan.size, scan.error) == (hashlib.md5(contents).hexdigest(), len(contents), None)
    assert {(image.tar, image.name): image.entry for image in found} == {
        names: entry_of(image) for names, image in images.items()
    }
    assert all(
        contents[image.offset : image.offset + image.entry.size] == images[image.tar, image.name] for image in found
    )


@pytest.mark.parametrize("size", [0, 511, 512, 700, 2000, 20_000])
def test_the_sum_of_a_truncated_archive_is_that_of_what_is_there(tmp_path: Path, size: int) -> None:
    (tmp_path / "images.tar").write_bytes(contents := train_tar()[:size])
    scan = scan_archive(tmp_path / "images.tar", True, ignore)
    assert (scan.md5, scan.size) == (hashlib.md5(contents).hexdigest(), len(contents))
    assert scan.error is not None


def test_every_flipped_byte_is_an_error_or_another_sum(tmp_path: Path) -> None:
    whole, archive = train_tar(), tmp_path / "images.tar"
    right = hashlib.md5(whole).hexdigest()
    for position in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        archive.write_bytes(damaged)
        scan = scan_archive(archive, True, ignore)
        assert scan.md5 == hashlib.md5(damaged).hexdigest() != right


def test_a_missing_archive_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan_archive(tmp_path / "images.tar", True, ignore)


def test_the_images_come_tar_by_tar(ilsvrc: Path) -> None:
    groups: list[set[str]] = []
    scan_archive(ilsvrc / TRAIN_ARCHIVE.name, True, lambda images: groups.append({image.tar for image in images}))
    assert [len(group) for group in groups] == [1] * 5
    assert len(set().union(*groups)) == 5
